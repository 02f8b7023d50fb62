"""What waits for a peer waits in order, within bounds, and in whole frames."""

import pytest
from twisted.internet.defer import CancelledError
from twisted.logger import capturedLogs

from mtnet.net.output import queue
from mtnet.net.output.queue import SendQueue
from mtnet.net.timer_wheel import TimerWheel
from mtnet.testing import TerminalTransport

MOST = 100
PIECE = 10


class Peer:
    def __init__(self, clock, wheel=None):
        self.transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
        self.transport.stalled = True
        self.overflows = 0
        self.queue = SendQueue(self.transport, clock, MOST, self, wheel=wheel)

    def overflowed(self):
        self.overflows += 1

    def fill(self):
        """Have as much with the transport as it takes."""
        self.queue.write(b"x" * PIECE)
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
    peer.queue.write(b"a")
    peer.queue.write(b"b")
    assert peer.transport.value() == b"ab"


def test_what_waits_goes_out_in_order_as_the_peer_reads(peer):
    peer.fill()
    for frame in (b"1111", b"2222", b"3333", b"4444"):
        peer.queue.write(frame)
    assert peer.transport.value() == b""
    assert peer.read() == b"111122223333", "one piece, of whole frames"
    peer.queue.write(b"5555")
    assert peer.read() == b"44445555"
    assert peer.read() == b""
    peer.queue.write(b"6")
    assert peer.transport.value() == b"6"


def test_too_much_is_told_once_and_in_a_turn_of_its_own(peer, clock):
    peer.fill()
    for _ in range(MOST + 20):
        peer.queue.write(b"x")
    assert peer.overflows == 0
    clock.advance(0)
    assert peer.overflows == 1
    peer.queue.write(b"y" * 1_000)
    clock.advance(0)
    assert peer.overflows == 1


def test_just_enough_is_not_too_much(peer, clock):
    peer.fill()
    for _ in range(MOST):
        peer.queue.write(b"x")
    clock.advance(0)
    assert peer.overflows == 0


def test_what_the_peer_has_read_waits_no_longer(peer, clock):
    peer.fill()
    for _ in range(20):
        for _ in range(5):
            peer.queue.write(b"x" * 10)
        for _ in range(5):
            peer.read()
    clock.advance(0)
    assert peer.overflows == 0


def test_there_is_room_when_nothing_waits(peer):
    assert peer.queue.when_empty().called
    peer.fill()
    waiting = peer.queue.when_empty()
    peer.queue.write(b"a" * PIECE)
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
        peer.queue.write(b"%d" % number * PIECE)

    for number in range(3):
        peer.queue.when_empty().addCallback(say, number)
    assert peer.read() == b"0" * PIECE
    assert order == [0]
    assert peer.read() == b"1" * PIECE
    assert peer.read() == b"2" * PIECE


def test_a_wait_for_room_can_be_cancelled(peer):
    peer.fill()
    gave_up, first, second = [], peer.queue.when_empty(), peer.queue.when_empty()
    first.addErrback(lambda failure: gave_up.append(failure.check(CancelledError)))
    first.cancel()
    peer.read()
    assert gave_up == [CancelledError]
    assert second.called


def test_a_callback_that_gets_room_can_cancel_the_other_waits(peer):
    peer.fill()
    first, second = peer.queue.when_empty(), peer.queue.when_empty()
    second.addErrback(lambda failure: failure.trap(CancelledError))
    first.addCallback(lambda _: second.cancel())
    peer.read()
    assert first.called


def test_a_close_hands_over_all_that_waits_and_the_last_frame_behind_it(peer, clock):
    peer.fill()
    peer.queue.write(b"a" * 50)
    peer.queue.close(b"end")
    assert peer.transport.value() == b"a" * 50 + b"end"
    assert peer.transport.producer is None
    peer.queue.write(b"more")
    peer.queue.close(b"again")
    assert peer.transport.value().endswith(b"end")


