"""From a publisher to the disk, and only then to followers."""

from decimal import Decimal

import pytest
from fakes.threads import ManualThread
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.clock import STEADY, WallClock
from mtnet.errors import JournalError, WireError
from mtnet.net.output.queue import SLICE
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.upkeep import EXPIRY, Upkeep
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.settings import RiskLimits, SignalSettings
from mtnet.services.signals.status.report import Status

DAY = 86_400_000


class Listener:
    """A follower that notes what it is told."""

    def __init__(self):
        self.got = []

    def changed(self, change):
        self.got.append(f"{change.symbol}|{change.volume}")


class Harness:
    """A desk on a disk and a clock of its own, with one follower and one publisher."""

    def __init__(self, folder, ahead=0, last_run=0, **settings):
        self.folder, self.settings, self.ahead = folder, SignalSettings(**settings), ahead
        self.clock, self.disk, self.follower = Clock(), ManualThread(), Listener()
        now = WallClock(lambda: self.wall, self.clock.seconds)
        now.compare_run(last_run)
        self.signals = SignalService(
            self.settings,
            Journal(folder / "signals.sqlite", 1_000),
            self.clock,
            now,
            self.disk,
        )
        self.upkeep = Upkeep(self.signals, self.clock)
        self.signals.open()
        self.signals.fanout.subscribe("main", self.follower)
        self.refused, self.closed = [], []
        self.publisher = self.join()

    def start(self):
        self.upkeep.start()
        self.signals.start()

    @property
    def wall(self):
        return 10**12 + self.ahead + int(self.clock.seconds() * 1000)

    def join(self):
        return self.signals.join(
            "a publisher",
            StringTransport(),
            refuse=lambda error: self.refused.append(str(error)),
            close=self.closed.append,
        )

    def submit(self, symbol, volume, publisher=None, channel="main"):
        self.signals.submit(publisher or self.publisher, channel, symbol, Decimal(volume))


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path)


def test_nothing_is_told_before_it_is_on_disk(harness):
    harness.submit("GBPUSD", "0.25")
    assert harness.follower.got == []
    harness.disk.work()
    assert harness.follower.got == ["GBPUSD|0.25"]


def test_changes_that_come_during_a_commit_are_told_in_their_order(harness):
    for symbol in "ABCDE":
        harness.submit(symbol, 1)
    harness.disk.work()
    assert harness.follower.got == [f"{symbol}|1" for symbol in "ABCDE"]


def test_what_changes_nothing_is_no_entry(harness):
    harness.submit("GBPUSD", "0.25")
    harness.submit("GBPUSD", "0.250")
    harness.disk.work()
    harness.submit("GBPUSD", "0.25")
    assert harness.follower.got == ["GBPUSD|0.25"]
    assert not harness.disk.calls


def test_going_back_to_a_volume_during_a_commit_is_a_change(harness):
    harness.submit("GBPUSD", 1)
    harness.disk.work()
    harness.submit("GBPUSD", 2)
    harness.submit("GBPUSD", 1)
    harness.disk.work()
    assert harness.follower.got[-1] == "GBPUSD|1"


def test_a_symbol_that_nobody_knew_can_be_told_flat(harness):
    harness.submit("GBPUSD", 0)
    harness.disk.work()
    assert harness.follower.got == ["GBPUSD|0"]


def test_the_next_daemon_finds_what_this_one_stored(tmp_path, harness):
    harness.submit("GBPUSD", "0.25")
    harness.disk.work()
    again = Harness(tmp_path)
    assert again.signals.positions("main")["GBPUSD"].volume == Decimal("0.25")


def test_a_follower_hears_of_its_channel_alone(harness):
    harness.submit("XAUUSD", 1, channel="gold")
    harness.disk.work()
    assert harness.follower.got == []


def test_a_follower_that_fails_keeps_nothing_from_the_others(harness):
    class Broken:
        def changed(self, change):
            raise ValueError("a bug")

    harness.signals.fanout.unsubscribe("main", harness.follower)
    harness.signals.fanout.subscribe("main", Broken())
    harness.signals.fanout.subscribe("main", harness.follower)
    harness.submit("GBPUSD", 1)
    harness.disk.work()
    assert harness.follower.got == ["GBPUSD|1"]


def test_a_full_disk_keeps_the_last_volume_of_each_symbol_and_stores_it_later(harness):
    harness.disk.full = True
    for volume in range(1, 50):
        harness.submit("GBPUSD", volume)
        harness.disk.work()
    harness.submit("EURUSD", 7)
    harness.disk.work()
    assert harness.follower.got == []
    assert Status(harness.signals).health()["healthy"] is False
    assert "disk is full" in Status(harness.signals).health()["trouble"]
    harness.disk.full = False
    harness.clock.advance(harness.settings.retry)
    harness.disk.work()
    assert harness.follower.got == ["GBPUSD|49", "EURUSD|7"]
    assert Status(harness.signals).health()["healthy"] is True


