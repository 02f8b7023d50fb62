"""From the ports to the disk: nothing is lost without being counted."""

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from collecting import EURUSD, GBPUSD, Harness
from fakes.threads import ManualThread
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mtnet.errors import JournalError
from mtnet.interfaces import IStatus
from mtnet.services.ticks.health.losses import SHOWN
from mtnet.services.ticks.storage.blocks import BLOCK
from mtnet.services.ticks.storage.schema import OTHERS


@pytest.fixture
def harness(tmp_path, clock):
    """Open a collector in the test's own folder: `yard(queue=10)`."""
    return lambda **settings: Harness(tmp_path, clock, **settings)


class Accounts(RuleBasedStateMachine):
    """Whatever happens, each record is stored, waiting, dropped, refused or repeated."""

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock, self.number = Clock(), 0
        self.kept = {EURUSD: [], GBPUSD: []}
        self.given, self.flushed, self.before = Counter(), 0, 0
        self.open()

    def open(self):
        self.harness = Harness(Path(self.folder.name), self.clock, queue=20, max_symbols=2)
        self.harness.taken = self.number
        self.given.clear()
        self.before = self.flushed

    @property
    def waiting(self):
        return sum(map(len, self.kept.values())) - self.flushed

    def note_flush(self):
        if not self.harness.disk.broken:
            self.flushed += self.waiting

    @rule()
    def know_both_symbols(self):
        """A third one is one too many from now on."""
        for symbol in self.kept:
            self.take(symbol, "desk", 1)

    @precondition(lambda self: len(self.harness.collector.symbols()) == 2)
    @rule(
        symbol=st.sampled_from([EURUSD, GBPUSD, b"XAUUSD"]),
        source=st.sampled_from(["desk", "127.0.0.1", "laptop"]),
        records=st.integers(0, 15),
    )
    def take(self, symbol, source, records):
        strange = symbol not in self.kept
        room, first = self.waiting < 20, self.harness.taken
        taken = self.harness.take(records, symbol, source)
        self.number = self.harness.taken
        assert taken == (records if room and not strange else 0)
        self.given["dropped"] += 0 if room else records
        self.given["refused"] += records if room and strange else 0
        if room and not strange:
            self.kept[symbol] += range(first, first + records)

    @rule(records=st.integers(1, 5), how=st.sampled_from(["refuse", "repeat", "deny"]))
    def count(self, records, how):
        collector = self.harness.collector
        if how == "deny":
            collector.count_denied(records)
        elif how == "refuse":
            collector.count_refused(collector.source("desk"), records, self.harness.now())
        else:
            self.repeat(records)
            return
        self.given["refused"] += records

    def repeat(self, records):
        """Send again what is known of one symbol, and as much of one that never was taken."""
        collector = self.harness.collector
        known = EURUSD in collector.symbols()
        again = [(EURUSD, b"1"), (b"XAUUSD", b"1")] * records
        taken = collector.count_repeated(collector.source("desk"), again, self.harness.now())
        assert taken == (records if known else 0)
        self.given["repeated"] += taken
        self.given["refused"] += 2 * records - taken

    @rule()
    def sync(self):
        outcome = []
        waiting = self.waiting
        self.harness.collector.sync().addBoth(outcome.append)
        self.note_flush()
        assert len(outcome) == 1
        if not self.harness.disk.broken:
            assert outcome == [None]
        elif waiting:
            assert outcome[0].check(JournalError)

    @rule()
    def flush(self):
        self.clock.advance(1)
        self.note_flush()

    @rule(broken=st.booleans())
    def break_or_mend(self, broken):
        self.harness.disk.broken = broken

    @precondition(lambda self: not self.harness.disk.broken)
    @rule()
    def close(self):
        self.harness.close()
        self.note_flush()
        self.restart(0)

    @rule()
    def kill(self):
        lost = self.waiting
        self.harness.kill()
        self.restart(lost)

    def restart(self, lost):
        on_disk = {symbol: self.harness.stored(symbol) for symbol in self.kept}
        self.clock = Clock()
        self.kept = on_disk
        self.open()
        assert self.harness.collector.lost == lost

    @invariant()
    def nothing_is_unaccounted_for(self):
        got = self.harness.health
        ways_out = ("stored", "waiting", "dropped", "refused", "repeated")
        assert got["received"] == sum(got[way] for way in ways_out)
        assert got["waiting"] == self.waiting
        assert got["stored"] == self.flushed - self.before
        for way in ("dropped", "refused", "repeated"):
            assert got[way] == self.given[way]

    @invariant()
    def the_disk_holds_the_first_of_what_was_taken_in_order(self):
        on_disk = {symbol: self.harness.stored(symbol) for symbol in self.kept}
        assert sum(map(len, on_disk.values())) == self.flushed
        assert on_disk == {
            symbol: self.kept[symbol][: len(found)] for symbol, found in on_disk.items()
        }

    def teardown(self):
        self.harness.kill()
        self.folder.cleanup()


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


