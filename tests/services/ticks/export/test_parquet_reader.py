"""Columns of Parquet files: what their statistics say is not read, and all else is as it was."""

import re

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both

from mtnet import ticks
from mtnet.errors import JournalError
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.export import parquet_reader, table
from mtnet.services.ticks.export.reading import read_table
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import ABSENT, pad, time_of

pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
pytest.importorskip("numpy")
GROUP = 2_048
"""Rows of a row group, the fewest that DuckDB takes."""
SOURCES = (3, 3, 4, 3)
"""One sender, as in most files; then another, in turn with the first; then the first again."""


@pytest.fixture(params=["V2", "V1"])
def both(tmp_path, monkeypatch, request):
    """A day in one file of four row groups, of which each has another form; in two versions."""
    writing = parquet.WRITING.replace("V2", request.param)
    writing = re.sub("ROW_GROUP_SIZE [0-9]+", f"ROW_GROUP_SIZE {GROUP}", writing)
    statement = parquet._WRITE.replace(parquet.WRITING, writing)
    monkeypatch.setattr(parquet, "_WRITE", statement)
    made = Both(tmp_path)
    made.add_source("other", 4)
    for group, source in enumerate(SOURCES):
        flags = (b"6", b"%d", b"-", b"2")[group]
        rests = [
            b"1.%05d 1.2 - %b %d %b"
            % (at, b"0.5" if group else b"-", MIDNIGHT + at, flags % at if b"%" in flags else flags)
            for at in range(group * GROUP, (group + 1) * GROUP)
        ]
        mixed = [4 if group == 1 and at % 3 == 0 else source for at in range(GROUP)]
        made.put(*rests, source=mixed, received=MIDNIGHT + group)
    made.compact()
    assert len(made.files()) == 1
    yield made
    made.store.close()


@pytest.fixture(params=["pyarrow", "DuckDB"])
def by(request, monkeypatch):
    """Read by one of the two."""
    if request.param == "DuckDB":
        monkeypatch.setattr(table, "arrow", lambda: None)
        monkeypatch.setattr(parquet_reader, "arrow", lambda: None)
    else:
        pytest.importorskip("pyarrow")
    return request.param


def expected(path, *span):
    """Return the rows as the reader of single ticks has them."""
    for tick in TickReader(path).ticks(EURUSD, *span):
        *numbers, _, flags = [None if each == ABSENT else each.decode() for each in pad(tick.rest)]
        numbers = [None if each is None else float(each) for each in numbers]
        flags = None if flags is None else int(flags)
        yield (time_of(tick.rest), tick.received * 1_000, *numbers, flags, tick.source)


def rows(both, *span):
    found = ticks.read("EURUSD", *span, data=both.path.parent).numpy()
    for row in zip(*(column.tolist() for column in found.values()), strict=True):
        yield tuple(None if each != each else each for each in row)


def test_columns_that_have_one_value_in_some_row_groups_are_whole(both, by):
    assert list(rows(both)) == list(expected(both.path))


def test_rows_outside_a_span_are_cut_within_a_row_group(both, by):
    span = MIDNIGHT + GROUP + 5, MIDNIGHT + 2 * GROUP + 7
    found = list(rows(both, *span))
    assert len(found) == GROUP + 2
    assert found == list(expected(both.path, *span))


def test_row_groups_outside_a_span_are_not_read(both, monkeypatch):
    pytest.importorskip("pyarrow")
    groups = []
    really = parquet_reader._table_of_group

    def count(file, number, facts):
        groups.append(number)
        return really(file, number, facts)

    monkeypatch.setattr(parquet_reader, "_table_of_group", count)
    assert len(read_table(both.path, EURUSD, MIDNIGHT + GROUP + 5, MIDNIGHT + GROUP + 9).time) == 4
    assert groups == [1]


def test_ticks_without_time_are_found_by_their_receipt(tmp_path, by):
    both = Both(tmp_path)
    both.put(b"1.1", b"1.2", received=MIDNIGHT + 5)
    both.put(b"1.3 - - - %d" % (MIDNIGHT + 3), received=MIDNIGHT + 900)
    both.compact()
    assert [row[2] for row in rows(both)] == [1.3, 1.1, 1.2]
    assert [row[0] for row in rows(both, MIDNIGHT + 4)] == [None, None]
    both.store.close()


def test_a_damaged_file_is_told(both, by):
    (file,) = both.files()
    file.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(JournalError, match=r"part-1\.parquet cannot be"):
        list(rows(both))


def test_a_file_of_other_columns_is_told(both, by):
    import duckdb

    (file,) = both.files()
    file.unlink()
    duckdb.sql("SELECT 1 AS one").write_parquet(str(file))
    with pytest.raises(JournalError, match=r"part-1\.parquet cannot be"):
        list(rows(both))


def test_days_of_other_senders_are_told_apart(tmp_path, by):
    both = Both(tmp_path)
    both.add_source("other", 4)
    day = 86_400_000
    for at, source in enumerate((4, 3, 4)):
        both.put(b"1.%d - - - %d" % (at, MIDNIGHT + at * day), source=[source])
    both.compact(DAY + 2)
    assert [row[-1] for row in rows(both)] == ["other", "desk", "other"]
    both.store.close()