def test_a_full_disk_is_not_tried_at_every_frame(harness):
    harness.disk.full = True
    harness.submit("GBPUSD", 1)
    harness.disk.work()
    for volume in range(2, 50):
        harness.submit("GBPUSD", volume)
    assert not harness.disk.calls


def test_memory_stays_bounded_while_the_disk_is_full(tmp_path):
    harness = Harness(tmp_path, backlog=10)
    harness.disk.full = True
    for volume in range(1, 10_000):
        harness.submit(f"S{volume % 5}", volume)
        harness.disk.work()
    assert Status(harness.signals).health()["waiting"] <= 15


def test_a_publisher_is_paused_while_the_disk_is_behind_and_heard_again_afterwards(tmp_path):
    harness = Harness(tmp_path, backlog=3)
    transport = harness.publisher.producer
    harness.submit("A", 1)
    for volume in range(1, 4):
        harness.submit("B", volume)
    assert transport.producerState == "paused"
    harness.disk.work()
    assert transport.producerState == "producing"


def test_a_publisher_learns_when_all_of_it_is_on_disk(harness):
    settled = []
    harness.submit("GBPUSD", 1)
    harness.submit("EURUSD", 1)
    harness.signals.when_processed(harness.publisher).addCallback(settled.append)
    assert not settled
    harness.disk.work()
    assert settled == [None]


def test_the_same_volume_from_another_publisher_is_settled_with_the_first(harness):
    settled, other = [], harness.join()
    harness.submit("GBPUSD", 1)
    harness.submit("GBPUSD", 1, other)
    harness.signals.when_processed(other).addCallback(settled.append)
    assert not settled
    harness.disk.work()
    assert settled == [None]


def test_an_older_publisher_is_not_heard_on_a_symbol_of_a_newer_one(harness):
    newer = harness.join()
    harness.submit("GBPUSD", 1)
    harness.submit("GBPUSD", 2, newer)
    harness.submit("GBPUSD", 3)
    harness.disk.work()
    assert harness.follower.got[-1] == "GBPUSD|2"
    assert "newer publisher" in harness.refused.pop()
    harness.signals.leave(newer)
    harness.submit("GBPUSD", 4)
    harness.disk.work()
    assert harness.follower.got[-1] == "GBPUSD|4"


def test_a_flood_of_symbols_is_refused_and_the_known_ones_go_on(tmp_path):
    harness = Harness(tmp_path, max_symbols=2)
    harness.submit("A", 1)
    harness.submit("B", 1)
    harness.submit("C", 1)
    harness.submit("A", 2)
    harness.disk.work()
    assert "max_symbols" in harness.refused.pop()
    assert harness.follower.got == ["A|1", "B|1", "A|2"]


def test_a_flat_symbol_makes_room_once_it_is_forgotten(tmp_path):
    harness = Harness(tmp_path, max_symbols=1, remember=60.0)
    harness.start()
    harness.submit("A", 0)
    harness.disk.work()
    harness.clock.advance(STEADY)
    harness.disk.work()
    harness.submit("B", 1)
    harness.disk.work()
    assert list(Harness(tmp_path).signals.positions("main")) == ["B"]


def flat_symbol(folder, **settings):
    """Return an office in which A went flat just now, and whose clock was right for long."""
    harness = Harness(folder, **settings)
    harness.start()
    harness.clock.advance(STEADY)
    harness.submit("A", 0)
    harness.disk.work()
    return harness


def stop(harness):
    """End it, so that nobody waits for what its scrubber reads."""
    Deferred.fromCoroutine(harness.signals.close())
    harness.disk.work()


@pytest.mark.parametrize("jump", [30 * DAY, 365 * DAY, -30 * DAY])
def test_a_clock_that_jumps_forgets_no_close(tmp_path, jump):
    harness = flat_symbol(tmp_path)
    harness.ahead = jump
    harness.clock.advance(EXPIRY)
    harness.disk.work()
    harness.ahead = 0
    harness.clock.advance(EXPIRY)
    harness.disk.work()
    assert list(harness.signals.positions("main")) == ["A"]
    assert list(Harness(tmp_path).signals.positions("main")) == ["A"]


def test_a_close_is_forgotten_in_time_beside_one_that_a_wrong_clock_stored(tmp_path):
    harness = flat_symbol(tmp_path, remember=3_600.0)
    harness.ahead = 365 * DAY
    harness.submit("B", 0)
    harness.disk.work()
    harness.ahead = 0
    harness.clock.advance(2 * EXPIRY)
    harness.disk.work()
    assert list(harness.signals.positions("main")) == []


