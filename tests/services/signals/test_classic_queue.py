"""What a classic follower is told, and when."""

import tracemalloc
from decimal import Decimal
from itertools import pairwise
from random import Random

import pytest

from mtnet.services.signals.book import Channel
from mtnet.services.signals.classic.queue import (
    MOST_KEPT,
    OLD_AGAIN,
    OLD_SHARE,
    SHARE,
    ClassicQueue,
    SharedState,
)
from mtnet.services.signals.model import Entry
from mtnet.services.signals.settings import SignalSettings

HOUR = 3_600_000


class Follower:
    """A queue with its book, run along a time line that both clocks share."""

    def __init__(self, known=(), **settings):
        self.settings = SignalSettings(**settings)
        self.book = Channel("main")
        self.when, self.frames = 0.0, []
        for symbol, volume, age in sorted(known, key=lambda each: -each[2]):
            self.store(symbol, volume, self.wall - age)
        self.state = SharedState(self.book, self.settings.repeat_closed)
        self.connect()

    def connect(self):
        self.queue = ClassicQueue(self.settings, self.state, self.when)

    @property
    def wall(self):
        return 100 * 24 * HOUR + int(self.when * 1000)

    def set(self, symbol, volume):
        self.queue.offer(self.store(symbol, volume, self.wall), self.when)

    def store(self, symbol, volume, when):
        entry = Entry("main", symbol, Decimal(volume), when, seq=self.book.seq + 1)
        return self.book.apply(entry, when / 1000)

    def run(self, until):
        """Take frames, waking only when the queue says so; return what was taken."""
        taken = []
        while True:
            frame = self.queue.take(self.when, self.wall / 1000)
            if frame is not None:
                taken.append((self.when, frame.decode().strip("<>\r\n")))
                symbol, _, volume = taken[-1][1].partition("|")
                assert self.book.volume(symbol) == Decimal(volume), "it is told of the past"
                continue
            due = self.queue.due()
            if due is None or due > until:
                self.when = until
                return taken
            assert due > self.when, "the queue would be polled in a loop"
            self.when = due

    def got(self, until):
        return [frame for _, frame in self.run(until)]


def test_the_first_frame_leaves_at_once_and_the_others_are_paced():
    follower = Follower([("A", 1, 0), ("B", 2, 1), ("C", 3, 2)], repeat=0)
    assert follower.run(60) == [(0.0, "A|1.00"), (2.5, "B|2.00"), (5.0, "C|3.00")]


def test_a_new_follower_hears_recent_closes_then_positions_then_older_closes():
    known = [("OLD", 0, HOUR), ("OPEN", 1, 2 * HOUR), ("RECENT", 0, 60_000)]
    assert Follower(known, repeat=0).run(600) == [
        (0.0, "RECENT|0.00"),
        (2.5, "OPEN|1.00"),
        (5.0, "OLD|0.00"),
        (10.0, "RECENT|0.00"),
        (17.5, "OLD|0.00"),
        (30.0, "RECENT|0.00"),
    ]


def test_a_close_is_remembered_for_new_followers_only_so_long():
    follower = Follower([("A", 0, 8 * 24 * HOUR), ("B", 0, 6 * 24 * HOUR)], repeat=0)
    assert follower.got(60) == ["B|0.00", "B|0.00"]


def test_a_close_overtakes_everything_that_waits():
    follower = Follower([(f"S{n}", 1, n) for n in range(20)], repeat=0)
    follower.got(3)
    follower.set("NEW", 1)
    follower.set("S7", 0)
    assert follower.got(8) == ["S7|0.00", "NEW|1.00"]


@pytest.mark.parametrize("volume", ["0.5", "-1"])
def test_a_reduction_and_a_reversal_overtake_an_increase(volume):
    follower = Follower([("A", 1, 0), ("B", 1, 1)], repeat=0, resend_after=())
    follower.got(10)
    follower.set("B", 2)
    follower.set("A", volume)
    assert [frame[0] for frame in follower.got(20)] == ["A", "B"]


def test_a_newer_position_replaces_the_older_and_keeps_its_place():
    follower = Follower([("A", 1, 0)], repeat=0, resend_after=())
    follower.got(0)
    follower.set("B", 1)
    follower.set("C", 1)
    follower.set("B", 2)
    assert follower.got(60) == ["B|2.00", "C|1.00"]


def test_a_reduction_is_measured_against_what_was_told_last():
    follower = Follower([("A", 1, 0), ("B", 5, 1)], repeat=0, resend_after=())
    follower.got(3)
    follower.set("A", 3)
    follower.set("A", 2)
    follower.set("B", 6)
    assert follower.got(60) == ["A|2.00", "B|6.00"]


