"""What a follower of the published dialect is told, and when."""

from decimal import Decimal

import pytest

from mtnet.settings import Signals
from mtnet.signals.book import Channel
from mtnet.signals.entries import Entry
from mtnet.signals.published import PublishedQueue

HOUR = 3_600_000


class Follower:
    """A queue with its book, run along a time line that both clocks share."""

    def __init__(self, known=(), **settings):
        self.settings = Signals(**settings)
        self.book = Channel("main")
        self.when, self.frames = 0.0, []
        for symbol, volume, age in known:
            self.store(symbol, volume, self.wall - age)
        self.queue = PublishedQueue(self.settings, self.book.net, self.when, self.wall)

    @property
    def wall(self):
        return 100 * 24 * HOUR + int(self.when * 1000)

    def set(self, symbol, volume):
        self.queue.offer(self.store(symbol, volume, self.wall), self.when)

    def store(self, symbol, volume, when):
        entry = Entry("main", symbol, Decimal(volume), when, seq=self.book.seq + 1)
        return self.book.apply(entry)

    def run(self, until):
        """Take frames, waking only when the queue says so; return what was taken."""
        taken = []
        while True:
            frame = self.queue.take(self.when, self.wall)
            if frame is not None:
                taken.append((self.when, frame.decode().strip("<>\r\n")))
                continue
            due = self.queue.due()
            if due is None or due > until:
                self.when = until
                return taken
            assert due > self.when, "the queue would be polled in a loop"
            self.when = due

    def told(self, until):
        return [frame for _, frame in self.run(until)]


def test_the_first_frame_leaves_at_once_and_the_others_are_paced():
    follower = Follower([("A", 1, 0), ("B", 2, 1), ("C", 3, 2)], repeat=0)
    assert follower.run(60) == [(0.0, "A|1.00"), (2.5, "B|2.00"), (5.0, "C|3.00")]


def test_a_new_follower_hears_fresh_closes_then_positions_then_older_closes():
    known = [("OLD", 0, HOUR), ("OPEN", 1, 2 * HOUR), ("FRESH", 0, 60_000)]
    assert Follower(known, repeat=0).told(60) == ["FRESH|0.00", "OPEN|1.00", "OLD|0.00"]


def test_a_close_is_remembered_for_new_followers_only_so_long():
    follower = Follower([("A", 0, 8 * 24 * HOUR), ("B", 0, 6 * 24 * HOUR)], repeat=0)
    assert follower.told(60) == ["B|0.00"]


def test_a_close_overtakes_everything_that_waits():
    follower = Follower([(f"S{n}", 1, n) for n in range(20)], repeat=0)
    follower.told(3)
    follower.set("NEW", 1)
    follower.set("S7", 0)
    assert follower.told(8) == ["S7|0.00", "NEW|1.00"]


@pytest.mark.parametrize("volume", ["0.5", "-1"])
def test_a_reduction_and_a_reversal_overtake_an_increase(volume):
    follower = Follower([("A", 1, 0), ("B", 1, 1)], repeat=0, again=())
    follower.told(10)
    follower.set("B", 2)
    follower.set("A", volume)
    assert [frame[0] for frame in follower.told(20)] == ["A", "B"]


def test_a_newer_position_replaces_the_older_and_keeps_its_place():
    follower = Follower([("A", 1, 0)], repeat=0, again=())
    follower.told(0)
    follower.set("B", 1)
    follower.set("C", 1)
    follower.set("B", 2)
    assert follower.told(60) == ["B|2.00", "C|1.00"]


def test_a_reduction_is_measured_against_what_was_told_last():
    follower = Follower([("A", 1, 0), ("B", 5, 1)], repeat=0, again=())
    follower.told(3)
    follower.set("A", 3)
    follower.set("A", 2)
    follower.set("B", 6)
    assert follower.told(60) == ["A|2.00", "B|6.00"]


def test_each_change_is_told_again_after_10_and_30_seconds():
    follower = Follower(repeat=0)
    follower.set("A", 1)
    assert follower.run(600) == [(0.0, "A|1.00"), (10.0, "A|1.00"), (30.0, "A|1.00")]


def test_a_newer_change_ends_the_repetition_of_the_older():
    follower = Follower(repeat=0)
    follower.set("A", 1)
    follower.told(5)
    follower.set("A", 2)
    assert follower.told(600) == ["A|2.00"] * 3


def test_the_whole_state_is_repeated_each_minute():
    follower = Follower([("A", 1, 0), ("B", 2, 1)], again=())
    assert follower.run(125) == [
        (0.0, "A|1.00"),
        (2.5, "B|2.00"),
        (60.0, "A|1.00"),
        (62.5, "B|2.00"),
        (120.0, "A|1.00"),
        (122.5, "B|2.00"),
    ]


def test_a_change_never_waits_behind_the_repetition():
    follower = Follower([(f"S{n}", 1, n) for n in range(20)], again=())
    follower.told(70)
    follower.set("NEW", 1)
    assert follower.told(73)[0] == "NEW|1.00"


def test_a_flat_symbol_leaves_the_repetition_after_15_minutes():
    follower = Follower(again=())
    follower.set("A", 0)
    told = [when for when, _ in follower.run(3_600)]
    assert told == [0.0, *(60.0 * n for n in range(1, 16))]


def test_the_repetition_can_be_switched_off():
    follower = Follower([("A", 1, 0)], repeat=0)
    assert follower.run(3_600) == [(0.0, "A|1.00")]
    assert follower.queue.due() is None


def test_without_pacing_every_change_is_a_frame_of_its_own():
    follower = Follower(pace=0, repeat=0, again=())
    for volume in range(1, 6):
        follower.set("A", volume)
        assert follower.run(0) == [(0.0, f"A|{volume}.00")]


def test_a_symbol_that_the_book_forgot_is_not_told_and_wakes_nobody():
    follower = Follower([("A", 0, 0), ("B", 0, 1)], repeat=0)
    follower.book.expire(follower.wall + 1)
    assert follower.told(60) == []
    assert follower.queue.due() is None


def test_a_close_reaches_a_new_follower_within_5_seconds_beside_30_remembered_ones():
    follower = Follower([(f"S{n}", 0, n * 1000) for n in range(30)], again=(10.0, 30.0))
    for close in range(10):
        follower.told(follower.when + 7.3)
        follower.set(f"OPEN{close}", 1)
        follower.told(follower.when + 9.1)
        since = follower.when
        follower.set(f"OPEN{close}", 0)
        told = follower.run(since + 4)
        assert f"OPEN{close}|0.00" in [frame for when, frame in told if when - since <= 2.5]


def test_an_older_close_is_told_once_and_stands_alone_for_two_paces():
    follower = Follower([("OPEN", 1, 0), ("OLD", 0, HOUR), ("OLDER", 0, 2 * HOUR)], repeat=0)
    assert follower.run(600) == [(0.0, "OPEN|1.00"), (2.5, "OLD|0.00"), (7.5, "OLDER|0.00")]


def test_news_does_not_wait_for_an_older_close_which_is_then_told_once_more():
    follower = Follower([("OLD", 0, HOUR), ("OLDER", 0, 2 * HOUR)], repeat=0, again=())
    follower.told(1)
    follower.set("NEW", 1)
    assert follower.run(600) == [(2.5, "NEW|1.00"), (5.0, "OLDER|0.00"), (10.0, "OLD|0.00")]
