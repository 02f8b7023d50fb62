"""Small blocks of ticks are joined: no tick is lost, doubled or moved, whatever fails meanwhile."""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from failing_commits import fail_commits
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from old_tick_store import make_old
from twisted.internet.task import Clock

from mtnet.errors import JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage import joiner, reader, rows
from mtnet.services.ticks.storage.blocks import FULL, Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.compaction import CHECK, OLD, PAUSE, Compaction
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InlineWorker
from mtnet.testing import EPOCH, make_environment

EURUSD = b"EURUSD"
SYMBOLS = (EURUSD, b"GBPUSD")
NOON = 1_549_281_600_000


def tick(number, time):
    return b"%d - - - %d" % (number, NOON + time)


def commit_of(symbol, records, when=NOON, token=0):
    commit = Commit(token=token)
    for block in Series(symbol, None, records, [(when, 3)] * len(records)).pack():
        commit.add(block, (records[-1], when))
    return commit


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "ticks.sqlite")
    made.commit(Commit(sources=[snapshot(Source("desk", 3))]))
    yield made
    made.close()


def put(store, count, start=0, symbol=EURUSD):
    """Store ticks one by one."""
    for at in range(start, start + count):
        store.commit(commit_of(symbol, [tick(at, at)]))


def join(store, age=True):
    """Join all there is; return how many steps that took."""
    steps = 0
    while store.join(age):
        age = False
        steps += 1
    return steps


def ask(store, query):
    with closing(sqlite3.connect(store.path)) as connection:
        return connection.execute(query).fetchall()


def got(store, symbol=EURUSD):
    return [each.rest for each in TickReader(store.path).ticks(symbol)]


def sizes(store, table):
    return [count for (count,) in ask(store, f"SELECT ticks FROM {table} ORDER BY id")]


