"""Bytes go straight to an idle socket, and in their order whatever it takes."""

import pytest
from fakes.tcp import ROOM, TcpTransport

from mtnet.net.output.queue import OutputBuffer
from mtnet.testing import TerminalTransport


class Owner:
    """Lists in the reports of its transport when its buffer is ready again."""

    def __init__(self, transport):
        self._transport = transport

    def drained(self):
        self._transport.reports.append("drained")


@pytest.fixture
def transport(clock):
    made = TcpTransport(clock)
    yield made
    made.handle.close()


@pytest.fixture
def output(transport, clock):
    made = OutputBuffer(transport, clock, 100, Owner(transport))
    transport.turn()
    return made


def test_nothing_goes_past_what_others_have_written(transport, clock):
    transport.write(b"greeting ")
    output = OutputBuffer(transport, clock, 100, None)
    output.write(b"first")
    assert transport.handle.taken == b""
    transport.turn()
    output.write(b" second")
    assert transport.handle.taken == b"greeting first second"
    assert transport.value() == b""


def test_an_idle_socket_is_written_to_at_once(transport, output):
    output.write(b"now")
    assert (transport.handle.taken, transport.value(), output.ready) == (b"now", b"", True)


def test_what_a_socket_does_not_take_waits_in_order(transport, output):
    transport.handle.room = 2
    output.write(b"abc")
    output.write(b"def")
    assert (transport.handle.taken, transport.value(), output.writer) == (b"ab", b"cdef", None)
    transport.handle.room = ROOM
    transport.turn()
    output.write(b"g")
    assert transport.handle.taken == b"abcdefg"


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError(), BrokenPipeError()])
def test_a_socket_that_is_full_or_broken_is_left_to_the_transport(transport, output, error):
    transport.handle.error = error
    output.write(b"abc")
    assert transport.value() == b"abc"


def test_it_is_ready_again_once_all_has_left(transport, output):
    transport.handle.room = 0
    output.write(b"x" * 200)
    assert not output.ready
    transport.handle.room = 150
    transport.turn()
    assert not output.ready
    transport.handle.room = ROOM
    transport.turn()
    assert (output.ready, transport.reports) == (True, ["drained"])


def test_behind_its_close_nothing_goes_past_the_transport(transport, output):
    output.close()
    output.write(b"x")
    assert (transport.handle.taken, transport.value()) == (b"", b"x")


def test_behind_the_connection_s_end_nothing_is_sent(transport, output):
    output.stopProducing()
    output.write(b"x")
    assert transport.handle.calls == 0


def test_a_connection_that_is_lost_gets_no_straight_way_back(transport, output):
    output.stopProducing()
    output.resumeProducing()
    output.write(b"x")
    assert transport.handle.calls == 0


def test_a_transport_that_closes_is_let_go_of_once_it_is_empty(transport, output):
    transport.handle.room = 0
    output.write(b"last")
    transport.disconnecting = True
    transport.handle.room = ROOM
    transport.turn()
    assert (transport.handle.taken, transport.producer) == (b"last", None)


def test_where_the_transport_is_no_tcp_it_is_written_to(clock):
    transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
    output = OutputBuffer(transport, clock, 100, None)
    output.write(b"x")
    assert (transport.value(), output.writer) == (b"x", None)
