"""Closed days become Parquet files: no tick is lost, doubled or moved, whatever fails meanwhile."""

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from failing_commits import fail_commits
from hypothesis import event, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import archiver, catalog, parquet, reading, removal
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.storage import reader
from mtnet.services.ticks.storage.blocks import FULL
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.storage.sqlite import copy_database

duckdb = pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
SYMBOLS = (EURUSD, b"UK%20100")
STEPS = ("written", "named", "before", "behind", None)


class KilledError(BaseException):
    """The process ends here."""


def die(*_, **__):
    raise KilledError


class ColdStores(RuleBasedStateMachine):
    """Ticks in are ticks out, whatever is compacted, deleted, killed or read meanwhile."""

    def __init__(self):
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        for module, name, value in (
            (archiver, "TICKS", 9), (archiver, "BLOCKS", 5), (archiver, "STEP", 2),
            (removal, "STEP", 2), (reader, "PAGE", 2), (reading, "FILES", 2),
        ):  # fmt: skip
            self.patch.setattr(module, name, value)
        self.failing = fail_commits(self.patch)
        self.folder = tempfile.TemporaryDirectory()
        self.both = Both(Path(self.folder.name))
        self.model = {symbol: [] for symbol in SYMBOLS}
        self.number = self.deleted = 0
        self.reading = None

    def teardown(self):
        self.both.store.close()
        self.patch.undo()
        self.folder.cleanup()

    @rule(
        symbol=st.sampled_from(SYMBOLS),
        times=st.lists(st.tuples(st.integers(-1, 2), st.integers(0, 2)), min_size=1, max_size=9),
        timed=st.booleans(),
    )
    def put(self, symbol, times, timed):
        received = MIDNIGHT + times[0][0] * DAY_MS
        records = []
        for day, second in times:
            self.number += 1
            time = MIDNIGHT + day * DAY_MS + second if timed else received
            rest = b"%d - - - %d" % (self.number, time) if timed else b"%d" % self.number
            records.append(rest)
            self.model[symbol].append((time, rest))
        self.both.put(*records, symbol=symbol, received=received)

    @rule()
    def join(self):
        self.both.join()

    @rule(day=st.integers(0, 3), step=st.sampled_from(STEPS), moment=st.integers(1, 3))
    def compact(self, day, step, moment):
        steps = [None] * moment + [step] if step in ("before", "behind") else []
        with pytest.MonkeyPatch.context() as patch:
            if step == "written":
                patch.setattr(archiver, "sync", die)
            elif step == "named":
                patch.setattr(archiver.Archiver, "finish", die)
            self.failing(*steps)
            try:
                self.both.compact(DAY + day)
            except KilledError:
                event(f"killed when a file was {step}")
                self.both.open()
            except JournalError:
                event("the disk failed")
            self.failing()

    @rule(symbol=st.sampled_from(SYMBOLS), start=st.integers(-1, 2), days=st.integers(1, 2))
    def delete(self, symbol, start, days):
        first, last = MIDNIGHT + start * DAY_MS, MIDNIGHT + (start + days) * DAY_MS
        kept = [each for each in self.model[symbol] if not first <= each[0] < last]
        count = len(self.model[symbol]) - len(kept)
        assert self.both.delete(symbol, DAY + start, DAY + start + days) == count
        self.deleted += count
        self.model[symbol] = kept
        self.reading = None

    @rule()
    def restart(self):
        self.both.store.close()
        self.both.open()

    @precondition(lambda self: self.reading is None)
    @rule(symbol=st.sampled_from(SYMBOLS))
    def begin_to_read(self, symbol):
        ticks = TickReader(self.both.path).ticks(symbol)
        self.reading = symbol, ticks, [next(ticks, None)], self.expected(symbol)

    @precondition(lambda self: self.reading is not None)
    @rule(count=st.integers(1, 9))
    def read_on(self, count):
        symbol, ticks, seen, stored = self.reading
        for _ in range(count):
            if seen[-1] is None:
                break
            seen.append(next(ticks, None))
        if seen[-1] is None:
            self.reading = None
            rests = [each.rest for each in seen[:-1]]
            assert len(set(rests)) == len(rests)
            assert set(rests) >= set(stored)
            assert rests == [each for each in self.expected(symbol) if each in set(rests)]

    def expected(self, symbol):
        return [rest for _, rest in sorted(self.model[symbol], key=lambda row: row[0])]

    @invariant()
    def nothing_is_lost_or_doubled(self):
        for symbol in SYMBOLS:
            assert self.both.told(symbol) == self.expected(symbol)
        counts = {row["symbol"]: row["ticks"] for row in TickReader(self.both.path).symbols()}
        assert counts == {s.decode(): len(rows) for s, rows in self.model.items() if rows}
        deleted = self.both.ask("SELECT value FROM total WHERE name = 'deleted'")
        assert sum(value for (value,) in deleted) == self.deleted