def test_it_reports_about_itself(harness):
    assert verifyObject(IStatus, harness().collector)


def test_a_tick_waits_for_the_disk_as_long_as_a_flush_and_no_longer(harness, clock):
    here = harness(flush=0.5)
    here.take()
    clock.advance(0.49)
    assert here.stored() == []
    clock.advance(0.01)
    assert here.stored() == [0]


def test_ticks_that_come_during_a_commit_wait_for_the_next_flush(harness, clock):
    thread = ManualThread()
    here = harness(in_thread=thread)
    here.take(3)
    here.flush()
    here.take(2)
    thread.work()
    assert here.stored() == [0, 1, 2]
    here.flush()
    thread.work()
    assert here.stored() == [0, 1, 2, 3, 4]


def test_a_collector_that_hears_nothing_leaves_no_timer(harness, clock):
    here = harness()
    here.take()
    here.flush()
    assert clock.getDelayedCalls() == []


def test_more_ticks_than_a_block_holds_are_stored_whole_and_in_order(harness):
    here, total = harness(), 3 * BLOCK
    while here.taken < total:
        here.take(1_000)
    here.flush()
    assert here.stored() == list(range(here.taken))
    assert len(here.rows("SELECT id FROM block")) > 1


def test_packing_makes_way_for_others_and_forgets_nothing_that_comes_meanwhile(tmp_path):
    class Jumping(Clock):
        def seconds(self):
            self.rightNow += 0.001
            return self.rightNow

    clock = Jumping()
    here = Harness(tmp_path, clock, turn=0.002)
    symbols = [b"S%02d" % at for at in range(20)]
    for symbol in symbols:
        here.take(2, symbol)
    commits = []
    for at in range(20):
        clock.callLater(1.0 + at / 500, here.take, 2, symbols[at])
    clock.callLater(1.01, lambda: commits.append(here.disk.commits))
    for _ in range(20):
        clock.advance(0.2)
    rows = [here.stored(symbol) for symbol in symbols]
    assert commits == [0], "others have their turn before all is packed"
    assert here.health["stored"] == 80
    assert [len(row) for row in rows] == [4] * 20
    assert rows == [sorted(row) for row in rows]


# A full queue


def test_a_full_queue_drops_and_counts(harness):
    here = harness(queue=3)
    assert (here.take(3), here.take(2)) == (3, 0)
    here.flush()
    assert here.take() == 1
    here.flush()
    assert here.stored() == [0, 1, 2, 5]
    assert here.health["dropped"] == 2
    assert here.rows("SELECT received, dropped FROM source WHERE name = 'desk'") == [(6, 2)]


def test_health_is_red_while_ticks_are_dropped_and_comes_back_some_time_after(harness, warnings):
    here = harness(queue=3)
    here.take(3)
    here.flush()
    assert here.health["healthy"] is True
    here.take(3)
    here.take(2)
    here.flush()
    assert here.health["healthy"] is False
    here.take()
    here.flush()
    assert here.health["healthy"] is False
    here.clock.pump([1.0] * int(SHOWN))
    assert here.health["healthy"] is True
    (line,) = warnings()
    assert line["what"] == "2 dropped (the queue was full)"


def test_health_comes_back_also_when_the_market_closes_behind_a_dropped_tick(harness, clock):
    here = harness(queue=3)
    here.take(3)
    here.take(2)
    here.flush()
    assert here.health["healthy"] is False
    clock.pump([1.0] * 60)
    assert here.health["healthy"] is True


# Sync