class Joins(RuleBasedStateMachine):
    """Ticks in are ticks out, whatever is joined, fails, is restarted or read meanwhile."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, value in (
            (joiner, "FULL", 5),
            (rows, "FULL", 5),
            (joiner, "BLOCK", 9),
            (joiner, "STEP", 3),
            (joiner, "PACKED", 6),
            (joiner, "SLICE", 7),
            (joiner, "SMALL_BLOCKS", 12),
            (joiner, "FEW", 4),
            (reader, "PAGE", 2),
        ):
            self.patch.setattr(module, name, value)
        self.failing = fail_commits(self.patch)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ticks.sqlite"
        self.store = Store(self.path)
        self.store.commit(Commit(sources=[snapshot(Source("desk", 3))]))
        self.model = {symbol: [] for symbol in SYMBOLS}
        self.tokens = 0
        self.reading = None

    def teardown(self):
        self.store.close()
        self.patch.undo()
        self.folder.cleanup()

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        times=st.lists(st.integers(0, 9), min_size=1, max_size=11),
        steps=st.lists(st.sampled_from(["before", "behind"]), max_size=2),
        between=st.booleans(),
    )
    def put(self, symbol, times, steps, between):
        self.tokens += 1
        records = [tick(self.tokens * 100 + at, time) for at, time in enumerate(times)]
        commit = commit_of(symbol, records, NOON + self.tokens, self.tokens)
        self.failing(*steps)
        for _ in range(9):
            try:
                self.store.commit(commit)
                break
            except JournalError:
                if between:
                    assert not self.store.join(True)
        self.failing()
        self.model[symbol] += [
            (NOON + time, rest) for time, rest in zip(times, records, strict=True)
        ]

    @rule(age=st.booleans(), step=st.sampled_from([None, None, "before", "behind"]))
    def join(self, age, step):
        self.failing(*([step] if step else []))
        try:
            self.store.join(age)
        except JournalError:
            event("a join failed")
        self.failing()

    @rule()
    def join_all(self):
        join(self.store)

    @rule()
    def restart(self):
        self.store.close()
        self.store = Store(self.path)

    @rule()
    def update(self):
        self.store.close()
        make_old(self.path)
        assert self.told() == self.expected()
        self.store = Store(self.path)
        self.store.prepare()

    @precondition(lambda self: self.reading is None)
    @rule(symbol=st.sampled_from(SYMBOLS))
    def begin_to_read(self, symbol):
        stored = {rest for _, rest in self.model[symbol]}
        self.reading = symbol, stored, TickReader(self.path).ticks(symbol), []

    @precondition(lambda self: self.reading is not None)
    @rule(count=st.integers(1, 5))
    def read_some(self, count):
        symbol, stored, ticks, seen = self.reading
        for _ in range(count):
            found = next(ticks, None)
            if found is None:
                self.end_reading(symbol, stored, seen)
                return
            seen.append(found.rest)
            if len(seen) == 1:
                # A reader begins when its first tick is asked for.
                stored |= {rest for _, rest in self.model[symbol]}

    def end_reading(self, symbol, stored, seen):
        self.reading = None
        order = [rest for _, rest in sorted(self.model[symbol], key=lambda row: row[0])]
        assert len(set(seen)) == len(seen)
        assert seen == [rest for rest in order if rest in set(seen)]
        if seen:
            assert stored <= set(seen)

    def expected(self):
        return {
            symbol: [rest for _, rest in sorted(model, key=lambda row: row[0])]
            for symbol, model in self.model.items()
        }

    def told(self):
        read = TickReader(self.path)
        return {symbol: [each.rest for each in read.ticks(symbol)] for symbol in SYMBOLS}

    @invariant()
    def each_tick_is_there_once_and_in_order(self):
        assert self.told() == self.expected()

    @invariant()
    def symbols_know_how_many_there_are_and_when(self):
        found = {
            row["symbol"].encode(): (row["ticks"], row["first"], row["last"])
            for row in TickReader(self.path).symbols()
        }
        for symbol, model in self.model.items():
            times = [time for time, _ in model]
            if times:
                assert found[symbol] == (len(times), min(times), max(times))


TestJoins = Joins.TestCase
TestJoins.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)


def test_ticks_that_came_one_by_one_become_one_large_block(store):
    put(store, FULL)
    assert sizes(store, "large_block") == []
    join(store)
    assert (sizes(store, "large_block"), sizes(store, "small_block")) == ([FULL], [])
    assert got(store) == [tick(at, at) for at in range(FULL)]


def test_few_ticks_stay_small_and_are_joined_with_those_that_come(store):
    put(store, FULL - 1)
    join(store)
    assert sizes(store, "small_block") == [FULL - 1]
    put(store, 1, FULL - 1)
    join(store)
    assert (sizes(store, "large_block"), sizes(store, "small_block")) == ([FULL], [])


def test_a_join_of_what_is_joined_writes_nothing(store):
    put(store, 3)
    join(store)
    before = ask(store, "SELECT count FROM joins")
    join(store)
    assert ask(store, "SELECT count FROM joins") == before


def test_nothing_is_joined_before_it_is_old_or_much(store, monkeypatch):
    put(store, 3)
    assert not store.join(False)
    monkeypatch.setattr(joiner, "SMALL_BLOCKS", 3)
    assert store.join(False)


def test_what_came_before_a_large_block_is_not_joined_with_what_came_after(store):
    put(store, 2)
    store.commit(commit_of(EURUSD, [tick(5_000 + at, 0) for at in range(FULL)]))
    put(store, 2, 2)
    join(store)
    assert ask(store, "SELECT ticks FROM block ORDER BY id") == [(2,), (FULL,), (2,)]


@pytest.mark.parametrize("few", [0, 4_096])
def test_blocks_that_came_while_others_were_joined_stay(store, monkeypatch, few):
    monkeypatch.setattr(joiner, "FEW", few)
    put(store, 30)
    assert store.join(True)
    put(store, 2, start=30)
    while store.join(False):
        pass
    assert got(store) == [tick(at, at) for at in range(32)]
    assert sizes(store, "small_block") == [30, 1, 1]


def test_a_damaged_block_is_left_as_it_is_and_stops_no_other(store):
    put(store, 5)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("UPDATE small_block SET data = x'00' WHERE id = 3")
    put(store, 4, symbol=b"GBPUSD")
    join(store)
    assert sizes(store, "small_block") == [2, 1, 2, 4]
    assert ask(store, "SELECT data FROM small_block WHERE id = 3") == [(b"\0",)]


def test_blocks_that_another_program_removed_meanwhile_are_told_and_nothing_is_changed(store):
    put(store, 5)
    assert store.join(True)
    with closing(sqlite3.connect(store.path, isolation_level=None)) as other:
        other.execute("DELETE FROM small_block WHERE id = 3")
    with pytest.raises(JournalError, match="5 small blocks of ticks were read, and 4 are there"):
        store.join(False)
    assert sizes(store, "small_block") == [1, 1, 1, 1]


def test_a_commit_that_failed_is_settled_before_blocks_are_joined(store, failing):
    put(store, 3)
    commit = commit_of(EURUSD, [tick(3, 3)], token=7)
    failing("behind")
    with pytest.raises(JournalError):
        store.commit(commit)
    assert not store.join(True)
    store.commit(commit)
    join(store)
    assert got(store) == [tick(at, at) for at in range(4)]


def test_the_blocks_of_an_older_mtnet_are_joined_after_an_update(store):
    put(store, 300)
    put(store, 2, symbol=b"GBPUSD")
    store.close()
    make_old(store.path)
    newer = Store(store.path)
    newer.prepare()
    assert join(newer, age=False)
    assert sizes(newer, "large_block") == [300, 2]
    assert got(newer) == [tick(at, at) for at in range(300)]
    assert not newer.join(False)
    newer.close()


def test_a_reader_reads_a_file_that_no_newer_daemon_has_opened(store):
    put(store, 3)
    store.close()
    make_old(store.path)
    assert got(store) == [tick(at, at) for at in range(3)]
    (row,) = TickReader(store.path).symbols()
    assert (row["ticks"], row["first"], row["last"]) == (3, NOON, NOON + 2)


def test_a_file_that_is_updated_while_somebody_reads_it_is_read_to_its_end(store, monkeypatch):
    monkeypatch.setattr(reader, "PAGE", 1)
    put(store, 5)
    store.close()
    make_old(store.path)
    reading = TickReader(store.path).ticks(EURUSD)
    seen = [next(reading).rest]
    newer = Store(store.path)
    newer.prepare()
    join(newer)
    assert seen + [each.rest for each in reading] == [tick(at, at) for at in range(5)]
    newer.close()


def test_an_import_finds_what_was_joined(store):
    put(store, 5)
    join(store)
    importing = Importer(store.path, EURUSD, EPOCH)
    rows = [(at, NOON + at, tick(at, at)) for at in range(6)]
    importing.run(lambda: rows, lambda count: None)
    assert (importing.known, importing.added) == (5, 1)


# In the background


class Steps:
    """A store of which only the joining is asked."""

    def __init__(self, *answers):
        self.asked, self.answers = [], list(answers)

    def sync_late(self):
        pass

    def join(self, age):
        self.asked.append(age)
        answer = self.answers.pop(0) if self.answers else False
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def running():
    """Start to join in the background, of `Steps`: `running(steps)` returns its clock."""

    def start(steps, may_run=lambda: True):
        clock = Clock()
        background = Compaction(steps, clock, InlineWorker(), may_run, 2 * CHECK)
        background.start()
        return clock, background

    return start


def test_steps_follow_each_other_with_a_pause_until_nothing_is_left(running):
    steps = Steps(True, True, False)
    clock, _ = running(steps)
    clock.advance(CHECK)
    assert len(steps.asked) == 1
    clock.pump([PAUSE] * 9)
    assert len(steps.asked) == 3
    clock.advance(CHECK)
    assert len(steps.asked) == 4


def test_small_blocks_are_joined_once_an_hour_however_few_they_are(running):
    steps = Steps()
    clock, _ = running(steps)
    clock.pump([CHECK] * int(2 * OLD / CHECK))
    assert sum(steps.asked) == 2


def test_a_disk_that_refuses_is_asked_again_later_and_told_once(running, logged):
    steps = Steps(JournalError("The disk is full."), JournalError("The disk is full."), True)
    clock, _ = running(steps)
    clock.pump([CHECK] * 3)
    assert len(steps.asked) == 3
    assert len(logged("warn")) == 1


def test_a_trouble_is_told_from_the_first_failure_until_all_work_is_done(running):
    steps = Steps(JournalError("The disk is full."), True, RuntimeError("odd"), True, False)
    clock, background = running(steps)
    clock.advance(CHECK)
    assert background.trouble.endswith("The disk is full.")
    clock.advance(CHECK)
    assert background.trouble.endswith("The disk is full.")
    clock.advance(PAUSE)
    assert background.trouble.endswith("RuntimeError: odd.")
    clock.advance(CHECK)
    assert background.trouble is not None
    clock.advance(PAUSE)
    assert background.trouble is None


def test_nothing_is_joined_while_ticks_wait_for_the_disk(running):
    steps = Steps()
    clock, _ = running(steps, lambda: False)
    clock.pump([CHECK] * 3)
    assert steps.asked == []


def test_nothing_is_joined_once_the_daemon_stops(running):
    steps = Steps()
    clock, background = running(steps)
    background.stop()
    clock.pump([CHECK] * 3)
    assert steps.asked == []


def test_a_daemon_joins_the_ticks_that_it_takes(tmp_path, clock):
    env = make_environment(tmp_path, clock, "reserve=0", "ticks.compact=0")
    env.components.services["ticks"].start()
    collector = env.find(ITicks)
    for at in range(3):
        collector.take(collector.source("desk"), [(EURUSD, tick(at, at))], EPOCH)
        collector.sync()
    clock.pump([CHECK, *[PAUSE] * 4] * int(OLD / CHECK + 1))
    with closing(sqlite3.connect(tmp_path / "ticks.sqlite")) as connection:
        assert connection.execute("SELECT ticks FROM small_block").fetchall() == [(3,)]
