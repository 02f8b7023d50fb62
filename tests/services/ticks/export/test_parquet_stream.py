"""Parquet as a stream: the same ticks in the same order, wherever row groups come from."""

import errno
import io
import tempfile
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.catalog import ColdFile
from mtnet.services.ticks.export import compact_protocol, parquet_stream
from mtnet.services.ticks.export.parquet_stream import _alone, _Group, _Ranges
from mtnet.services.ticks.export.row_groups import read_metadata
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import Stretches, TickReader
from mtnet.services.ticks.storage.tally import Tally

duckdb = pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
GBPUSD = b"GBPUSD"
FIXTURE = HealthCheck.function_scoped_fixture


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Files of few ticks are copied as well."""
    monkeypatch.setattr(parquet_stream, "FEW", 1)


@pytest.fixture
def both(tmp_path):
    (tmp_path / "data").mkdir()
    made = Both(tmp_path / "data")
    yield made
    made.store.close()


@pytest.fixture
def exported(tmp_path):
    """Export; return the path of the file."""

    def run(both, *symbols, **span):
        pieces = parquet_stream.parquet_stream(
            TickReader(both.path), Selection(symbols or [EURUSD], **span), folders(tmp_path)
        )
        file = tmp_path / "out.parquet"
        file.write_bytes(b"".join(pieces))
        assert not list(tmp_path.glob("work*"))
        return file

    return run


def folders(path):
    return lambda: Path(tempfile.mkdtemp(prefix="work", dir=path))


def of_reader(both, *symbols, **span):
    chosen = Selection(symbols or [EURUSD], **span)
    return [
        (each.time, each.rest, each.received, each.source)
        for _, ticks in chosen.ticks(TickReader(both.path))
        for each in ticks
    ]


def of_file(file):
    return [row[:4] for row in parquet.read([file])]


def day(number, *times):
    """Return (time, price) pairs of a day, each with a price of its own."""
    return [(MIDNIGHT + number * DAY_MS + at, b"1.%05d" % (at % 99_999)) for at in times]


COMMITS = st.lists(
    st.tuples(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=5),
        st.booleans(), st.booleans(),
    ),
    min_size=1,
    max_size=7,
)  # fmt: skip
SPAN = st.none() | st.integers(0, 2 * DAY_MS + 10).map(lambda at: MIDNIGHT + at)


@settings(max_examples=5, deadline=None, suppress_health_check=[FIXTURE])
@given(
    commits=COMMITS, start=SPAN, stop=SPAN, limit=st.none() | st.integers(1, 12), two=st.booleans()
)
@example([([(0, 1), (0, 2)], True, False)], None, None, 1, False)
@example([([(0, 1), (0, 5)], True, False), ([(0, 5)], True, True)], None, None, None, False)
def test_an_export_is_what_the_reader_reads(commits, start, stop, limit, two):
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        for at, (times, compacted, untimed) in enumerate(commits):
            ticks = [pair for number, second in times for pair in day(number, second)]
            both.put(*ticks, symbol=EURUSD if at % 3 else GBPUSD, received=MIDNIGHT + at)
            if untimed:
                both.put(b"7500.1 - - 0.25", b"1e-5", received=MIDNIGHT + DAY_MS + at)
            if compacted:
                both.compact(DAY + 2)
        span = {"start": start, "stop": stop, "limit": limit}
        symbols = [EURUSD, GBPUSD] if two else [EURUSD]
        pieces = parquet_stream.parquet_stream(
            TickReader(both.path), Selection(symbols, **span), folders(folder)
        )
        file = Path(folder) / "out.parquet"
        file.write_bytes(b"".join(pieces))
        assert of_file(file) == of_reader(both, *symbols, **span)
        seqs = duckdb.sql(f"SELECT count(DISTINCT (symbol, seq)), count(*) FROM '{file}'")
        assert len(set(seqs.fetchall()[0])) == 1
        both.store.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """
    A day of three row groups, with several ticks of one time at their edges, one of two row groups,
    and one that is in no file.
    """
    with pytest.MonkeyPatch.context() as patch:
        short = parquet._WRITE.replace("ROW_GROUP_SIZE 65536", "ROW_GROUP_SIZE 2048")
        patch.setattr(parquet, "_WRITE", short)
        made = Both(tmp_path_factory.mktemp("large"))
        made.put(*day(0, *(at // 10 for at in range(6_000))))
        made.put(*day(1, *range(3_000)))
        made.compact(DAY + 2)
    made.put(*day(2, *range(5)))
    yield made
    made.store.close()


CUTS = [
    (0, 2_047), (0, 2_048), (0, 2_060), (1, 4_100), (204, 6_000), (205, None), (600, 3_005),
    (DAY_MS + 2_047, None), (DAY_MS + 2_048, 952),
]  # fmt: skip


@pytest.mark.parametrize(("start", "limit"), CUTS)
def test_row_groups_are_cut_where_a_span_or_a_limit_ends(large, exported, start, limit):
    span = {"start": MIDNIGHT + start, "limit": limit}
    assert of_file(exported(large, **span)) == of_reader(large, **span)


def test_row_groups_of_files_are_copied_as_they_are(large, exported, monkeypatch):
    written = []
    monkeypatch.setattr(parquet, "write_group", counted(parquet.write_group, written))
    file = exported(large)
    with file.open("rb") as opened:
        rows = [each.rows for each in read_metadata(opened, file).groups]
    # The ticks of today, and before them those of a file without rows, are all that is written.
    assert (rows, written) == ([2_048, 2_048, 1_904, 2_048, 952, 5], [0, 5])


def counted(write, found):
    def run(lines, target, symbols):
        found.append(lines.read_bytes().count(b"\n"))
        write(lines, target, symbols)

    return run


@pytest.mark.parametrize("reader", ["pyarrow", "polars"])
def test_other_readers_find_the_same(large, exported, reader):
    module = pytest.importorskip(reader)
    file = exported(large, EURUSD)
    if reader == "pyarrow":
        from pyarrow import parquet as module

        table = module.read_table(file)
        assert table.schema.metadata[b"symbol"] == b"EURUSD"
        assert table.schema.metadata[b"ticks"] == b"9005"
        found = table.to_pydict()
    else:
        found = module.read_parquet(file).to_dict(as_series=False)
    ticks = of_reader(large)
    assert found["time_msc"] == [time for time, *_ in ticks]
    assert found["bid"] == [float(rest.split()[0]) for _, rest, *_ in ticks]
    assert found["seq"] == list(range(1, 9_006))


def test_the_first_bytes_come_before_all_is_read(large, tmp_path, monkeypatch):
    pieces = parquet_stream.parquet_stream(
        TickReader(large.path), Selection([EURUSD]), folders(tmp_path)
    )
    monkeypatch.setattr(TickReader, "ticks", None)
    begin, group = islice((each for each in pieces if each), 2)
    assert begin == b"PAR1"
    assert len(group) > 1_000
    pieces.close()
    assert not list(tmp_path.glob("work*"))


def test_an_export_that_nobody_begins_to_read_makes_no_folder(both, tmp_path):
    both.put(*day(0, 1))
    pieces = parquet_stream.parquet_stream(
        TickReader(both.path), Selection([EURUSD]), folders(tmp_path)
    )
    pieces.close()
    assert not list(tmp_path.glob("work*"))


def test_a_full_disk_ends_an_export_without_its_last_bytes(both, tmp_path, monkeypatch):
    both.put(*day(0, 1))
    got = io.BytesIO()
    pieces = parquet_stream.parquet_stream(
        TickReader(both.path), Selection([EURUSD]), folders(tmp_path)
    )
    got.write(next(pieces))

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(JournalError, match="cannot be written: No space left on device"):
        got.writelines(pieces)
    assert got.getvalue() == b"PAR1"
    assert not list(tmp_path.glob("work*"))


def test_ticks_that_are_deleted_meanwhile_are_left_out(both, exported, monkeypatch):
    both.put(*day(0, 1), *day(1, 2))
    both.compact(DAY + 1)
    stretches = TickReader.stretches

    def then_delete(reader, *span):
        found = stretches(reader, *span)
        both.delete(EURUSD, DAY, DAY + 1)
        return found

    monkeypatch.setattr(TickReader, "stretches", then_delete)
    assert of_file(exported(both)) == of_reader(both)


def test_a_file_of_other_columns_is_written_anew(both, exported):
    """Prices of more than 64 bits make decimals of exact numbers."""
    both.put(*day(0, 1), b"999999999999.0123456789 - - - %d" % (MIDNIGHT + 2))
    both.compact(DAY + 1)
    both.put(*day(1, 3))
    both.compact(DAY + 2)
    file = exported(both)
    assert of_file(file) == of_reader(both)
    rows = duckdb.sql(f"SELECT bid_exact, digits, record IS NULL FROM '{file}'").fetchall()
    assert rows == [(10_000_100_000, 10, True), (None, 10, False), (100_003, 5, True)]


def test_a_damaged_file_is_told_by_its_name(both, exported):
    both.put(*day(0, 1))
    both.compact(DAY + 1)
    (file,) = both.files()
    for data in (b"PAR1", file.read_bytes()[:-1], file.read_bytes()[:-8] + b"\xff\xff\0\0PAR1"):
        file.write_bytes(data)
        with pytest.raises(JournalError, match=r"part-1\.parquet cannot be read"):
            exported(both)


def test_answers_of_duckdb_over_files_blocks_and_the_log_are_ours(both, exported):
    """Bars of a minute, counts, extremes, and exact sums of price times volume."""
    both.put(*traded(0, range(0, 600_000, 700)))
    both.compact(DAY + 1)
    both.put(*traded(0, range(350, 600_000, 90_000)))  # late, between those of the file
    both.put(*traded(1, range(0, 300_000, 900)), received=MIDNIGHT + DAY_MS)
    both.store.close()
    both.store = HotStore(both.path)
    both.store.load(Tally(both.path.parent / "ticks.taken"), 10)
    both.put(*traded(1, range(300_000, 420_000, 1_100)), received=MIDNIGHT + DAY_MS)
    assert both.ask("SELECT sum(ticks) FROM block") == [(341,)]
    ticks = of_reader(both)
    assert len(ticks) == 858 + 7 + 334 + 110

    file, history = exported(both), BarHistory(both.path)
    bars = history.bars(EURUSD, PERIODS["M1"], history.basis(EURUSD))
    ours = [(bar.time, *bar[1:6]) for bar in bars]
    theirs = duckdb.sql(
        f"""
        SELECT time_msc // 60000 * 60000 AS minute, first(bid ORDER BY time_msc, seq), max(bid),
            min(bid), last(bid ORDER BY time_msc, seq), count(*)
        FROM '{file}' GROUP BY minute ORDER BY minute
        """
    ).fetchall()
    assert theirs == ours
    sums = duckdb.sql(f"SELECT sum(bid_exact * volume_exact), sum(volume_exact) FROM '{file}'")
    products = [Decimal(rest.split()[0].decode()) * int(rest.split()[3]) for _, rest, *_ in ticks]
    assert sums.fetchall() == [
        (sum(products) * 100_000, sum(int(rest.split()[3]) for _, rest, *_ in ticks))
    ]


def traded(number, times):
    """Return deals of a day."""
    return [
        b"1.%05d 1.2 - %d %d 6"
        % (at * 7_919 % 99_991, at % 13 + 1, MIDNIGHT + number * DAY_MS + at)
        for at in times
    ]


# Which row groups can be copied

TIMES = st.lists(st.integers(0, 30), min_size=1, max_size=12).map(sorted)


@settings(max_examples=100, suppress_health_check=[FIXTURE])
@given(times=TIMES, size=st.integers(1, 4), others=TIMES, low=st.integers(-1, 10), high=SPAN)
def test_runs_hold_every_tick_of_their_times_and_no_other_lies_between(
    times, size, others, low, high
):
    stop = 40 if high is None else high % 31
    parts = [times[at : at + size] for at in range(0, len(times), size)]
    groups = [_Group(part, part[0], part[-1]) for part in parts]
    file = ColdFile(1, EURUSD, 0, 1, len(times), 0, times[0], times[-1])
    ranges = _Ranges(Stretches([file], [(at, at) for at in others], 0))
    for run in _alone(groups, ranges, (low, stop)):
        first, last = run[0].first, run[-1].last
        copied = [time for each in run for time in each.group]
        assert copied == [time for time in times if first <= time <= last]
        assert not [time for time in others if first <= time <= last]
        assert low <= first <= last < stop


# Thrift


def test_metadata_are_written_as_they_were_read(large):
    for file in large.files():
        with file.open("rb") as opened:
            whole = read_metadata(opened, file).whole
        assert compact_protocol.encode(whole) in file.read_bytes()


def test_metadata_of_another_writer_keep_what_nobody_knows(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet as files

    table = pa.table({"a": [-1, 2, None], "b": ["x", None, "y"], "c": [0.5, -1.5, 2.0]})
    file = tmp_path / "other.parquet"
    files.write_table(table, file, write_page_index=True, row_group_size=1)
    with file.open("rb") as opened:
        found = read_metadata(opened, file)
    assert compact_protocol.encode(found.whole) in file.read_bytes()
    assert [each.bounds("a") for each in found.groups] == [(-1, -1), (2, 2), None]


@pytest.mark.parametrize("data", [b"", b"\x15", b"\x1d\0", b"\x19\xfc\xff\xff\xff\x0f"])
def test_bytes_that_are_no_struct_are_refused(data):
    with pytest.raises(JournalError, match="metadata"):
        compact_protocol.decode(data)
