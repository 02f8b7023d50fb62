"""Parquet as a stream: the same ticks in the same order, wherever row groups come from."""

import errno
import io
import tempfile
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtnet.durations import DAY_MS
from mtnet.errors import JournalError
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.cold.catalog import ColdFile
from mtnet.services.ticks.export import compact_protocol, parquet_stream
from mtnet.services.ticks.export.compact_protocol import BINARY, I64, LIST, STRUCT, TRUE
from mtnet.services.ticks.export.parquet_stream import GroupFile, _alone, _Export, _Group, _Ranges
from mtnet.services.ticks.export.row_groups import read_metadata
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import Stretches, TickReader
from mtnet.services.ticks.storage.tally import Tally

duckdb = pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
GBPUSD = b"GBPUSD"


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


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Two symbols with late ticks in files and blocks, several of one time, and some untimed."""
    made = Both(tmp_path_factory.mktemp("mixed"))
    made.put(*day(0, 1, 2, 5, 5, 9), *day(1, 3))
    made.put(*day(0, 4, 8), symbol=GBPUSD)
    made.compact(DAY + 2)
    made.put(*day(0, 5), b"7500.1 - - 0.25", received=MIDNIGHT + DAY_MS + 5)
    made.compact(DAY + 2)
    made.put(*day(0, 2, 7), *day(2, 1), b"1e-5", received=MIDNIGHT + 2 * DAY_MS)
    made.put(*day(0, 6), symbol=GBPUSD, received=MIDNIGHT + 2 * DAY_MS)
    yield made
    made.store.close()


SPANS = [(None, None, None), (None, None, 4), (5, DAY_MS + 5, None)]


@pytest.mark.parametrize(("start", "stop", "limit"), SPANS)
def test_an_export_is_what_the_reader_reads(mixed, exported, start, stop, limit):
    span = {
        "start": None if start is None else MIDNIGHT + start,
        "stop": None if stop is None else MIDNIGHT + stop,
        "limit": limit,
    }
    file = exported(mixed, EURUSD, GBPUSD, **span)
    assert of_file(file) == of_reader(mixed, EURUSD, GBPUSD, **span)
    seqs = duckdb.sql(f"SELECT count(DISTINCT (symbol, seq)), count(*) FROM '{file}'")
    assert len(set(seqs.fetchall()[0])) == 1


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


CUTS = [(0, 2_060), (205, 6_000), (DAY_MS + 2_048, 952)]


@pytest.mark.parametrize(("start", "limit"), CUTS)
def test_row_groups_are_cut_where_a_span_or_a_limit_ends(large, exported, start, limit):
    span = {"start": MIDNIGHT + start, "limit": limit}
    assert of_file(exported(large, **span)) == of_reader(large, **span)


@pytest.fixture(scope="module")
def whole(large, tmp_path_factory):
    """An export of all, and how many ticks each row group had that was written for it."""
    folder, written = tmp_path_factory.mktemp("whole"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parquet_stream, "FEW", 1)
        patch.setattr(parquet, "write_group", counted(parquet.write_group, written))
        pieces = parquet_stream.parquet_stream(
            TickReader(large.path), Selection([EURUSD]), folders(folder)
        )
        file = folder / "out.parquet"
        file.write_bytes(b"".join(pieces))
    return file, written


def test_row_groups_of_files_are_copied_as_they_are(whole):
    file, written = whole
    with file.open("rb") as opened:
        rows = [each.rows for each in read_metadata(opened, file).groups]
    # The ticks of today are all that is written, unless it is the first export: that of no rows.
    assert rows == [2_048, 2_048, 1_904, 2_048, 952, 5]
    assert written in ([5], [0, 5])


def counted(write, found):
    def run(lines, target, symbols):
        found.append(lines.read_bytes().count(b"\n"))
        write(lines, target, symbols)

    return run


@pytest.mark.parametrize("reader", ["pyarrow", "polars"])
def test_other_readers_find_the_same(large, whole, reader):
    module = pytest.importorskip(reader)
    file, _ = whole
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


def test_no_file_behind_the_last_tick_of_a_limit_is_looked_at(large, exported, monkeypatch):
    looked = []

    def read(file, path):
        looked.append(path)
        return read_metadata(file, path)

    monkeypatch.setattr(parquet_stream, "read_metadata", read)
    assert len(of_file(exported(large, limit=6_000))) == 6_000
    assert len(looked) == 1


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


def test_a_damaged_file_is_told_by_its_name(both, exported, tmp_path):
    both.put(*day(0, 1))
    both.compact(DAY + 1)
    (file,) = both.files()
    whole = file.read_bytes()

    def groups(change):
        return changed(whole, lambda found: change(found[4][1][1][0]))

    def column(change):
        return groups(lambda group: change(group[1][1][1][1][3][1]))  # that of time_msc

    damaged = [
        b"",
        b"PAR1",
        whole[:-1],
        whole[:-8] + b"\xff\xff\0\0PAR1",
        groups(lambda group: group.update({1: (LIST, (STRUCT, []))})),
        groups(lambda group: group[1][1][1][0].update({1: (BINARY, b"other.parquet")})),
        column(lambda chunk: chunk.update({3: (BINARY, b"")})),
        column(lambda chunk: chunk[12][1].update({5: (TRUE, True)})),
        column(lambda chunk: chunk.update({9: (I64, -1)})),
        column(lambda chunk: chunk.update({7: (I64, 2**40)})),
    ]
    reader = TickReader(both.path)
    found = reader.stretches(EURUSD, MIDNIGHT, MIDNIGHT + DAY_MS)
    made = GroupFile(tmp_path, "ticks", partial(parquet.write_group, symbols=["EURUSD"]))
    runs = partial(
        _Export(reader, made)._runs, found.files, _Ranges(found), (MIDNIGHT, MIDNIGHT + DAY_MS)
    )
    assert len(list(runs())) == 1
    for data in damaged:
        file.write_bytes(data)
        with pytest.raises(JournalError, match=r"part-1\.parquet cannot be read: .+\.$"):
            list(runs())
    file.write_bytes(column(lambda chunk: chunk.update({10: (BINARY, b"")})))
    with pytest.raises(JournalError, match=r"part-1\.parquet cannot be read: its metadata"):
        exported(both)
    file.unlink()
    file.mkdir()
    with pytest.raises(JournalError, match=r"part-1\.parquet cannot be read: Is a directory"):
        exported(both)


def changed(data, change):
    """Return a Parquet file with other metadata."""
    length = int.from_bytes(data[-8:-4], "little")
    found = compact_protocol.decode(data[-8 - length : -8])
    change(found)
    written = compact_protocol.encode(found)
    return data[: -8 - length] + written + len(written).to_bytes(4, "little") + b"PAR1"


def test_an_encrypted_file_is_not_copied(both):
    both.put(*day(0, 1))
    both.compact(DAY + 1)
    (file,) = both.files()
    with file.open("rb") as plain:
        schema = read_metadata(plain, file).schema
    data = changed(file.read_bytes(), lambda found: found.update({8: (STRUCT, {1: (STRUCT, {})})}))
    assert read_metadata(io.BytesIO(data), file).schema != schema


def test_a_file_of_later_ticks_that_has_the_name_of_a_deleted_one_is_read_once(
    both, exported, monkeypatch
):
    both.put(b"1", received=MIDNIGHT + 1)
    both.compact(DAY + 1)
    both.put(*day(1, 1))
    stretches = TickReader.stretches

    def then_replace(reader, *span):
        found = stretches(reader, *span)
        (before,) = both.files()
        both.delete(EURUSD, DAY, DAY + 1)
        both.put(b"2", b"3", received=MIDNIGHT + 50)
        both.compact(DAY + 1)
        assert both.files() == [before]
        return found

    monkeypatch.setattr(TickReader, "stretches", then_replace)
    assert of_file(exported(both)) == of_reader(both)


def test_a_folder_that_cannot_be_made_is_told_in_a_sentence(both):
    both.put(*day(0, 1))

    def full():
        raise OSError(errno.ENOSPC, "No space left on device")

    pieces = parquet_stream.parquet_stream(TickReader(both.path), Selection([EURUSD]), full)
    with pytest.raises(
        JournalError, match=r"^No folder can be made .*: No space left on device\.$"
    ):
        next(pieces)


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

LOW, HIGH = st.integers(-1, 10), st.integers(0, 40)
TIMES = st.lists(st.integers(0, 30), min_size=1, max_size=12).map(sorted)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(times=TIMES, size=st.integers(1, 4), others=TIMES, low=LOW, high=HIGH)
def test_runs_hold_every_tick_of_their_times_and_no_other_lies_between(
    times, size, others, low, high
):
    parts = [times[at : at + size] for at in range(0, len(times), size)]
    groups = [_Group(part, part[0], part[-1]) for part in parts]
    file = ColdFile(1, EURUSD, 0, 1, len(times), 0, times[0], times[-1])
    ranges = _Ranges(Stretches([file], [(at, at) for at in others], 0))
    for run in _alone(groups, ranges, (low, high)):
        first, last = run[0].first, run[-1].last
        copied = [time for each in run for time in each.group]
        assert copied == [time for time in times if first <= time <= last]
        assert not [time for time in others if first <= time <= last]
        assert low <= first <= last < high


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


DAMAGED = {
    "nothing": b"",
    "no number": b"\x15",
    "a field of no type": b"\x1d\0",
    "a list that is longer than the data": b"\x19\xfc\xff\xff\xff\x0f",
    "doubles behind the end of the data": b"\x19\xf7\xff\xff\xff\x0f",
    "text behind the end of the data": b"\x18\x05abc",
    "a number of 77 bits": b"\x16" + b"\xff" * 10 + b"\1\0",
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_bytes_that_are_no_struct_are_refused(data):
    with pytest.raises(JournalError, match="metadata"):
        compact_protocol.decode(data)