def test_a_sync_fires_once_what_was_taken_is_on_disk_and_not_before(harness):
    thread, outcome = ManualThread(), []
    here = harness(in_thread=thread)
    here.take(3)
    here.collector.sync().addCallback(lambda _: outcome.append(here.stored()))
    assert not outcome
    thread.work()
    assert outcome == [[0, 1, 2]]


def test_a_disk_that_is_slow_takes_ticks_and_one_that_refuses_does_not(harness):
    thread = ManualThread()
    here = harness(in_thread=thread)
    for broken in (False, True, False):
        here.disk.broken = broken
        here.take()
        here.collector.sync().addErrback(lambda failure: None)
        assert here.collector.is_storing(), "the attempt goes on"
        thread.work()
        assert here.collector.is_storing() is not broken
        here.disk.broken = False
        here.collector.sync()
        thread.work()


def test_a_sync_waits_for_what_was_taken_during_the_commit_before_it(harness):
    thread, outcome = ManualThread(), []
    here = harness(in_thread=thread)
    here.take()
    here.flush()
    here.take()
    here.collector.sync().addCallback(lambda _: outcome.append(here.stored()))
    thread.step()
    assert not outcome
    thread.work()
    assert outcome == [[0, 1]]


def test_a_sync_of_nothing_fires_at_once(harness):
    outcome = []
    harness().collector.sync().addCallback(outcome.append)
    assert outcome == [None]


def test_a_sync_of_a_daemon_that_stops_fails(harness):
    here, outcome = harness(), []
    here.close()
    here.collector.sync().addErrback(outcome.append)
    assert outcome[0].check(JournalError)


# The end


def test_a_kill_loses_what_was_not_flushed_and_the_next_daemon_says_so_once(harness):
    first = harness()
    first.take(3)
    first.flush()
    first.take(2)
    first.kill()
    second = harness()
    assert second.collector.status()["lost when killed"] == 2
    assert second.stored() == [0, 1, 2]
    second.kill()
    assert harness().collector.lost == 0


def test_a_kill_before_the_first_flush_is_counted_too(harness):
    first = harness()
    first.take(7)
    first.kill()
    assert harness().collector.lost == 7


def test_what_was_dropped_or_refused_does_not_count_as_lost_by_a_kill(harness):
    first = harness(queue=2, max_symbols=1)
    first.take(2)
    first.take(3)
    first.flush()
    first.take(3, GBPUSD)
    first.kill()
    assert harness().collector.lost == 0


def test_a_clean_stop_loses_nothing_and_leaves_no_timer(harness, clock):
    first = harness()
    first.take(5)
    assert first.close() == [None]
    assert clock.getDelayedCalls() == []
    assert first.stored() == [0, 1, 2, 3, 4]
    assert harness().collector.lost == 0


def test_a_clean_stop_waits_for_the_commit_under_way_and_then_stores_the_rest(harness):
    thread = ManualThread()
    here = harness(in_thread=thread)
    here.take(2)
    here.flush()
    here.take(2)
    stopped = here.close()
    assert not stopped
    thread.work()
    assert stopped == [None]
    assert here.stored() == [0, 1, 2, 3]


def test_a_stop_with_a_disk_that_refuses_ends_and_says_what_it_cost(harness, clock, warnings):
    first = harness()
    first.disk.broken = True
    first.take(5)
    first.flush()
    assert first.close() == [None]
    assert clock.getDelayedCalls() == []
    assert (warnings()[-1]["count"], warnings()[-1]["trouble"]) == (5, "The disk is full.")
    assert harness().collector.lost == 5


def test_a_stop_answers_the_syncs_that_wait(harness):
    thread, outcome = ManualThread(), []
    here = harness(in_thread=thread)
    here.take()
    here.flush()
    here.collector.sync().addBoth(outcome.append)
    here.close()
    thread.work()
    assert outcome == [None]


# Symbols and senders


def test_a_flood_of_symbols_is_refused_and_the_known_ones_go_on(harness):
    here = harness(max_symbols=1)
    assert (here.take(), here.take(1, GBPUSD), here.take()) == (1, 0, 1)
    here.flush()
    assert here.stored() == [0, 2]
    assert here.stored(GBPUSD) == []
    assert here.health["refused"] == 1
    assert here.collector.source("desk").refused == 1


