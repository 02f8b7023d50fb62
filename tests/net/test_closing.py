"""Stall detectors, and closes that end."""

import gc
import socket
import weakref

import pytest
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import alsoProvides

from mtnet.net import closing
from mtnet.net.closing import PROGRESS, LingeringClose, StallDetector, unacknowledged
from mtnet.net.transport import InFlight, in_flight


class Handle:
    """A transport with a socket."""

    def __init__(self, sock):
        self._socket = sock

    def getHandle(self):
        return self._socket


def test_bytes_that_the_peer_has_not_confirmed_are_counted():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        transport = Handle(ours)
        assert unacknowledged(transport) == 0
        ours.send(b"x" * 1000)
        assert unacknowledged(transport) >= 1000
        theirs.recv(5000)
        assert unacknowledged(transport) == 0
    assert unacknowledged(StringTransport()) == 0


def test_what_a_program_does_not_read_is_not_sent_again():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        with socket.create_connection(listener.getsockname()) as ours:
            theirs, _ = listener.accept()
            with theirs:
                assert in_flight(Handle(ours)) == InFlight(0)
                ours.setblocking(False)
                sent = ours.send(b"x" * 1_000_000)
                found = in_flight(Handle(ours))
                assert 0 < found.size <= sent
                assert not found.resent


def test_of_a_connection_that_is_lost_nothing_is_unacknowledged():
    class Lost:
        connected = False

        def getHandle(self):
            raise AttributeError("socket")  # as Twisted's transports do

    assert unacknowledged(Lost()) == 0


@pytest.fixture
def watch():
    """A watch of 5 s over `mark[0]`; `stalled` grows when it ends."""

    class Watched:
        def __init__(self):
            self.clock, self.mark, self.stalled = Clock(), [0], []
            self.watch = StallDetector(
                self.clock, 5, lambda: self.mark[0], lambda: self.stalled.append(1)
            )

    return Watched()


def test_what_stands_still_is_ended_once(watch):
    watch.clock.pump([1] * 4)
    assert watch.stalled == []
    watch.clock.pump([1] * 20)
    assert watch.stalled == [1]
    watch.watch.stop()


def test_what_moves_is_never_ended(watch):
    for _ in range(100):
        watch.mark[0] += 1
        watch.clock.pump([1] * 4)
    assert watch.stalled == []


def test_a_watch_that_was_stopped_ends_nothing(watch):
    watch.watch.stop()
    watch.clock.pump([1] * 20)
    assert watch.stalled == []


# A lingering close


class Transport(StringTransport):
    """Notes how it is closed."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def loseConnection(self):
        self.calls.append("close")

    def loseWriteConnection(self):
        self.calls.append("half")

    def abortConnection(self):
        self.calls.append("reset")


class Peer:
    """The peer of a close: `held` bytes are not acknowledged yet."""

    def __init__(self):
        self.clock, self.transport, self.held = Clock(), Transport(), 0
        self.unsent = 0

    def close(self, half):
        self.closing = LingeringClose(self.clock, self.transport, unsent=lambda: self.unsent)
        self.closing.begin(half)
        return self.transport.calls

    def wait(self, seconds):
        self.clock.pump([1] * int(seconds))


@pytest.fixture
def peer(monkeypatch):
    peer = Peer()
    monkeypatch.setattr(closing, "unacknowledged", lambda transport: peer.held)
    return peer


@pytest.mark.parametrize("half", [True, False])
def test_a_close_waits_while_the_last_bytes_move_and_resets_when_they_do_not(peer, half):
    peer.held = 1_000
    calls = peer.close(half)
    for _ in range(20):
        peer.held -= 10
        peer.wait(4)
    assert calls == ["half" if half else "close"]
    peer.wait(PROGRESS + 1)
    assert calls[1:] == ["reset"]


def test_a_half_close_that_the_peer_does_not_answer_is_a_whole_one_and_then_a_reset(peer):
    calls = peer.close(half=True)
    peer.wait(PROGRESS + 1)
    assert calls == ["half", "close"]
    peer.wait(PROGRESS + 1)
    assert calls == ["half", "close", "reset"]


def test_bytes_that_were_not_written_are_waited_for_too(peer):
    peer.unsent = 100
    calls = peer.close(half=True)
    for _ in range(10):
        peer.unsent -= 1
        peer.wait(4)
    assert calls == ["half"]
    peer.wait(PROGRESS + 1)
    assert calls == ["half", "reset"]


def test_tls_has_no_halves(peer):
    alsoProvides(peer.transport, ISSLTransport)
    assert peer.close(half=True) == ["close"]


def test_a_close_whose_connection_is_lost_does_nothing_more(peer):
    calls = peer.close(half=True)
    peer.closing.stop()
    peer.wait(20)
    assert calls == ["half"]
    assert peer.clock.getDelayedCalls() == []


def test_a_close_whose_connection_is_lost_is_freed_without_a_collection_of_garbage():
    gc.disable()
    try:
        peer = Peer()
        peer.close(half=True)
        peer.closing.stop()
        freed = weakref.ref(peer), weakref.ref(peer.closing)
        del peer
        assert [each() for each in freed] == [None, None]
    finally:
        gc.enable()


def test_a_connection_that_is_lost_by_the_close_itself_is_watched_no_longer(peer):
    """Twisted does that where our half is closed already."""

    def lose():
        peer.transport.calls.append("lost")
        peer.closing.stop()

    calls = peer.close(half=True)
    peer.transport.loseConnection = lose
    peer.wait(PROGRESS + 1)
    assert calls == ["half", "lost"]
    assert peer.clock.getDelayedCalls() == []
