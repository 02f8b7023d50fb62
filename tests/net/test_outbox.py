"""Bytes go straight to an idle socket, and in their order whatever it takes."""

import pytest
from sockets import ROOM, Wire

from mtnet.net.output.buffer import Outbox
from mtnet.testing import TerminalTransport


@pytest.fixture
def wire(clock):
    made = Wire(clock)
    yield made
    made.handle.close()


@pytest.fixture
def outbox(wire, clock):
    made = Outbox(wire, clock, 100, lambda: wire.reports.append("drained"))
    wire.turn()
    return made


def test_nothing_goes_past_what_others_have_written(wire, clock):
    wire.write(b"greeting ")
    outbox = Outbox(wire, clock, 100, lambda: None)
    outbox.write(b"first")
    assert wire.handle.taken == b""
    wire.turn()
    outbox.write(b" second")
    assert wire.handle.taken == b"greeting first second"
    assert wire.value() == b""


def test_an_idle_socket_is_written_to_at_once(wire, outbox):
    outbox.write(b"now")
    assert (wire.handle.taken, wire.value(), outbox.ready) == (b"now", b"", True)


def test_what_a_socket_does_not_take_waits_in_order(wire, outbox):
    wire.handle.room = 2
    outbox.write(b"abc")
    outbox.write(b"def")
    assert (wire.handle.taken, wire.value(), outbox.way) == (b"ab", b"cdef", None)
    wire.handle.room = ROOM
    wire.turn()
    outbox.write(b"g")
    assert wire.handle.taken == b"abcdefg"


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError(), BrokenPipeError()])
def test_a_socket_that_is_full_or_broken_is_left_to_the_transport(wire, outbox, error):
    wire.handle.error = error
    outbox.write(b"abc")
    assert wire.value() == b"abc"


def test_it_is_ready_again_once_all_has_left(wire, outbox):
    wire.handle.room = 0
    outbox.write(b"x" * 200)
    assert not outbox.ready
    wire.handle.room = 150
    wire.turn()
    assert not outbox.ready
    wire.handle.room = ROOM
    wire.turn()
    assert (outbox.ready, wire.reports) == (True, ["drained"])


def test_behind_its_close_nothing_goes_past_the_transport(wire, outbox):
    outbox.close()
    outbox.write(b"x")
    assert (wire.handle.taken, wire.value()) == (b"", b"x")


def test_behind_the_connection_s_end_nothing_is_sent(wire, outbox):
    outbox.stopProducing()
    outbox.write(b"x")
    assert wire.handle.calls == 0


def test_a_connection_that_is_lost_gets_no_straight_way_back(wire, outbox):
    outbox.stopProducing()
    outbox.resumeProducing()
    outbox.write(b"x")
    assert wire.handle.calls == 0


def test_a_transport_that_closes_is_let_go_of_once_it_is_empty(wire, outbox):
    wire.handle.room = 0
    outbox.write(b"last")
    wire.disconnecting = True
    wire.handle.room = ROOM
    wire.turn()
    assert (wire.handle.taken, wire.producer) == (b"last", None)


def test_where_the_transport_is_no_tcp_it_is_written_to(clock):
    transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
    outbox = Outbox(transport, clock, 100, lambda: None)
    outbox.write(b"x")
    assert (transport.value(), outbox.way) == (b"x", None)