TestColdStores = ColdStores.TestCase
TestColdStores.settings = settings(max_examples=8, stateful_step_count=12, deadline=None)


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    yield made
    made.store.close()


# Each tick to the byte


PRICE = st.one_of(
    st.decimals(-1000, 1000, places=5).map(lambda d: f"{d:f}"),
    st.from_regex(r"\A-?[0-9]{1,12}(\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?\Z").map(str),
)
FIELD = PRICE | st.just("-")
VOLUME = FIELD.map(lambda text: text if text == "-" else text.lstrip("-"))
TIME = st.integers(MIDNIGHT, MIDNIGHT + DAY_MS - 1).map(str) | st.just("-")
FLAGS = st.integers(0, 9_999_999_999).map(str) | st.just("-")
RECORDS = st.tuples(PRICE, FIELD, FIELD, VOLUME, TIME, FLAGS, st.integers(1, 6)).map(
    lambda each: " ".join(each[: each[-1]]).encode()
)


@settings(max_examples=15, deadline=None)
@given(records=st.lists(RECORDS, min_size=1, max_size=40))
def test_a_file_gives_back_what_was_sent_to_the_byte(records):
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        both.put(*records)
        before = list(TickReader(both.path).ticks(EURUSD))
        assert {each.seq for each in before} == {None}
        both.compact()
        assert (both.cold.trouble, len(both.files())) == (None, 1)
        assert both.ask("SELECT count(*) FROM block") == [(0,)]
        after = list(TickReader(both.path).ticks(EURUSD))
        assert [each._replace(seq=None) for each in after] == before
        assert sorted(each.seq for each in after) == list(range(1, len(records) + 1))
        both.store.close()


def test_the_columns_are_numbers_and_exact_ones(both):
    both.put(b"1.09870 1.1 - 0.25 %d 6" % MIDNIGHT, b"1e-5", b"7500", symbol=b"UK%20100%2F%23.x")
    both.compact()
    (file,) = both.files()
    assert file.parent.parent.name == "symbol=UK%20100%2F%23.x"
    assert file.parent.name == "date=2024-10-04"
    rows = duckdb.sql(f"SELECT * FROM read_parquet('{file}') ORDER BY seq")
    names = rows.columns
    first, second, third = (dict(zip(names, row, strict=True)) for row in rows.fetchall())
    assert first["symbol"] == "UK 100/#.x"
    assert (first["bid"], first["bid_exact"], first["digits"]) == (1.0987, 109870, 5)
    assert (first["volume"], first["volume_exact"], first["volume_digits"]) == (0.25, 25, 2)
    assert (first["time_msc"], first["received_us"]) == (MIDNIGHT, MIDNIGHT * 1_000)
    assert (first["last"], first["flags"], first["source"]) == (None, 6, "desk")
    assert (first["record"], second["record"], second["bid_exact"]) == (None, "1e-5", 1)
    assert (third["bid"], third["bid_exact"], third["time_msc"]) == (7500, 750000000, None)
    assert [first["seq"], second["seq"], third["seq"]] == [1, 2, 3]


def test_numbers_beyond_64_bits_are_exact_decimals_in_their_file(both):
    both.put(b"999999999999.0123456789 1e-10 - 0.25", b"1.5 -2.5 1e-11 3")
    both.compact()
    both.put(b"1.5", received=MIDNIGHT + 1)
    both.compact()
    rests = both.told()
    assert rests == [b"999999999999.0123456789 1e-10 - 0.25", b"1.5 -2.5 1e-11 3", b"1.5"]
    found = duckdb.sql(
        f"SELECT bid_exact, ask_exact, last_exact, digits, volume_exact, volume_digits "
        f"FROM read_parquet({[str(each) for each in both.files()]}, union_by_name = true)"
        " ORDER BY seq"
    )
    assert found.fetchall() == [
        (Decimal("999999999999.0123456789"), Decimal("1e-10"), None, 0, 25, 2),
        (Decimal("1.5"), Decimal("-2.5"), None, 0, 300, 2),
        (Decimal(15), None, None, 1, None, 0),
    ]
    types = duckdb.sql(f"DESCRIBE SELECT bid_exact, volume_exact FROM '{both.files()[0]}'")
    assert [row[1] for row in types.fetchall()] == ["DECIMAL(38,10)", "BIGINT"]