def test_records_of_symbols_too_many_are_said_once_as_long_as_they_come(harness, warnings):
    here = harness(max_symbols=1)
    here.take()
    for at in range(3):
        here.take(1, b"NEW%d" % at)
        here.flush()
    (line,) = warnings()
    assert (line["count"], line["most"]) == (1, 1)
    here.take()
    here.flush()
    here.take(2, GBPUSD)
    here.flush()
    assert [line["count"] for line in warnings()] == [1, 2]


def test_the_symbols_of_an_earlier_daemon_count_too(harness):
    first = harness()
    first.take()
    first.close()
    second = harness(max_symbols=1)
    assert (second.take(1, GBPUSD), second.take()) == (0, 1)


def test_senders_beyond_the_limit_are_counted_as_one_whose_numbers_mean_nothing(harness):
    here = harness(max_sources=2)
    for name in ("a", "b", "c", "d"):
        here.take(1, source=name)
    here.flush()
    rows = here.rows("SELECT name, received FROM source WHERE received > 0 ORDER BY id")
    assert rows == [("(others)", 2), ("a", 1), ("b", 1)]
    collector = here.collector
    assert collector.source("c") is collector.source("d")
    assert [collector.is_numbered(collector.source(name)) for name in "abcd"] == [
        True, True, False, False,
    ]  # fmt: skip
    assert here.stored() == [0, 1, 2, 3]


def test_the_others_are_counted_on_by_the_next_daemon(harness):
    first = harness(max_sources=1)
    first.take(1, source="a")
    first.take(1, source="b")
    first.close()
    second = harness(max_sources=1)
    second.take(1, source="b")
    second.close()
    assert second.rows("SELECT received FROM source WHERE id = ?", OTHERS) == [(2,)]


def test_a_sender_keeps_its_number_and_its_counts(harness):
    first = harness()
    first.take(2, source="a")
    first.take(2, source="b")
    first.close()
    second = harness()
    second.take(1, source="c")
    second.take(1, source="b")
    second.close()
    rows = second.rows("SELECT id, name, received FROM source WHERE received > 0 ORDER BY id")
    assert rows == [(3, "a", 2), (4, "b", 3), (5, "c", 1)]


# The newest


def test_the_newest_tick_is_known_at_once_and_by_the_next_daemon(harness):
    first = harness()
    first.take(3)
    assert first.collector.last_tick(EURUSD) == (b"2", 10**12)
    first.flush()
    assert first.collector.last_tick(EURUSD) == (b"2", 10**12)
    first.close()
    second = harness()
    assert second.collector.last_tick(EURUSD) == (b"2", 10**12)
    assert list(second.collector.symbols()) == [EURUSD]
    assert second.collector.last_tick(GBPUSD) is None


# Datagrams that the kernel dropped


def test_what_the_kernel_dropped_at_all_ports_adds_up_over_restarts(harness):
    for _ in range(2):
        here = harness()
        here.collector.add_drop_counter(lambda: 3)
        here.collector.add_drop_counter(lambda: 4)
        here.take()
        here.flush()
        here.flush()
        assert here.health["kernel_drops"] == 7
        here.close()
    assert here.rows("SELECT value FROM total WHERE name = 'kernel drops'") == [(14,)]


def test_what_the_kernel_dropped_is_stored_also_when_no_tick_came_since(harness):
    here, drops = harness(), [0]
    here.collector.add_drop_counter(lambda: drops[0])
    here.take()
    here.flush()
    drops[0] = 7
    here.collector.sync()
    here.close()
    assert here.rows("SELECT value FROM total WHERE name = 'kernel drops'") == [(7,)]


def test_datagrams_that_the_kernel_dropped_turn_health_red(harness, warnings):
    here, drops = harness(), [0]
    here.collector.add_drop_counter(lambda: drops[0])
    drops[0] = 7
    here.take()
    here.flush()
    assert here.health["healthy"] is False
    assert warnings()[-1]["what"] == "7 datagrams lost by the kernel", "and nothing of a queue"
    here.clock.pump([1.0] * int(SHOWN - 1))
    assert here.health["healthy"] is False, "an event is made of what is there for five seconds"
    here.clock.advance(1.0)
    assert here.health["healthy"] is True