def test_each_change_is_told_again_after_10_and_30_seconds():
    follower = Follower(repeat=0)
    follower.set("A", 1)
    assert follower.run(600) == [(0.0, "A|1.00"), (10.0, "A|1.00"), (30.0, "A|1.00")]


def test_a_newer_change_ends_the_repetition_of_the_older():
    follower = Follower(repeat=0)
    follower.set("A", 1)
    follower.got(5)
    follower.set("A", 2)
    assert follower.got(600) == ["A|2.00"] * 3


def test_the_whole_state_is_repeated_each_minute():
    follower = Follower([("A", 1, 0), ("B", 2, 1)], resend_after=())
    assert follower.run(125) == [
        (0.0, "A|1.00"),
        (2.5, "B|2.00"),
        (60.0, "A|1.00"),
        (62.5, "B|2.00"),
        (120.0, "A|1.00"),
        (122.5, "B|2.00"),
    ]


def test_a_change_never_waits_behind_the_repetition():
    follower = Follower([(f"S{n}", 1, n) for n in range(20)], resend_after=())
    follower.got(70)
    follower.set("NEW", 1)
    assert follower.got(73)[0] == "NEW|1.00"


def test_a_flat_symbol_leaves_the_repetition_after_15_minutes():
    follower = Follower(resend_after=())
    follower.set("A", 0)
    got = [when for when, _ in follower.run(3_600)]
    assert got == [0.0, *(60.0 * n for n in range(1, 16))]


def test_the_repetition_can_be_switched_off():
    follower = Follower([("A", 1, 0)], repeat=0)
    assert follower.run(3_600) == [(0.0, "A|1.00")]
    assert follower.queue.due() is None


def test_without_pacing_every_change_is_a_frame_of_its_own():
    follower = Follower(pace=0, repeat=0, resend_after=())
    for volume in range(1, 6):
        follower.set("A", volume)
        assert follower.run(0) == [(0.0, f"A|{volume}.00")]


def test_a_symbol_that_the_book_forgot_is_not_told_and_wakes_nobody():
    follower = Follower([("A", 0, 0), ("B", 0, 1)], repeat=0)
    follower.book.expire(follower.wall / 1000 + 1)
    assert follower.got(60) == []
    assert follower.queue.due() is None


def test_a_close_reaches_a_new_follower_within_5_seconds_beside_30_remembered_ones():
    follower = Follower([(f"S{n}", 0, n * 1000) for n in range(30)], resend_after=(10.0, 30.0))
    for close in range(10):
        follower.got(follower.when + 7.3)
        follower.set(f"OPEN{close}", 1)
        follower.got(follower.when + 9.1)
        since = follower.when
        follower.set(f"OPEN{close}", 0)
        got = follower.run(since + 4)
        assert f"OPEN{close}|0.00" in [frame for when, frame in got if when - since <= 2.5]


def test_recent_closes_are_told_the_last_one_first_and_behind_fresh_ones():
    follower = Follower([("A", 0, 60_000), ("B", 0, 30_000), ("C", 0, 10_000), ("OPEN", 1, 0)])
    assert follower.got(0) == ["C|0.00"]
    follower.set("NEW", 1)
    follower.set("OPEN", 0)
    assert follower.got(10) == ["OPEN|0.00", "B|0.00", "A|0.00", "NEW|1.00"]
    assert follower.got(15) == ["C|0.00", "OPEN|0.00"]


def test_an_old_close_is_told_twice_some_time_apart_and_never_again():
    follower = Follower([("A", 0, HOUR), ("B", 0, 2 * HOUR)])
    assert follower.run(24 * 3_600) == [
        (0.0, "A|0.00"),
        (2.5, "B|0.00"),
        (5.0 + OLD_AGAIN, "A|0.00"),
        (7.5 + OLD_AGAIN, "B|0.00"),
    ]


def test_an_old_close_that_has_changed_meanwhile_is_told_as_a_change_alone():
    follower = Follower([("A", 0, HOUR), ("B", 0, 2 * HOUR)], resend_after=())
    assert follower.got(0) == ["A|0.00"]
    follower.set("B", 1)
    follower.set("B", 0)
    assert follower.got(40) == ["B|0.00", "A|0.00"]


OLD = [(f"OLD{n:04}", 0, HOUR + n * 140_000) for n in range(4_096)]
"""As many closes as a channel remembers, of the last 7 days."""
HELD = [(f"HELD{n:02}", 1, 8 * HOUR + n) for n in range(32)]
BUSY = [(f"BUSY{n}", 1, HOUR + n) for n in range(8)]


