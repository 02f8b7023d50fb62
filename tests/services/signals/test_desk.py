"""From a publisher to the disk, and only then to followers."""

from decimal import Decimal

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from mtnet.clock import STEADY, WallClock
from mtnet.config.schema import RiskLimits, Signals
from mtnet.errors import JournalError, WireError
from mtnet.interfaces import IStatus
from mtnet.services.signals.fanout import SLICE
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.service import EXPIRY, Desk


class Disk:
    """A thread that works when the test says so, and can be made to fail."""

    def __init__(self):
        self.calls, self.full = [], False

    def __call__(self, function, *args):
        done = Deferred()
        self.calls.append((done, function, args))
        return done

    def work(self):
        """Do what waits, and what that leads to."""
        while self.calls:
            done, function, args = self.calls.pop(0)
            if self.full:
                done.errback(JournalError("The disk is full."))
            else:
                done.callback(function(*args))


DAY = 86_400_000


class Listener:
    """A follower that notes what it is told."""

    def __init__(self):
        self.told = []

    def changed(self, change):
        self.told.append(f"{change.symbol}|{change.volume}")


class Office:
    """A desk on a disk and a clock of its own, with one follower and one publisher."""

    def __init__(self, folder, ahead=0, last_run=0, **settings):
        self.folder, self.settings, self.ahead = folder, Signals(**settings), ahead
        self.clock, self.disk, self.follower = Clock(), Disk(), Listener()
        now = WallClock(lambda: self.wall, self.clock.seconds)
        now.compare_run(last_run)
        self.desk = Desk(
            self.settings,
            Journal(folder / "signals.sqlite", 1_000),
            self.clock,
            now,
            self.disk,
        )
        self.desk.open()
        self.desk.audience.subscribe("main", self.follower)
        self.refused, self.closed = [], []
        self.publisher = self.join()

    @property
    def wall(self):
        return 10**12 + self.ahead + int(self.clock.seconds() * 1000)

    def join(self):
        return self.desk.join(
            "a publisher",
            StringTransport(),
            refuse=lambda error: self.refused.append(str(error)),
            close=self.closed.append,
        )

    def submit(self, symbol, volume, publisher=None, channel="main"):
        self.desk.submit(publisher or self.publisher, channel, symbol, Decimal(volume))


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def test_it_reports_about_itself(office):
    assert verifyObject(IStatus, office.desk)


def test_nothing_is_told_before_it_is_on_disk(office):
    office.submit("GBPUSD", "0.25")
    assert office.follower.told == []
    office.disk.work()
    assert office.follower.told == ["GBPUSD|0.25"]


def test_changes_that_come_during_a_commit_are_told_in_their_order(office):
    for symbol in "ABCDE":
        office.submit(symbol, 1)
    office.disk.work()
    assert office.follower.told == [f"{symbol}|1" for symbol in "ABCDE"]


def test_what_changes_nothing_is_no_entry(office):
    office.submit("GBPUSD", "0.25")
    office.submit("GBPUSD", "0.250")
    office.disk.work()
    office.submit("GBPUSD", "0.25")
    assert office.follower.told == ["GBPUSD|0.25"]
    assert not office.disk.calls


def test_going_back_to_a_volume_during_a_commit_is_a_change(office):
    office.submit("GBPUSD", 1)
    office.disk.work()
    office.submit("GBPUSD", 2)
    office.submit("GBPUSD", 1)
    office.disk.work()
    assert office.follower.told[-1] == "GBPUSD|1"


def test_a_symbol_that_nobody_knew_can_be_told_flat(office):
    office.submit("GBPUSD", 0)
    office.disk.work()
    assert office.follower.told == ["GBPUSD|0"]


def test_the_next_daemon_finds_what_this_one_stored(tmp_path, office):
    office.submit("GBPUSD", "0.25")
    office.disk.work()
    again = Office(tmp_path)
    assert again.desk.positions("main")["GBPUSD"].volume == Decimal("0.25")


def test_a_follower_hears_of_its_channel_alone(office):
    office.submit("XAUUSD", 1, channel="gold")
    office.disk.work()
    assert office.follower.told == []


def test_a_follower_that_fails_keeps_nothing_from_the_others(office):
    class Broken:
        def changed(self, change):
            raise ValueError("a bug")

    office.desk.audience.unsubscribe("main", office.follower)
    office.desk.audience.subscribe("main", Broken())
    office.desk.audience.subscribe("main", office.follower)
    office.submit("GBPUSD", 1)
    office.disk.work()
    assert office.follower.told == ["GBPUSD|1"]


