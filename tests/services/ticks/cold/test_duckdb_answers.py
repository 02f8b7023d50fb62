"""DuckDB's answers about the files, asked as the documentation says, are those of mtnet."""

import os
import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from cold_stores import DAY, MIDNIGHT, Both
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mtnet.durations import DAY_MS
from mtnet.errors import WireError
from mtnet.services.ticks.cold.layout import date_of, day_of
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import ABSENT, encode_symbol, pad, plain_symbol, time_of

duckdb = pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
RUNS = int(os.environ.get("MTNET_TEST_RUNS", "8"))


def is_symbol(name):
    try:
        return bool(encode_symbol(name))
    except WireError:
        return False


ODD = "%/\\'\"*?[]{}=.#$&@^:;, üЖ中😀"
NAMES = st.text(st.sampled_from("AB01" + ODD), min_size=1, max_size=32).filter(is_symbol)
NUMBER = st.sampled_from(
    ("1.1", "1.10000", "-0.5", "007.5", "1e-5", "999999999999.0123456789", "0.30000000000000004")
) | st.decimals(-1000, 1000, places=5).map(lambda d: f"{d:f}")
RECORD = st.tuples(
    NUMBER, NUMBER | st.just("-"), st.just("-"), st.sampled_from(("-", "0.25", "3")),
    st.integers(-1, 2), st.integers(0, 2), st.sampled_from(("-", "6", "4294967295")),
)  # fmt: skip
COMMITS = st.lists(
    st.tuples(
        st.integers(0, 2), st.lists(RECORD, min_size=1, max_size=6), st.sampled_from((3, 4)),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


def rest(bid, ask, last, volume, day, second, flags):
    time = "-" if day < 0 else MIDNIGHT + day * DAY_MS + second
    return f"{bid} {ask} {last} {volume} {time} {flags}".encode()


def exact(text, digits):
    """Return a number as its column has it, which holds all numbers of the wire but tiny ones."""
    if text == ABSENT.decode() or Decimal(text).normalize().as_tuple().exponent < -10:
        return None
    return Decimal(text).scaleb(digits)


@settings(max_examples=RUNS, deadline=None)
@given(names=st.lists(NAMES, min_size=1, max_size=3, unique_by=encode_symbol), commits=COMMITS)
@example(names=["中" * 32, "😀" * 32], commits=[(0, [("1.1", "-", "-", "-", 0, 0, "6")], 3, True)])
def test_rows_of_duckdb_are_the_ticks_in_their_order(names, commits):
    with tempfile.TemporaryDirectory(prefix="it's [1] ") as folder:
        both = Both(Path(folder))
        both.add_source("other", 4)
        wire = [encode_symbol(name) for name in names]
        for at, (number, records, source, compacted) in enumerate(commits):
            rests = [rest(*each) for each in records]
            symbol = wire[number % len(wire)]
            both.put(*rests, symbol=symbol, received=MIDNIGHT + at, source=[source] * len(rests))
            if compacted:
                both.compact(DAY + 3)
        both.compact(DAY + 3)
        assert both.cold.trouble is None
        assert both.ask("SELECT count(*) FROM block") == [(0,)]
        for name in names:
            ours = list(TickReader(both.path).ticks(encode_symbol(name)))
            theirs = asked(folder, name)
            assert len(ours) == len(theirs)
            for tick, row in zip(ours, theirs, strict=True):
                assert row == expected(tick, row["digits"], row["volume_digits"])
        held = duckdb.sql(f"SELECT DISTINCT symbol FROM {files(folder)} ORDER BY 1").fetchall()
        counted = {plain_symbol(row["symbol"].encode()) for row in TickReader(both.path).symbols()}
        assert {name for (name,) in held} == counted
        both.store.close()


def files(folder):
    shown = str(folder).replace("'", "''").replace("[", "[[]")  # a pattern
    # A symbol of digits alone would be a number; exact numbers have two types.
    options = "hive_types = {'symbol': VARCHAR}, union_by_name = true"
    return f"read_parquet('{shown}/ticks/**/*.parquet', {options})"


def asked(folder, name):
    """Return what DuckDB says of a symbol, in the order that the documentation names."""
    found = duckdb.execute(
        f"""
        SELECT * EXCLUDE (symbol, seq, spelling, record), date::VARCHAR AS date
        FROM {files(folder)} WHERE symbol = ?
        ORDER BY coalesce(time_msc, received_us // 1000), seq
        """,
        [name],
    )
    names = [column[0] for column in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def expected(tick, digits, volume_digits):
    """Return the same of a tick as mtnet reads it, at the scales of its file."""
    *numbers, _, flags = [each.decode() for each in pad(tick.rest)]
    names = ("bid", "ask", "last", "volume")
    scales = (digits, digits, digits, volume_digits)
    return {
        "time_msc": time_of(tick.rest),
        "received_us": tick.received * 1_000,
        **{
            name: None if text == ABSENT.decode() else float(text)
            for name, text in zip(names, numbers, strict=True)
        },
        **{
            f"{name}_exact": exact(text, scale)
            for name, text, scale in zip(names, numbers, scales, strict=True)
        },
        "digits": digits,
        "volume_digits": volume_digits,
        "flags": None if flags == ABSENT.decode() else int(flags),
        "source": tick.source,
        "date": date_of(day_of(tick.time)),
    }
