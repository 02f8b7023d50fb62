"""What waits for a peer waits in order, within bounds, and in whole frames."""

import pytest
from twisted.internet.defer import CancelledError

from mtnet.net.output import queue
from mtnet.net.output.queue import Backlog
from mtnet.testing import TerminalTransport

MOST = 100
PIECE = 10


class Peer:
    def __init__(self, clock):
        self.transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
        self.transport.stalled = True
        self.overflows = 0
        self.backlog = Backlog(self.transport, clock, MOST, self.overflow)

    def overflow(self):
        self.overflows += 1

    def fill(self):
        """Have as much with the transport as it takes."""
        self.backlog.write(b"x" * PIECE)
        self.transport.clear()

    def read(self):
        """Let the peer read; return what it is told behind that."""
        self.transport.clear()
        self.transport.producer.resumeProducing()
        return self.transport.value()


@pytest.fixture
def peer(clock, monkeypatch):
    monkeypatch.setattr(queue, "PIECE", PIECE)
    return Peer(clock)


def test_what_is_written_to_a_peer_that_reads_goes_out_at_once(peer):
    peer.backlog.write(b"a")
    peer.backlog.write(b"b")
    assert peer.transport.value() == b"ab"


def test_what_waits_goes_out_in_order_as_the_peer_reads(peer):
    peer.fill()
    for frame in (b"1111", b"2222", b"3333", b"4444"):
        peer.backlog.write(frame)
    assert peer.transport.value() == b""
    assert peer.read() == b"111122223333", "one piece, of whole frames"
    peer.backlog.write(b"5555")
    assert peer.read() == b"44445555"
    assert peer.read() == b""
    peer.backlog.write(b"6")
    assert peer.transport.value() == b"6"


def test_too_much_is_told_once_and_in_a_turn_of_its_own(peer, clock):
    peer.fill()
    for _ in range(MOST + 20):
        peer.backlog.write(b"x")
    assert peer.overflows == 0
    clock.advance(0)
    assert peer.overflows == 1
    peer.backlog.write(b"y" * 1_000)
    clock.advance(0)
    assert peer.overflows == 1


def test_just_enough_is_not_too_much(peer, clock):
    peer.fill()
    for _ in range(MOST):
        peer.backlog.write(b"x")
    clock.advance(0)
    assert peer.overflows == 0


def test_what_the_peer_has_read_waits_no_longer(peer, clock):
    peer.fill()
    for _ in range(20):
        for _ in range(5):
            peer.backlog.write(b"x" * 10)
        for _ in range(5):
            peer.read()
    clock.advance(0)
    assert peer.overflows == 0


def test_there_is_room_when_nothing_waits(peer):
    assert peer.backlog.room().called
    peer.fill()
    waiting = peer.backlog.room()
    peer.backlog.write(b"a" * PIECE)
    assert not waiting.called
    peer.read()
    assert not waiting.called
    peer.read()
    assert waiting.called


def test_those_who_wait_for_room_get_it_one_by_one(peer):
    peer.fill()
    order = []

    def say(_, number):
        order.append(number)
        peer.backlog.write(b"%d" % number * PIECE)

    for number in range(3):
        peer.backlog.room().addCallback(say, number)
    assert peer.read() == b"0" * PIECE
    assert order == [0]
    assert peer.read() == b"1" * PIECE
    assert peer.read() == b"2" * PIECE


def test_who_waits_for_room_may_give_up(peer):
    peer.fill()
    gave_up, first, second = [], peer.backlog.room(), peer.backlog.room()
    first.addErrback(lambda failure: gave_up.append(failure.check(CancelledError)))
    first.cancel()
    peer.read()
    assert gave_up == [CancelledError]
    assert second.called


def test_who_gets_room_may_make_the_others_give_up(peer):
    peer.fill()
    first, second = peer.backlog.room(), peer.backlog.room()
    second.addErrback(lambda failure: failure.trap(CancelledError))
    first.addCallback(lambda _: second.cancel())
    peer.read()
    assert first.called


def test_a_close_hands_over_all_that_waits_and_the_last_frame_behind_it(peer, clock):
    peer.fill()
    peer.backlog.write(b"a" * 50)
    peer.backlog.close(b"end")
    assert peer.transport.value() == b"a" * 50 + b"end"
    assert peer.transport.producer is None
    peer.backlog.write(b"more")
    peer.backlog.close(b"again")
    assert peer.transport.value().endswith(b"end")


def test_what_was_dropped_is_not_sent_by_the_close(peer, clock):
    peer.fill()
    peer.backlog.write(b"a" * 200)
    peer.backlog.clear()
    peer.backlog.close(b"slow")
    assert peer.transport.value() == b"slow"
    clock.advance(0)
    assert peer.overflows == 0, "who is closed does not overflow"
    assert clock.getDelayedCalls() == []


def test_a_lost_connection_leaves_nothing(peer, clock):
    peer.fill()
    peer.backlog.write(b"a" * 200)
    peer.transport.producer.stopProducing()
    peer.backlog.write(b"b")
    peer.backlog.close()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


def test_it_knows_when_something_was_said_last(peer, clock):
    clock.advance(3)
    assert peer.backlog.written == 0
    peer.backlog.write(b"a")
    assert peer.backlog.written == 3
