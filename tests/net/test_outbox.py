"""Bytes go straight to an idle socket, and in their order whatever it takes."""

import pytest
from fakes.tcp import ROOM, TcpTransport

from mtnet.net.output.buffer import Outbox
from mtnet.testing import TerminalTransport


@pytest.fixture
def transport(clock):
    made = TcpTransport(clock)
    yield made
    made.handle.close()


@pytest.fixture
def outbox(transport, clock):
    made = Outbox(transport, clock, 100, lambda: transport.reports.append("drained"))
    transport.turn()
    return made


def test_nothing_goes_past_what_others_have_written(transport, clock):
    transport.write(b"greeting ")
    outbox = Outbox(transport, clock, 100, lambda: None)
    outbox.write(b"first")
    assert transport.handle.taken == b""
    transport.turn()
    outbox.write(b" second")
    assert transport.handle.taken == b"greeting first second"
    assert transport.value() == b""


def test_an_idle_socket_is_written_to_at_once(transport, outbox):
    outbox.write(b"now")
    assert (transport.handle.taken, transport.value(), outbox.ready) == (b"now", b"", True)


def test_what_a_socket_does_not_take_waits_in_order(transport, outbox):
    transport.handle.room = 2
    outbox.write(b"abc")
    outbox.write(b"def")
    assert (transport.handle.taken, transport.value(), outbox.way) == (b"ab", b"cdef", None)
    transport.handle.room = ROOM
    transport.turn()
    outbox.write(b"g")
    assert transport.handle.taken == b"abcdefg"


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError(), BrokenPipeError()])
def test_a_socket_that_is_full_or_broken_is_left_to_the_transport(transport, outbox, error):
    transport.handle.error = error
    outbox.write(b"abc")
    assert transport.value() == b"abc"


def test_it_is_ready_again_once_all_has_left(transport, outbox):
    transport.handle.room = 0
    outbox.write(b"x" * 200)
    assert not outbox.ready
    transport.handle.room = 150
    transport.turn()
    assert not outbox.ready
    transport.handle.room = ROOM
    transport.turn()
    assert (outbox.ready, transport.reports) == (True, ["drained"])


def test_behind_its_close_nothing_goes_past_the_transport(transport, outbox):
    outbox.close()
    outbox.write(b"x")
    assert (transport.handle.taken, transport.value()) == (b"", b"x")


def test_behind_the_connection_s_end_nothing_is_sent(transport, outbox):
    outbox.stopProducing()
    outbox.write(b"x")
    assert transport.handle.calls == 0


def test_a_connection_that_is_lost_gets_no_straight_way_back(transport, outbox):
    outbox.stopProducing()
    outbox.resumeProducing()
    outbox.write(b"x")
    assert transport.handle.calls == 0


def test_a_transport_that_closes_is_let_go_of_once_it_is_empty(transport, outbox):
    transport.handle.room = 0
    outbox.write(b"last")
    transport.disconnecting = True
    transport.handle.room = ROOM
    transport.turn()
    assert (transport.handle.taken, transport.producer) == (b"last", None)


def test_where_the_transport_is_no_tcp_it_is_written_to(clock):
    transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
    outbox = Outbox(transport, clock, 100, lambda: None)
    outbox.write(b"x")
    assert (transport.value(), outbox.way) == (b"x", None)
