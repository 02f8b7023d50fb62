"""`mtnet.ticks.read`: columns of numbers from blocks and Parquet files, in order."""

import os
import sys
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet import ticks
from mtnet.durations import DAY_MS
from mtnet.errors import ClientError, JournalError, WireError
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.export import parquet_reader, table
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import ABSENT, pad, time_of

np = pytest.importorskip("numpy")
RUNS = int(os.environ.get("MTNET_TEST_RUNS", "6"))
PRICES = ("1.1", "1.10000", "-0.5", "1e-5", "007.5", "-")
RECORDS = st.lists(
    st.tuples(
        st.sampled_from(PRICES[:-1]), st.sampled_from(PRICES), st.integers(-1, 2),
        st.integers(0, 2), st.sampled_from(("-", "6", "4294967295")), st.integers(0, 3),
    ),
    max_size=25,
)  # fmt: skip


def rest(bid, ask, day, second, flags, fields):
    time = "-" if day < 0 else MIDNIGHT + day * DAY_MS + second
    whole = f"{bid} {ask} - 0.25 {time} {flags}".split()
    return " ".join(whole[: (1, 2, 5, 6)[fields]]).encode()


def expected(path, *span):
    """Return the rows as the reader of single ticks has them."""
    rows = []
    for tick in TickReader(path).ticks(EURUSD, *span):
        *numbers, _, flags = [None if each == ABSENT else each.decode() for each in pad(tick.rest)]
        numbers = [None if each is None else float(each) for each in numbers]
        flags = None if flags is None else int(flags)
        rows.append((time_of(tick.rest), tick.received * 1_000, *numbers, flags, tick.source))
    return rows


@settings(max_examples=RUNS)
@given(
    commits=st.lists(RECORDS, min_size=1, max_size=4),
    compacted=st.integers(0, 3),
    with_arrow=st.booleans(),
)
def test_columns_are_the_ticks_in_their_order(commits, compacted, with_arrow):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        if not with_arrow:
            patch.setattr(table, "arrow", lambda: None)
            patch.setattr(parquet_reader, "arrow", lambda: None)
        both = Both(Path(folder))
        for at, records in enumerate(commits):
            if records:
                both.put(*(rest(*each) for each in records), received=MIDNIGHT + at)
            if at == 1 and parquet.available():
                both.compact(DAY + compacted)
        if any(commits):
            found = ticks.read("EURUSD", data=folder).numpy()
            rows = zip(*(column.tolist() for column in found.values()), strict=True)
            told = [tuple(None if each != each else each for each in row) for row in rows]
            assert told == expected(both.path)
            half = ticks.read("EURUSD", MIDNIGHT, MIDNIGHT + DAY_MS, data=folder).numpy()
            assert len(half["bid"]) == len(expected(both.path, MIDNIGHT, MIDNIGHT + DAY_MS))
        both.store.close()


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    made.put(b"1.10000 1.1 - 0.25 %d 6" % MIDNIGHT, b"1.2", received=MIDNIGHT + 1)
    made.put((MIDNIGHT + DAY_MS, b"1.3"))
    if parquet.available():
        made.compact(DAY + 1)
    yield made
    made.store.close()


def read(both, *span):
    return ticks.read("EURUSD", *span, data=both.path.parent)


def test_one_tick_has_the_digits_that_were_sent(both):
    first, second, _ = read(both)
    assert (first.symbol, first.bid, first.ask, first.last) == ("EURUSD", "1.10000", "1.1", None)
    assert (first.volume, first.time, first.flags) == ("0.25", MIDNIGHT, 6)
    assert (second.time, second.received) == (None, MIDNIGHT + 1)
    assert Decimal(first.bid) == Decimal(first.ask)