def test_a_full_disk_keeps_the_last_volume_of_each_symbol_and_stores_it_later(office):
    office.disk.full = True
    for volume in range(1, 50):
        office.submit("GBPUSD", volume)
        office.disk.work()
    office.submit("EURUSD", 7)
    office.disk.work()
    assert office.follower.told == []
    assert office.desk.health()["healthy"] is False
    assert "disk is full" in office.desk.health()["trouble"]
    office.disk.full = False
    office.clock.advance(office.settings.retry)
    office.disk.work()
    assert office.follower.told == ["GBPUSD|49", "EURUSD|7"]
    assert office.desk.health()["healthy"] is True


def test_a_full_disk_is_not_tried_at_every_frame(office):
    office.disk.full = True
    office.submit("GBPUSD", 1)
    office.disk.work()
    for volume in range(2, 50):
        office.submit("GBPUSD", volume)
    assert not office.disk.calls


def test_memory_stays_bounded_while_the_disk_is_full(tmp_path):
    office = Office(tmp_path, backlog=10)
    office.disk.full = True
    for volume in range(1, 10_000):
        office.submit(f"S{volume % 5}", volume)
        office.disk.work()
    assert office.desk.health()["waiting"] <= 15


def test_a_publisher_is_paused_while_the_disk_is_behind_and_heard_again_afterwards(tmp_path):
    office = Office(tmp_path, backlog=3)
    transport = office.publisher.producer
    office.submit("A", 1)
    for volume in range(1, 4):
        office.submit("B", volume)
    assert transport.producerState == "paused"
    office.disk.work()
    assert transport.producerState == "producing"


def test_a_publisher_learns_when_all_of_it_is_on_disk(office):
    settled = []
    office.submit("GBPUSD", 1)
    office.submit("EURUSD", 1)
    office.desk.settled(office.publisher).addCallback(settled.append)
    assert not settled
    office.disk.work()
    assert settled == [None]


def test_the_same_volume_from_another_publisher_is_settled_with_the_first(office):
    settled, other = [], office.join()
    office.submit("GBPUSD", 1)
    office.submit("GBPUSD", 1, other)
    office.desk.settled(other).addCallback(settled.append)
    assert not settled
    office.disk.work()
    assert settled == [None]


def test_an_older_publisher_is_not_heard_on_a_symbol_of_a_newer_one(office):
    newer = office.join()
    office.submit("GBPUSD", 1)
    office.submit("GBPUSD", 2, newer)
    office.submit("GBPUSD", 3)
    office.disk.work()
    assert office.follower.told[-1] == "GBPUSD|2"
    assert "newer publisher" in office.refused.pop()
    office.desk.leave(newer)
    office.submit("GBPUSD", 4)
    office.disk.work()
    assert office.follower.told[-1] == "GBPUSD|4"


def test_a_flood_of_symbols_is_refused_and_the_known_ones_go_on(tmp_path):
    office = Office(tmp_path, max_symbols=2)
    office.submit("A", 1)
    office.submit("B", 1)
    office.submit("C", 1)
    office.submit("A", 2)
    office.disk.work()
    assert "max_symbols" in office.refused.pop()
    assert office.follower.told == ["A|1", "B|1", "A|2"]


def test_a_flat_symbol_makes_room_once_it_is_forgotten(tmp_path):
    office = Office(tmp_path, max_symbols=1, remember=60.0)
    office.desk.start()
    office.submit("A", 0)
    office.disk.work()
    office.clock.advance(STEADY)
    office.disk.work()
    office.submit("B", 1)
    office.disk.work()
    assert list(Office(tmp_path).desk.positions("main")) == ["B"]


def flat_symbol(folder, **settings):
    """Return an office in which A went flat just now, and whose clock was right for long."""
    office = Office(folder, **settings)
    office.desk.start()
    office.clock.advance(STEADY)
    office.submit("A", 0)
    office.disk.work()
    return office


@pytest.mark.parametrize("jump", [30 * DAY, 365 * DAY, -30 * DAY])
def test_a_clock_that_jumps_forgets_no_close(tmp_path, jump):
    office = flat_symbol(tmp_path)
    office.ahead = jump
    office.clock.advance(EXPIRY)
    office.disk.work()
    office.ahead = 0
    office.clock.advance(EXPIRY)
    office.disk.work()
    assert list(office.desk.positions("main")) == ["A"]
    assert list(Office(tmp_path).desk.positions("main")) == ["A"]


def test_a_close_is_forgotten_in_time_beside_one_that_a_wrong_clock_stored(tmp_path):
    office = flat_symbol(tmp_path, remember=3_600.0)
    office.ahead = 365 * DAY
    office.submit("B", 0)
    office.disk.work()
    office.ahead = 0
    office.clock.advance(2 * EXPIRY)
    office.disk.work()
    assert list(office.desk.positions("main")) == []