def test_what_was_dropped_is_not_sent_by_the_close(peer, clock):
    peer.fill()
    peer.queue.write(b"a" * 200)
    peer.queue.clear()
    peer.queue.close(b"slow")
    assert peer.transport.value() == b"slow"
    clock.advance(0)
    assert peer.overflows == 0, "who is closed does not overflow"
    assert clock.getDelayedCalls() == []


def test_a_lost_connection_leaves_nothing(peer, clock):
    peer.fill()
    peer.queue.write(b"a" * 200)
    peer.transport.producer.stopProducing()
    peer.queue.write(b"b")
    peer.queue.close()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


def test_it_knows_when_something_was_said_last(peer, clock):
    clock.advance(3)
    assert peer.queue.last_write == 0
    peer.queue.write(b"a")
    assert peer.queue.last_write == 3


# What is posted


@pytest.fixture
def people(clock):
    """Two who look on, and read."""
    wheel = TimerWheel(clock, 0.25)
    peers = [Peer(clock, wheel) for _ in range(2)]
    for each in peers:
        each.transport.stalled = False
    return peers


def test_what_is_posted_leaves_together_and_for_all_in_one_turn(people, clock):
    for each in people:
        each.queue.post(b"a")
        each.queue.post(b"b")
    assert [each.transport.value() for each in people] == [b"", b""]
    assert len(clock.getDelayedCalls()) == 1
    clock.advance(0.25)
    assert [each.transport.value() for each in people] == [b"ab", b"ab"]
    assert clock.getDelayedCalls() == []


def test_what_is_written_comes_behind_what_was_posted(people, clock):
    first, _ = people
    first.queue.post(b"a")
    first.queue.write(b"b")
    assert first.transport.value() == b"ab"
    first.queue.post(b"c")
    first.queue.close(b"d")
    assert first.transport.value() == b"abcd"
    clock.advance(0.25)
    assert first.transport.value() == b"abcd"


def test_news_that_is_made_is_made_when_it_leaves(people, clock):
    first, second = people
    newest = [b"a"]
    first.queue.post_made(newest.pop)
    first.queue.post_made(newest.pop)
    newest[:] = [b"b"]
    first.queue.post(b"c")
    clock.advance(0.25)
    assert first.transport.value() == b"cb"
    second.queue.post_made(lambda: b"")
    clock.advance(0.25)
    assert second.queue.last_write == 0


def test_news_that_cannot_be_made_holds_back_no_other(people, clock):
    first, _ = people
    first.queue.post(b"a")
    first.queue.post_made([].pop)
    with capturedLogs() as logged:
        clock.advance(0.25)
    assert logged[0]["log_failure"].check(IndexError)
    first.queue.post(b"b")
    clock.advance(0.25)
    assert first.transport.value() == b"ab"


def test_nothing_is_made_for_one_who_has_gone(people, clock):
    first, _ = people
    first.queue.post_made([].pop)
    first.queue.close()
    clock.advance(0.25)


def test_what_comes_often_is_gathered_until_shortly_before_it_leaves(people, clock):
    first, _ = people
    clock.advance(0.26)
    wait = first.queue.flush_delay()
    clock.advance(wait)
    first.queue.post(b"a")
    assert 0.2 < wait < 0.24
    assert first.queue.flush_delay() == 0
    clock.advance(queue.LEAD)
    assert first.transport.value() == b"a"


def test_to_all_others_it_leaves_at_once(peer):
    assert peer.queue.flush_delay() == 0
    peer.queue.post(b"a")
    peer.queue.post_made(lambda: b"b")
    assert peer.transport.value() == b"ab"


def test_more_than_a_piece_waits_no_longer(people):
    first, _ = people
    first.queue.post(b"a" * (queue.PIECE + 1))
    assert first.transport.value() == b""
    first.queue.post(b"b")
    assert first.transport.value().endswith(b"ab")


def test_what_was_posted_counts_when_the_peer_does_not_read(people, clock):
    first, _ = people
    first.transport.stalled = True
    for _ in range(8):
        first.queue.post(b"x" * queue.PIECE)
        clock.advance(0.25)
    assert first.overflows == 1