def test_arrow_has_nulls_where_nothing_was_sent(both):
    pytest.importorskip("pyarrow")
    found = read(both).arrow().to_pydict()
    assert found["time_msc"] == [MIDNIGHT, None, MIDNIGHT + DAY_MS]
    assert found["volume"] == [0.25, None, None]
    assert found["flags"] == [6, None, None]
    assert found["source"] == ["desk"] * 3


def test_pandas_has_plain_integers_unless_one_is_absent(both):
    pytest.importorskip("pandas")
    whole = read(both).pandas()
    assert whole["time_msc"].isna().tolist() == [False, True, False]
    assert whole["source"].tolist() == ["desk"] * 3
    last = read(both, MIDNIGHT + DAY_MS).pandas()
    assert (str(last["time_msc"].dtype), last["bid"].tolist()) == ("int64", [1.3])


@pytest.mark.parametrize("with_arrow", [True, False])
def test_polars_has_nulls_where_nothing_was_sent(both, with_arrow, monkeypatch):
    pytest.importorskip("polars")
    if not with_arrow:
        monkeypatch.setattr(table, "arrow", lambda: None)
        monkeypatch.setattr(parquet_reader, "arrow", lambda: None)
    found = read(both).polars()
    assert found["time_msc"].to_list() == [MIDNIGHT, None, MIDNIGHT + DAY_MS]
    assert found["volume"].to_list() == [0.25, None, None]
    assert found["flags"].to_list() == [6, None, None]
    assert found["source"].to_list() == ["desk"] * 3


@pytest.mark.parametrize(
    "start",
    ["2024-10-05", "2024.10.05 00:00", MIDNIGHT + DAY_MS, date(2024, 10, 5), datetime(2024, 10, 5)],
)
def test_a_time_may_be_a_text_a_number_or_a_date(both, start):
    assert len(list(read(both, start))) == 1
    assert len(list(read(both, None, start))) == 2


def test_a_time_with_a_zone_is_refused_as_the_clock_is_the_brokers(both):
    with pytest.raises(ClientError, match="broker's clock"):
        read(both, datetime(2024, 10, 5, tzinfo=UTC))
    with pytest.raises(WireError, match="expected one such as"):
        read(both, "yesterday")


def test_no_tick_is_a_table_without_rows(both):
    assert len(read(both, "2030-01-01").numpy()["bid"]) == 0


def test_what_is_not_there_is_told(both, tmp_path):
    assert ticks.symbols(data=both.path.parent) == ["EURUSD"]
    with pytest.raises(ClientError, match="no ticks of GBPUSD"):
        ticks.read("GBPUSD", data=both.path.parent)
    with pytest.raises(ClientError, match="no ticks in"):
        ticks.read("EURUSD", data=tmp_path / "elsewhere")


@pytest.mark.parametrize("name", ["numpy", "pandas", "polars"])
def test_a_package_that_is_missing_is_told_with_the_command_that_installs_it(
    both, name, monkeypatch
):
    pytest.importorskip(name)
    read(both).numpy()  # pyarrow looks for pandas once
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(JournalError, match="pip install"):
        getattr(read(both), name)()


def test_a_damaged_block_is_told(both):
    both.store.change(lambda c: c.execute("UPDATE small_block SET data = x'00'"))
    with pytest.raises(JournalError, match="is damaged"):
        read(both).numpy()


@pytest.mark.skipif(not parquet.available(), reason="DuckDB is not installed.")
@pytest.mark.parametrize("with_arrow", [True, False])
def test_a_file_that_is_gone_is_told_and_one_that_is_replaced_read_again(
    both, with_arrow, monkeypatch
):
    if not with_arrow:
        monkeypatch.setattr(table, "arrow", lambda: None)
        monkeypatch.setattr(parquet_reader, "arrow", lambda: None)
    found = read(both)
    both.delete(EURUSD, None, DAY + 1)
    assert found.numpy()["bid"].tolist() == [1.3]
    both.compact(DAY + 2)
    both.files()[0].unlink()
    with pytest.raises(JournalError, match="ticks are missing"):
        found.numpy()