class Provider:
    """
    Somebody with 40 symbols who changes one at even intervals while a follower is told.

    Args:
        volumes: which ones he sets; the symbols are `BUSY` if he closes any, else all.
    """

    def __init__(self, every, known=(), volumes=(0, 0, 1, 2, 3, -1, -2)):
        self.every, self.volumes, self.chance = every, volumes, Random(0)
        self.symbols = [symbol for symbol, _, _ in (BUSY if 0 in volumes else BUSY + HELD)]
        self.follower, self.changes = Follower([*known, *HELD, *BUSY]), []
        self.next = every

    def run(self, until):
        """Return what the follower is told."""
        got = []
        while self.next <= until:
            got += self.follower.run(self.next)
            symbol = self.chance.choice(self.symbols)
            volume = self.chance.choice(self.volumes)
            if self.follower.book.volume(symbol) != volume:
                self.follower.set(symbol, volume)
                self.changes.append((self.next, symbol, volume))
            self.next += self.every
        return got + self.follower.run(until)


INTERVALS = [2, 4, 5, 6, 8, 12, 20]


def times(got, symbol):
    return [when for when, frame in got if frame.partition("|")[0] == symbol]


@pytest.mark.parametrize("every", INTERVALS)
@pytest.mark.parametrize(
    "volumes", [(0, 0, 1, 2, 3, -1, -2), (1, 2, 3, -1, -2)], ids=["closing some", "holding all"]
)
def test_40_symbols_are_told_within_6_minutes_and_again_each_7_beside_old_closes(every, volumes):
    got = Provider(every, OLD, volumes).run(3_600)
    for symbol, _, _ in HELD:
        heard = times(got, symbol)
        assert heard[0] <= 6 * 60
        assert max(later - when for when, later in pairwise([*heard, 3_600])) <= 7 * 60


@pytest.mark.parametrize("every", INTERVALS)
def test_an_old_close_is_told_at_most_twice_however_busy_the_provider_is(every):
    got = Provider(every, OLD[:40]).run(3 * 3_600)
    assert {len(times(got, symbol)) for symbol, _, _ in OLD[:40]} == {2}


@pytest.mark.parametrize("every", INTERVALS)
def test_old_closes_begin_after_the_greeting_and_are_few(every):
    provider = Provider(every, OLD)
    got = provider.run(2_000)
    frames = [frame.partition("|")[0] for _, frame in got]
    old = [at for at, symbol in enumerate(frames) if symbol.startswith("OLD")]
    assert old[0] > max(frames.index(symbol) for symbol, _, _ in HELD)
    if every == 2:  # nothing is ever idle
        assert {second - first for first, second in pairwise(old)} == {OLD_SHARE}


@pytest.mark.parametrize("every", INTERVALS)
def test_a_close_waits_for_other_closes_and_one_frame_of_the_shared_ones(every):
    provider = Provider(every, OLD)
    got = provider.run(3_600)
    waited = []
    for when, symbol, volume in provider.changes:
        if volume == 0:
            after = [frame.partition("|")[0] for at, frame in got if at >= when]
            waited.append(after.index(symbol) if symbol in after else 0)
    assert len(waited) > 20
    assert max(waited) <= (1 if every >= 8 else SHARE * len(BUSY))


def test_with_an_idle_cycle_old_closes_are_told_beside_a_provider_that_never_rests():
    provider = Provider(2, OLD[:4])
    provider.follower = Follower([*OLD[:4], *BUSY], repeat=0)
    got = provider.run(1_200)
    assert {len(times(got, symbol)) for symbol, _, _ in OLD[:4]} == {2}


def test_without_pacing_the_greeting_is_told_at_once():
    follower = Follower([*HELD, ("RECENT", 0, 1)], pace=0, repeat=0, resend_after=())
    assert {frame for _, frame in follower.run(0)} == {
        "RECENT|0.00",
        *(f"{symbol}|1.00" for symbol, _, _ in HELD),
    }


def test_followers_of_one_channel_share_what_is_large():
    first = Follower(OLD)
    queues = [ClassicQueue(first.settings, first.state, 0.0) for _ in range(2)]
    assert queues[0]._greeting is queues[1]._greeting
    tracemalloc.start()
    try:
        queues += [ClassicQueue(first.settings, first.state, 0.0) for _ in range(100)]
        for queue in queues:
            queue.take(0.0, first.wall / 1000)
        assert tracemalloc.get_traced_memory()[0] < 100 * 1_000
    finally:
        tracemalloc.stop()


def test_of_very_many_recent_closes_a_follower_keeps_no_list():
    follower = Follower([(f"S{n}", 0, 10_000 + n) for n in range(4_096)])
    follower.run(600)
    assert len(follower.queue._changes) <= MOST_KEPT
