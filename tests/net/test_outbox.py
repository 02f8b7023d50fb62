"""Bytes go straight to an idle socket, and in their order whatever it takes."""

import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.interfaces import ISystemHandle, ITCPTransport
from zope.interface import directlyProvides

from mtnet.net.backlog import Backlog, shout
from mtnet.net.outbox import FLAGS, Outbox
from mtnet.testing import TerminalTransport

ROOM = 1_000


class Handle(socket.socket):
    """A socket that takes as many bytes as the test lets it, without a connection."""

    def __init__(self):
        super().__init__()
        self.room, self.taken, self.calls, self.error = ROOM, b"", 0, None

    def send(self, data, flags=0):
        assert flags == FLAGS
        self.calls += 1
        if self.error:
            raise self.error
        if not self.room:
            raise BlockingIOError
        sent = min(self.room, len(data))
        self.room -= sent
        self.taken += data[:sent]
        return sent


class Wire(TerminalTransport):
    """
    A TCP transport as Twisted's: what is written waits until the reactor's turn.

    Attributes:
        handle: its socket; all that ever left is there.
    """

    def __init__(self, clock):
        super().__init__(clock, "127.0.0.1", "127.0.0.1")
        self.handle = Handle()
        self.writing = False
        self.reports = []
        directlyProvides(self, ITCPTransport, ISystemHandle)

    def getHandle(self):
        return self.handle

    def startWriting(self):
        self.writing = True

    def write(self, data):
        self.io.write(data)
        self.writing = True

    def turn(self):
        """Let the reactor find the socket writable."""
        if not self.writing or not self.handle.room:
            return
        waiting = self.value()
        sent = self.handle.send(waiting, FLAGS) if waiting else 0
        self.clear()
        self.io.write(waiting[sent:])
        if sent == len(waiting):
            self.writing = False
            if self.producer is not None:
                self.producer.resumeProducing()


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
    assert (wire.handle.taken, wire.value(), outbox.idle) == (b"ab", b"cdef", False)
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


def test_where_the_transport_is_no_tcp_it_is_written_to(clock):
    transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
    outbox = Outbox(transport, clock, 100, lambda: None)
    outbox.write(b"x")
    assert (transport.value(), outbox.send) == (b"x", None)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 300).map(lambda size: ("write", size)),
            st.integers(1, 300).map(lambda size: ("shout", size)),
            st.integers(0, 400).map(lambda room: ("room", room)),
            st.just(("turn", 0)),
        ),
        max_size=60,
    )
)
def test_every_byte_leaves_once_and_in_order_whatever_the_socket_takes(clock, steps):
    wire, said, count = Wire(clock), b"", 0
    backlog = Backlog(wire, clock, 1_000_000, lambda: None)
    try:
        for what, number in steps:
            if what == "room":
                wire.handle.room = number
            elif what == "turn":
                wire.turn()
            else:
                count += 1
                frame = (b"%d," % count) * number
                said += frame
                if what == "write":
                    backlog.write(frame)
                else:
                    shout([backlog], frame, 0.0)
        wire.handle.room = 10**9
        for _ in range(100):
            wire.turn()
        assert wire.handle.taken == said
        assert backlog.outbox.idle
    finally:
        wire.handle.close()


def test_a_crowd_is_told_and_whoever_is_behind_keeps_nobody_waiting(clock):
    wires = [Wire(clock) for _ in range(3)]
    backlogs = [Backlog(wire, clock, 1_000, lambda: None) for wire in wires]
    for wire in wires:
        wire.turn()
    wires[1].handle.room = 0
    clock.advance(5)
    shout(backlogs, b"news", clock.seconds())
    shout(backlogs, b" and more", clock.seconds())
    assert [wire.handle.taken for wire in wires] == [b"news and more", b"", b"news and more"]
    assert [backlog.written for backlog in backlogs] == [5, 5, 5]
    wires[1].handle.room = ROOM
    wires[1].turn()
    assert wires[1].handle.taken == b"news and more"
    for wire in wires:
        wire.handle.close()
