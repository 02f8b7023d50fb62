"""The log before the blocks: what is in it, what is read of it, and how it is merged."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from committing import ask, everything
from failing_commits import fail_commits
from hot_stores import DESK, EURUSD, GBPUSD, NOON, again, commit_of, got, in_blocks, segment, tick
from hypothesis import given, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from old_tick_store import drop_spans
from refused_symbols import refuse_symbol

from mtnet.errors import JournalError
from mtnet.services.ticks.export.reading import read_table
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage import hot, log, log_records, merge, rows
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.log_records import (
    BlockReader,
    RecordEncoder,
    Summary,
    details,
    read_records,
    scan,
    sources,
)
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.schema import NO_SPANS, SCHEMA
from mtnet.services.ticks.storage.tally import Tally


@pytest.fixture
def store(hot_store):
    return hot_store


def blocks_in(data):
    """Return the blocks of a segment."""
    reader = BlockReader()
    found = read_records(data, scan(data).records)
    return [block for record in found for block in reader.blocks(record)]


def join(store, age):
    """Do all that there is to do in the background."""
    while store.join(age):
        age = False


# Records

RESTS = strategies.one_of(
    strategies.sampled_from(
        [
            b"1.1",
            b"- - 5",
            b"1.1 1.2 - - 001549281600 6",
            b"1e5 - - - 1 0",
            b"1.10 1.2",
            b"+3 1.1",
            b"1.1 +3",
            b"0.5 00.6 7",
            b"0.05 -1",
            b"=1.1",
            b"! !",
            b"1.1 !",
            b"1.12 1.13 - - 1 6 7",
            b"",
            b"1.1  2",
            "1.1 1.2 Ж".encode(),
        ]
    ),
    strategies.builds(
        lambda bid, more, digits, time: (
            b"%.*f %.*f - 3 %d 6" % (digits, bid, digits, bid + more, time)
        ),
        strategies.floats(0, 3000),
        strategies.floats(0, 1),
        strategies.integers(1, 6),
        strategies.integers(10**11, 10**14 - 1),
    ),
    strategies.builds(
        lambda price, time: b"%d - - - %d" % (price, time),
        strategies.integers(1, 10**6),
        strategies.integers(10**11, 10**14 - 1),
    ),
)
COMMITS = strategies.lists(
    strategies.dictionaries(
        strategies.sampled_from([EURUSD, GBPUSD, "Газпром".encode(), b"UK%20100"]),
        strategies.lists(
            strategies.tuples(RESTS, strategies.integers(0, 2), strategies.integers(1, 3)),
            min_size=1,
            max_size=4,
        ),
    ),
    max_size=6,
)


def in_symbols(found):
    """Return blocks by symbol, those of one in order of arrival."""
    return sorted(found, key=lambda block: block.symbol)


def of_earlier_form(data):
    return b"\xb5\x5b" + data[2:]


def of_earlier_schema(store):
    """Make the file one of a mtnet that wrote logs of the earlier form."""
    store.close()
    drop_spans(store.path, NO_SPANS)


OPENERS = {
    "a daemon": lambda path: HotStore(path).load(Tally(path.with_name("ticks.taken")), 10),
    "a command": lambda path: HotStore(path).prepare(),
    "an import": lambda path: Importer(path, EURUSD, NOON),
    "a reader": lambda path: got(path),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_log_of_an_earlier_form_is_refused_and_its_store_is_left_to_that_version(store, opener):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    old = of_earlier_form(segment(store).read_bytes())
    segment(store).write_bytes(old)
    of_earlier_schema(store)
    before = everything(store.path)
    with pytest.raises(JournalError, match="mtnet ticks compact"):
        OPENERS[opener](store.path)
    assert segment(store).read_bytes() == old
    assert everything(store.path) == before
    assert ask(store.path, "PRAGMA user_version") == [(NO_SPANS,)]


def test_a_log_of_an_earlier_form_that_is_in_blocks_holds_up_no_upgrade(store):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    old = of_earlier_form(segment(store).read_bytes())
    store.merge()
    of_earlier_schema(store)
    segment(store).write_bytes(old)  # as when a daemon was killed before it removed it
    HotStore(store.path).prepare()
    assert got(store.path) == [tick(1)]
    assert ask(store.path, "PRAGMA user_version") == [(SCHEMA,)]


@settings(max_examples=int(os.environ.get("MTNET_EXAMPLES", "60")))
@given(given_commits=COMMITS, restarts=strategies.integers(0, 6))
def test_what_was_encoded_is_decoded(given_commits, restarts):
    encoder, summary, data, expected = RecordEncoder(), Summary(), b"", []
    for at, ticks in enumerate(given_commits):
        if at == restarts:
            encoder.restart()
        commit = Commit(sources=[snapshot(DESK)], totals={"stored": 1})
        pieces = [(symbol, some[at : at + 2]) for at in (0, 2) for symbol, some in ticks.items()]
        for symbol, records in pieces:
            marks = [(NOON + when, source) for _, when, source in records]
            for block in Series(symbol, None, [rest for rest, _, _ in records], marks).pack():
                commit.add(block, None)
        data += encoder.encode(commit, summary)
        for block in commit.blocks:
            summary.add(block)
        expected.append(in_symbols(commit.blocks))
    found = scan(data)
    assert (found.end, found.damaged, found.torn, found.ticks) == (len(data), 0, 0, summary.ticks)
    read = list(read_records(data, found.records))
    reader = BlockReader()
    assert [in_symbols(reader.blocks(each)) for each in read] == expected
    assert all(sources(details(each.text))[0].row[:2] == [3, "desk"] for each in read)
    for symbol in {block.symbol for blocks in expected for block in blocks}:
        reader = BlockReader(symbol)
        found_alone = [block for each in read for block in reader.blocks(each)]
        assert found_alone == [each for blocks in expected for each in blocks if each[0] == symbol]


# Reading


def test_ticks_of_the_log_are_read_as_those_of_blocks(store):
    store.commit(commit_of({EURUSD: [tick(1), tick(2)]}))
    store.merge()
    store.commit(commit_of({EURUSD: [tick(3)], GBPUSD: [b"1.3"]}, Source("other", 4)))
    assert in_blocks(store.path) == 2
    assert got(store.path) == [tick(1), tick(2), tick(3)]
    table = read_table(store.path, EURUSD)
    assert [table.sources[at] for at in table.source] == ["desk", "desk", "other"]
    assert [each.source for each in TickReader(store.path).ticks(GBPUSD)] == ["other"]
    before = TickReader(store.path).symbols(), TickReader(store.path).report()
    store.merge()
    assert in_blocks(store.path) == 4
    assert (TickReader(store.path).symbols(), TickReader(store.path).report()) == before
    assert got(store.path) == [tick(1), tick(2), tick(3)]


def test_an_hour_that_the_log_does_not_reach_costs_its_last_chunk_alone(store, monkeypatch):
    monkeypatch.setattr(log_records, "CHUNK", 3)
    for at in range(8):
        store.commit(commit_of({EURUSD: [tick(at)], GBPUSD: [tick(100)]}))
    taken = []

    def read(data, places):
        taken.append(len(places))
        return read_records(data, places)

    monkeypatch.setattr(merge, "read_records", read)
    reader = TickReader(store.path)
    for low, high, whole in ((8, 100, []), (-9, 0, []), (7, 8, [8]), (0, 1, [8])):
        taken.clear()
        found = [each.rest for each in reader.ticks(EURUSD, NOON + low, NOON + high)]
        assert (found, taken[:2]) == ([tick(low)] * len(whole), [2, *whole])


def test_ticks_of_one_time_have_one_order_before_and_behind_a_merge(store):
    def got_all():
        return [(each.source, each.rest) for each in TickReader(store.path).ticks(EURUSD)]

    def ticks(*prices):
        return [b"%b - - - %d" % (price, NOON) for price in prices]

    store.commit(commit_of({EURUSD: ticks(b"2", b"1")}))
    importer = Importer(store.path, EURUSD, NOON)
    importer.run(lambda: [(1, NOON, rest) for rest in ticks(b"4", b"3")], lambda count: None)
    store.commit(commit_of({EURUSD: ticks(b"5", b"0")}))
    imported = [("(import)", rest) for rest in ticks(b"4", b"3")]
    expected = [*imported, *(("desk", rest) for rest in ticks(b"2", b"1", b"5", b"0"))]
    assert got_all() == expected
    store.merge()
    assert got_all() == expected
    importer = Importer(store.path, EURUSD, NOON)
    importer.run(lambda: [(1, NOON, rest) for rest in ticks(b"6")], lambda count: None)
    assert got_all() == [*expected, ("(import)", *ticks(b"6"))]


def test_a_reader_that_began_before_a_merge_reads_each_tick_once(store):
    for at in range(5):
        store.commit(commit_of({EURUSD: [tick(at)]}))
    reading = TickReader(store.path).ticks(EURUSD)
    seen = [next(reading).rest]
    store.merge()
    store.commit(commit_of({EURUSD: [tick(9)]}))
    assert seen + [each.rest for each in reading] == [tick(at) for at in range(5)]


def test_a_segment_that_is_merged_while_it_is_looked_for_is_looked_for_again(store, monkeypatch):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    really = log.segments

    def late(folder, merged):
        monkeypatch.undo()
        store.merge()
        return really(folder, merged)

    monkeypatch.setattr("mtnet.services.ticks.storage.overlay.segments", late)
    assert got(store.path) == [tick(1)]
    store.commit(commit_of({EURUSD: [tick(2)]}))
    monkeypatch.setattr("mtnet.services.ticks.storage.overlay.segments", late)
    assert TickReader(store.path).symbols()[0]["ticks"] == 2


def test_a_commit_of_full_blocks_is_in_them_at_once_behind_what_came_before(store, monkeypatch):
    monkeypatch.setattr(hot, "FULL", 3)
    store.commit(commit_of({EURUSD: [b"1"]}))
    store.commit(commit_of({EURUSD: [b"2", b"3", b"4"]}))
    assert in_blocks(store.path) == 4
    assert got(store.path) == [b"1", b"2", b"3", b"4"]


# Merging


def test_the_log_is_merged_when_it_is_old_or_has_much(store, monkeypatch):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    join(store, False)
    assert in_blocks(store.path) == 0
    join(store, True)
    assert in_blocks(store.path) == 1
    monkeypatch.setattr(hot, "MERGED_TICKS", 2)
    store.commit(commit_of({EURUSD: [tick(2), tick(3)]}))
    join(store, False)
    assert (in_blocks(store.path), got(store.path)) == (3, [tick(1), tick(2), tick(3)])
    assert os.listdir(store.path.parent / log.FOLDER) == []


def test_ticks_that_come_while_the_log_is_merged_are_in_the_next_segment(store):
    store.commit(commit_of({EURUSD: [tick(1)]}))
    age = True
    for at in range(2, 9):
        store.join(age)
        age = False
        store.commit(commit_of({EURUSD: [tick(at)]}))
    assert got(store.path) == [tick(at) for at in range(1, 9)]
    store.merge()
    assert got(store.path) == [tick(at) for at in range(1, 9)]


def test_rows_that_sqlite_rejects_are_left_out_counted_and_kept_aside(store):
    refuse_symbol(store.path, "GBPUSD", "symbol")
    store.commit(commit_of({EURUSD: [b"1"], GBPUSD: [b"2", b"3"]}))
    store.merge()
    (refusal,) = store.take_left_out()
    assert refusal.ticks == {3: 2}
    assert refusal.reason == "not this one; ticks.log keeps them as 1.rejected"
    assert TickReader(store.path).report()["totals"]["stored"] == 1
    kept = segment(store, "1.rejected").read_bytes()
    assert [each.symbol for each in blocks_in(kept)] == [EURUSD, GBPUSD]
    other, _ = again(store)
    assert (got(store.path), os.listdir(segment(store).parent)) == ([b"1"], ["1.rejected"])
    other.close()


def test_what_a_merge_leaves_out_is_counted_though_the_daemon_is_killed_behind_it(store):
    refuse_symbol(store.path, "GBPUSD", "symbol")
    sender = Source("sender", 3, received=4, dropped=1)
    store.commit(commit_of({EURUSD: [b"1"], GBPUSD: [b"2", b"3"]}, sender))
    store.merge()
    store.commit(Commit(sources=[snapshot(sender)], token=2))  # it was not told of them yet
    store.merge()
    other, state = again(store)
    other.close()
    assert [(each.dropped, each.unstored) for each in state.sources] == [(3, 2)]
    report = TickReader(store.path).report()
    (told,) = report["sources"]
    assert told["received"] == 4 == told["stored"] + told["dropped"]
    assert report["totals"] == {"stored": 1, "lost": 0, "unstored": 2, "kernel drops": 0}


@settings(max_examples=int(os.environ.get("MTNET_EXAMPLES", "60")), deadline=None)
@given(
    symbol=strategies.one_of(strategies.binary(min_size=1, max_size=4), strategies.just(EURUSD)),
    rest=strategies.one_of(
        strategies.binary(max_size=6),
        strategies.integers(2**63 - 2, 2**64 + 2).map(lambda time: b"1 - - - %d" % time),
    ).filter(lambda rest: b"\n" not in rest),
    received=strategies.sampled_from([NOON, 2**63 - 1, -(2**63)]),
)
def test_what_the_log_takes_sqlite_takes(symbol, rest, received):
    with tempfile.TemporaryDirectory() as folder:
        found = HotStore(Path(folder) / "ticks.sqlite")
        found.load(Tally(Path(folder) / "ticks.taken"), 10)
        commit = commit_of({symbol: [rest], GBPUSD: [b"1"]}, when=received)
        found.commit(commit)
        refused = sum(each.count for each in commit.refusals)
        found.merge()
        assert found.take_left_out() == []
        assert in_blocks(found.path) == 2 - refused
        found.close()


def test_a_name_that_is_no_text_costs_the_others_nothing(store):
    store.commit(commit_of({EURUSD: [b"1"], b"\xff": [b"2"]}))
    assert got(store.path) == [b"1"]


# All of it


class Machine(RuleBasedStateMachine):
    """Ticks in are ticks out, whatever is merged, joined, fails, is killed or read meanwhile."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, value in (
            (log_records, "CHUNK", 3),
            (log_records, "PAGE", 256),
            (log, "PAGE", 256),
            (hot, "FULL", 4),
            (rows, "FULL", 4),
            (hot, "MERGED_TICKS", 9),
            (hot, "LIMIT", 30),
        ):
            self.patch.setattr(module, name, value)
        self.failing = fail_commits(self.patch)
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "ticks.sqlite"
        self.number = 0
        self.kept = {EURUSD: [], GBPUSD: []}
        self.waiting = None
        self.reading = None

    @initialize()
    def begin(self):
        self.open()

    def open(self):
        self.store = HotStore(self.path)
        self.tally = Tally(Path(self.folder.name) / "taken")
        state = self.store.load(self.tally, 10)
        assert state.lost == 0
        assert not state.notes

    def try_waiting(self):
        if self.waiting is None:
            return
        commit, ticks = self.waiting
        try:
            self.store.commit(commit)
        except JournalError:
            return
        self.waiting = None
        for symbol, records in ticks.items():
            self.kept[symbol] += records

    @precondition(lambda self: self.waiting is None)
    @rule(counts=strategies.tuples(*[strategies.integers(0, 5)] * 2), forced=strategies.booleans(),
          step=strategies.sampled_from([None, None, None, "before", "behind"]))  # fmt: skip
    def take(self, counts, forced, step):
        ticks = {}
        for symbol, count in zip(self.kept, counts, strict=True):
            if count:
                ticks[symbol] = [tick(self.number + at) for at in range(count)]
                self.number += count
        if ticks:
            self.tally.set(self.number)
            commit = commit_of(ticks, forced=forced)
            commit.token = self.number
            self.waiting = commit, ticks
            self.failing(step)
            self.try_waiting()
            self.failing()

    @precondition(lambda self: self.waiting is not None)
    @rule()
    def retry(self):
        self.try_waiting()

    @precondition(lambda self: self.waiting is None)
    @rule(age=strategies.booleans(), steps=strategies.integers(1, 9),
          step=strategies.sampled_from([None, None, "before", "behind"]))  # fmt: skip
    def join(self, age, steps, step):
        self.failing(step)
        for _ in range(steps):
            with suppress(JournalError):
                self.store.join(age)
            age = False
        self.failing()

    @precondition(lambda self: self.waiting is None)
    @rule()
    def restart(self):
        self.store = None  # as after a kill: nothing is closed in order
        self.open()

    @rule(symbol=strategies.sampled_from([EURUSD, GBPUSD]))
    def begin_reading(self, symbol):
        self.reading = TickReader(self.path).ticks(symbol), list(self.kept[symbol]), []
        self.read_some()

    @precondition(lambda self: self.reading is not None)
    @rule()
    def read_some(self):
        ticks, expected, seen = self.reading
        for each in ticks:
            seen.append(each.rest)
            if len(seen) % 3 == 0:
                return
        assert seen[: len(expected)] == expected
        self.reading = None

    @invariant()
    def all_is_there(self):
        if self.waiting is not None or not hasattr(self, "store"):
            return
        for symbol, records in self.kept.items():
            assert got(self.path, symbol) == records
        read = TickReader(self.path)
        assert {row["symbol"].encode(): row["ticks"] for row in read.symbols()} == {
            symbol: len(records) for symbol, records in self.kept.items() if records
        }
        assert read.report()["totals"]["stored"] == self.number

    def teardown(self):
        self.patch.undo()
        self.folder.cleanup()


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=int(os.environ.get("MTNET_EXAMPLES", "8")), stateful_step_count=15, deadline=None
)