def test_the_lowest_number_of_64_bits_is_given_back(both):
    both.put(b"-922337203685.4775808", b"-922337203685.4775807")
    both.compact()
    assert both.cold.trouble is None
    assert len(both.told()) == 2


def test_ticks_that_come_for_a_cold_day_make_a_second_file_and_are_read_in_their_place(both):
    both.put((MIDNIGHT, b"1"), (MIDNIGHT + 5, b"2"))
    both.compact()
    both.put((MIDNIGHT, b"3"), (MIDNIGHT + 1, b"4"))
    told = [each.split()[0] for each in both.told()]
    assert told == [b"1", b"3", b"4", b"2"]
    both.compact()
    assert [each.name for each in both.files()] == ["part-1.parquet", "part-2.parquet"]
    assert [each.split()[0] for each in both.told()] == told
    assert [each.split()[0] for each in both.told(EURUSD, MIDNIGHT + 1, MIDNIGHT + 5)] == [b"4"]


def test_an_import_of_a_cold_day_adds_what_is_missing_and_nothing_else(both):
    rows = [(at, MIDNIGHT + at, b"1.1 - - - %d 2" % (MIDNIGHT + at)) for at in range(0, 60, 2)]
    for expected in ((30, 0), (0, 30)):
        one = Importer(both.path, EURUSD, MIDNIGHT + DAY_MS)
        one.run(lambda: rows, lambda done: None)
        assert (one.added, one.known) == expected
        both.compact()
    one = Importer(both.path, EURUSD, MIDNIGHT + DAY_MS)
    more = [(at, MIDNIGHT + at, b"1.1 - - - %d 2" % (MIDNIGHT + at)) for at in range(60)]
    one.run(lambda: more, lambda done: None)
    assert (one.added, one.known) == (30, 30)
    assert both.told() == [rest for _, _, rest in more]


def test_only_closed_days_are_compacted_and_a_block_of_two_days_is_cut(both):
    both.put((MIDNIGHT, b"1"), (MIDNIGHT + DAY_MS, b"2"), (MIDNIGHT + 1, b"3"))
    assert both.compact(DAY) == {"files": 0, "ticks": 0, "left": 0}
    assert both.compact(DAY + 1) == {"files": 1, "ticks": 2, "left": 0}
    assert both.ask("SELECT ticks, first FROM block") == [(1, MIDNIGHT + DAY_MS)]
    assert [each.split()[0] for each in both.told()] == [b"1", b"3", b"2"]


def test_days_may_be_compacted_some_ticks_at_a_time(both):
    for symbol in (EURUSD, b"GBPUSD"):
        both.put((MIDNIGHT, b"1"), (MIDNIGHT + DAY_MS, b"2"), symbol=symbol)
    assert both.compact(DAY + 2, most=0) == {"files": 0, "ticks": 0, "left": 4}
    assert both.compact(DAY + 1, most=1) == {"files": 2, "ticks": 2, "left": 0}
    assert both.compact(DAY + 2, most=1) == {"files": 2, "ticks": 2, "left": 0}


def test_ticks_of_a_damaged_block_are_not_left_for_another_call(both):
    for symbol in (EURUSD, b"GBPUSD"):
        both.put((MIDNIGHT, b"1"), (MIDNIGHT + DAY_MS, b"2"), symbol=symbol)
    both.store.change(lambda c: c.execute("UPDATE small_block SET data = x'00' WHERE id = 1"))
    assert both.compact(DAY + 2, most=1) == {"files": 1, "ticks": 1, "left": 1}
    assert both.cold.trouble.startswith("2024-10-04 of EURUSD: Block 1 ")
    assert both.compact(DAY + 2, most=1) == {"files": 1, "ticks": 1, "left": 0}


def test_without_duckdb_days_stay_where_they_are_and_a_sentence_says_so(both, monkeypatch):
    both.put((MIDNIGHT, b"1"))
    both.compact()
    both.put((MIDNIGHT, b"2"))
    monkeypatch.setitem(__import__("sys").modules, "duckdb", None)
    monkeypatch.setattr(parquet, "available", lambda: False)
    with pytest.raises(JournalError, match=r"pip install 'mtnet-hub\[parquet\]'"):
        both.compact()
    with pytest.raises(JournalError, match=r"pip install 'mtnet-hub\[parquet\]'"):
        both.told()