def test_a_close_stored_a_year_ahead_has_its_age_by_the_entries_around_it(tmp_path):
    harness = flat_symbol(tmp_path)
    harness.ahead = 365 * DAY
    harness.submit("B", 0)
    harness.disk.work()
    harness.ahead = 0
    harness.submit("C", 0)
    harness.disk.work()
    stop(harness)
    later = Harness(tmp_path, ahead=STEADY * 1000 + 3_600_000)
    ages = {p.symbol: -p.when for p in later.signals.positions("main").values()}
    assert ages == {"A": 3_600, "B": 3_600, "C": 3_600}


def test_a_start_with_a_clock_far_ahead_counts_ages_from_the_last_run(tmp_path):
    former = flat_symbol(tmp_path)
    stop(former)
    later = Harness(tmp_path, ahead=400 * DAY, last_run=former.wall + 60_000)
    assert [p.when for p in later.signals.positions("main").values()] == [-60]


def test_a_full_channel_makes_room_by_age_whatever_the_clock_says(tmp_path):
    harness = flat_symbol(tmp_path, max_symbols=1)
    harness.ahead = 30 * DAY
    harness.submit("B", 1)
    harness.disk.work()
    assert "max_symbols" in harness.refused.pop()


def test_a_clean_stop_stores_what_waits(tmp_path, harness):
    harness.submit("A", 1)
    harness.submit("B", 1)
    stopped = Deferred.fromCoroutine(harness.signals.close())
    harness.disk.work()
    assert stopped.called
    assert set(Harness(tmp_path).signals.positions("main")) == {"A", "B"}


def test_a_stop_with_a_full_disk_ends_says_so_and_leaves_no_timer(harness):
    harness.disk.full, outcome = True, []
    harness.submit("A", 1)
    harness.signals.when_processed(harness.publisher).addErrback(outcome.append)
    harness.disk.work()
    stopped = Deferred.fromCoroutine(harness.signals.close())
    harness.disk.work()
    stopped.addErrback(lambda failure: failure.trap(JournalError))
    assert stopped.called
    assert outcome[0].check(JournalError)
    assert harness.clock.getDelayedCalls() == []


def test_nothing_is_taken_once_the_daemon_stops(harness):
    Deferred.fromCoroutine(harness.signals.close())
    with pytest.raises(WireError, match="stopping"):
        harness.submit("A", 1)


def test_of_one_commit_paced_followers_are_told_the_last_of_each_symbol(harness):
    harness.submit("A", 1)
    for volume in range(2, 100):
        harness.submit("B", volume)
    harness.disk.work()
    assert harness.follower.got == ["A|1", "B|99"]


def test_without_pacing_every_change_of_a_commit_is_told(tmp_path):
    harness = Harness(tmp_path, pace=0.0)
    for volume in range(1, 6):
        harness.submit("A", volume)
    harness.disk.work()
    assert harness.follower.got == [f"A|{volume}" for volume in range(1, 6)]


def test_many_deliveries_are_spread_over_turns_and_lose_nothing(tmp_path):
    harness = Harness(tmp_path, pace=0.0)
    followers = [Listener() for _ in range(SLICE)]
    for follower in followers:
        harness.signals.fanout.subscribe("main", follower)
    for volume in range(1, 4):
        harness.submit("A", volume)
    harness.disk.work()
    assert harness.follower.got == ["A|1"]
    harness.clock.advance(0)
    assert followers[-1].got == harness.follower.got == ["A|1", "A|2", "A|3"]


def test_a_full_channel_makes_room_by_forgetting_what_is_flat_for_long(tmp_path):
    harness = Harness(tmp_path, max_symbols=2)
    for symbol in ("A", "B"):
        harness.submit(symbol, 0)
    harness.disk.work()
    harness.submit("C", 1)
    harness.disk.work()
    assert "max_symbols" in harness.refused.pop()
    assert Status(harness.signals).health()["full"] == ["main"]
    assert Status(harness.signals).health()["healthy"] is False
    harness.clock.advance(harness.settings.repeat_closed + 1)
    assert Status(harness.signals).health()["healthy"] is True
    harness.submit("C", 1)
    harness.disk.work()
    assert set(harness.signals.positions("main")) == {"B", "C"}


def test_a_refused_opening_forgets_no_close(tmp_path):
    harness = Harness(tmp_path, max_symbols=2, channels={"main": RiskLimits(symbols=("A", "B"))})
    for symbol in ("A", "B"):
        harness.submit(symbol, 0)
    harness.disk.work()
    harness.clock.advance(harness.settings.repeat_closed + 1)
    harness.submit("C", 1)
    harness.disk.work()
    assert harness.refused.pop()
    assert set(harness.signals.positions("main")) == {"A", "B"}