def test_a_close_stored_a_year_ahead_has_its_age_by_the_entries_around_it(tmp_path):
    office = flat_symbol(tmp_path)
    office.ahead = 365 * DAY
    office.submit("B", 0)
    office.disk.work()
    office.ahead = 0
    office.submit("C", 0)
    office.disk.work()
    later = Office(tmp_path, ahead=STEADY * 1000 + 3_600_000)
    ages = {p.symbol: -p.when / 1000 for p in later.desk.positions("main").values()}
    assert ages == {"A": 3_600, "B": 3_600, "C": 3_600}


def test_a_start_with_a_clock_far_ahead_counts_ages_from_the_last_run(tmp_path):
    former = flat_symbol(tmp_path)
    later = Office(tmp_path, ahead=400 * DAY, last_run=former.wall + 60_000)
    assert [p.when for p in later.desk.positions("main").values()] == [-60_000]


def test_a_full_channel_makes_room_by_age_whatever_the_clock_says(tmp_path):
    office = flat_symbol(tmp_path, max_symbols=1)
    office.ahead = 30 * DAY
    office.submit("B", 1)
    office.disk.work()
    assert "max_symbols" in office.refused.pop()


def test_a_clean_stop_stores_what_waits(tmp_path, office):
    office.submit("A", 1)
    office.submit("B", 1)
    stopped = Deferred.fromCoroutine(office.desk.close())
    office.disk.work()
    assert stopped.called
    assert set(Office(tmp_path).desk.positions("main")) == {"A", "B"}


def test_a_stop_with_a_full_disk_ends_says_so_and_leaves_no_timer(office):
    office.disk.full, outcome = True, []
    office.submit("A", 1)
    office.desk.settled(office.publisher).addErrback(outcome.append)
    office.disk.work()
    stopped = Deferred.fromCoroutine(office.desk.close())
    office.disk.work()
    stopped.addErrback(lambda failure: failure.trap(JournalError))
    assert stopped.called
    assert outcome[0].check(JournalError)
    assert office.clock.getDelayedCalls() == []


def test_nothing_is_taken_once_the_daemon_stops(office):
    Deferred.fromCoroutine(office.desk.close())
    with pytest.raises(WireError, match="stopping"):
        office.submit("A", 1)


def test_of_one_commit_paced_followers_are_told_the_last_of_each_symbol(office):
    office.submit("A", 1)
    for volume in range(2, 100):
        office.submit("B", volume)
    office.disk.work()
    assert office.follower.told == ["A|1", "B|99"]


def test_without_pacing_every_change_of_a_commit_is_told(tmp_path):
    office = Office(tmp_path, pace=0.0)
    for volume in range(1, 6):
        office.submit("A", volume)
    office.disk.work()
    assert office.follower.told == [f"A|{volume}" for volume in range(1, 6)]


def test_many_deliveries_are_spread_over_turns_and_lose_nothing(tmp_path):
    office = Office(tmp_path, pace=0.0)
    followers = [Listener() for _ in range(SLICE)]
    for follower in followers:
        office.desk.audience.subscribe("main", follower)
    for volume in range(1, 4):
        office.submit("A", volume)
    office.disk.work()
    assert office.follower.told == ["A|1"]
    office.clock.advance(0)
    assert followers[-1].told == office.follower.told == ["A|1", "A|2", "A|3"]


def test_a_full_channel_makes_room_by_forgetting_what_is_flat_for_long(tmp_path):
    office = Office(tmp_path, max_symbols=2)
    for symbol in ("A", "B"):
        office.submit(symbol, 0)
    office.disk.work()
    office.submit("C", 1)
    office.disk.work()
    assert "max_symbols" in office.refused.pop()
    assert office.desk.health()["full"] == ["main"]
    assert office.desk.health()["healthy"] is False
    office.clock.advance(office.settings.flat + 1)
    assert office.desk.health()["healthy"] is True
    office.submit("C", 1)
    office.disk.work()
    assert set(office.desk.positions("main")) == {"B", "C"}


def test_a_refused_opening_forgets_no_close(tmp_path):
    office = Office(tmp_path, max_symbols=2, channels={"main": RiskLimits(symbols=("A", "B"))})
    for symbol in ("A", "B"):
        office.submit(symbol, 0)
    office.disk.work()
    office.clock.advance(office.settings.flat + 1)
    office.submit("C", 1)
    office.disk.work()
    assert office.refused.pop()
    assert set(office.desk.positions("main")) == {"A", "B"}