# Trouble


def test_a_file_that_does_not_give_the_ticks_back_is_not_used(both, monkeypatch):
    both.put((MIDNIGHT, b"1"), (MIDNIGHT, b"2"))
    monkeypatch.setattr(parquet, "_SENT", "'1 - - - 0'")
    assert both.compact() == {"files": 0, "ticks": 0, "left": 0}
    assert "not what was written" in both.cold.trouble
    assert (both.files(), both.ask("SELECT count(*) FROM cold_file")) == ([], [(0,)])
    assert len(both.told()) == 2


def test_a_damaged_block_holds_up_its_own_symbol_alone(both):
    both.put((MIDNIGHT, b"1"))
    both.put((MIDNIGHT, b"1"), symbol=b"GBPUSD")
    both.ask("SELECT 1")
    both.store.change(lambda c: c.execute("UPDATE small_block SET data = x'00' WHERE id = 1"))
    assert both.compact() == {"files": 1, "ticks": 1, "left": 0}
    assert both.cold.trouble.startswith("2024-10-04 of EURUSD: Block 1 ")
    assert len(both.told(b"GBPUSD")) == 1


def test_a_file_of_somebody_else_is_neither_read_nor_replaced(both):
    other = both.path.parent / "ticks" / "symbol=EURUSD" / "date=2024-10-04" / "part-1.parquet"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"theirs")
    both.put((MIDNIGHT, b"1"))
    both.compact()
    assert [each.name for each in both.files()] == ["part-1.parquet", "part-2.parquet"]
    assert other.read_bytes() == b"theirs"
    assert len(both.told()) == 1


def test_a_file_that_is_gone_is_told(both):
    both.put((MIDNIGHT, b"1"))
    both.compact()
    both.files()[0].unlink()
    with pytest.raises(JournalError, match=r"part-1\.parquet is gone"):
        both.told()


def test_a_damaged_file_is_told(both):
    both.put((MIDNIGHT, b"1"))
    both.compact()
    both.files()[0].write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(JournalError, match=r"part-1\.parquet cannot be written or read"):
        both.told()


def test_deleted_files_and_their_empty_folders_are_removed(both):
    both.put((MIDNIGHT, b"1"), (MIDNIGHT + DAY_MS, b"2"))
    both.compact(DAY + 2)
    assert both.delete(EURUSD, None, DAY + 1) == 1
    assert [each.parent.name for each in both.files()] == ["date=2024-10-05"]
    assert both.delete() == 1
    assert list((both.path.parent / "ticks").iterdir()) == []
    assert both.cold.totals == {"files": 0, "ticks": 0, "bytes": 0, "deleted": 2}


def test_a_backup_has_the_files_that_its_catalog_names(both, tmp_path):
    both.put((MIDNIGHT, b"1"))
    both.compact()
    copy = tmp_path / "copy"
    copy.mkdir()
    copy_database(both.path, copy / both.path.name)
    both.cold.backup(copy)
    assert [each.rest for each in TickReader(copy / both.path.name).ticks(EURUSD)] == both.told()


def test_blocks_that_are_joined_meanwhile_are_compacted_the_next_time(both, monkeypatch):
    both.put((MIDNIGHT, b"1"))
    both.put((MIDNIGHT, b"2"))
    really = archiver.Archiver.write

    def write(self, unit):
        monkeypatch.setattr(archiver.Archiver, "write", really)
        really(self, unit)
        both.join()

    monkeypatch.setattr(archiver.Archiver, "write", write)
    assert both.compact() == {"files": 1, "ticks": 2, "left": 0}
    assert len(both.told()) == 2
    assert len(both.files()) == 1


def test_a_join_that_began_before_blocks_were_compacted_begins_again(both):
    for at in range(6):
        both.put((MIDNIGHT + at % 2 * DAY_MS, b"%d" % at))
    assert both.store.join(True)
    both.compact()
    both.join()
    assert [each.split()[0] for each in both.told()] == [b"0", b"2", b"4", b"1", b"3", b"5"]


def test_large_blocks_are_cut_into_large_and_small_ones(both):
    both.put(*((MIDNIGHT + at % 2 * DAY_MS, b"%d" % at) for at in range(2 * FULL)))
    both.compact()
    assert both.ask("SELECT count(*) FROM large_block") == [(1,)]
    assert len(both.told()) == 2 * FULL
    assert both.ask("SELECT state FROM cold_file") == [(catalog.STORED,)]
