"""Bars of the stores: those that are built live, from blocks and Parquet files alike."""

import os
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from cold_stores import DAY, EURUSD, MIDNIGHT, Both
from hypothesis import given, settings
from hypothesis import strategies as st

from mtnet.durations import DAY_MS
from mtnet.errors import ClientError, JournalError
from mtnet.services.ticks.bars.files import Basis, Cut
from mtnet.services.ticks.bars.history import LATEST, BarHistory
from mtnet.services.ticks.bars.periods import MINUTE, PERIODS, SECOND
from mtnet.services.ticks.bars.series import BID, EARLIEST, LAST, Series, merge
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.wire import time_of

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "6"))
PRICES = st.sampled_from(("1.1", "1.10000", "-0.5", "1e-5", "0", "-"))
VOLUMES = st.sampled_from(("-", "0.25", "3"))
TIMES = st.one_of(
    st.sampled_from((-1, 0, 1, 999, 1_000, 59_999, MINUTE, DAY_MS - 1, DAY_MS, 2 * DAY_MS)),
    st.integers(-DAY_MS, 3 * DAY_MS),
)
FLAGS = st.sampled_from(("-", "6", "24", "88"))
TICKS = st.lists(st.tuples(PRICES, PRICES, PRICES, VOLUMES, TIMES | st.none(), FLAGS), max_size=25)


def record(bid, ask, last, volume, time, flags):
    if bid == ask == last == "-":
        bid = "1.5"
    time = "-" if time is None else MIDNIGHT + time
    return f"{bid} {ask} {last} {volume} {time} {flags}".encode()


def shown(bars):
    return [bar._replace(volume=round(bar.volume, 8)) for bar in bars]


def live(ticks, basis, period):
    """Build the bars from (rest, receipt) pairs as they come."""
    made = Series(basis.price, SECOND if period.part < MINUTE else MINUTE)
    made.clock = basis.clock
    for rest, received in ticks:
        if basis.timed or rest.split(b" ")[4] == b"-":
            made.add(rest, received)
    found = made.take_closed()
    return shown(merge([*found, *filter(None, [made.open])], period.opening))


@settings(max_examples=RUNS * 4)
@given(
    commits=st.lists(TICKS, min_size=1, max_size=4),
    compacted=st.integers(0, 3),
    period=st.sampled_from(sorted(PERIODS)),
    basis=st.builds(Basis, st.sampled_from((BID, LAST)), st.booleans(), st.just(5)),
)
def test_live_and_from_both_stores_they_are_the_same(commits, compacted, period, basis):
    period, sent = PERIODS[period], []
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        for at, ticks in enumerate(commits):
            received = MIDNIGHT + at * DAY_MS // 3
            sent += [(rest, received) for rest in (record(*each) for each in ticks)]
            if ticks:
                both.put(*(record(*each) for each in ticks), received=received)
            if at == 1 and parquet.available():
                both.compact(DAY + compacted)
        found = shown(BarHistory(both.path).bars(EURUSD, period, basis))
        both.store.close()
    assert found == live(sent, basis, period)
    assert all(bar.time == period.opening(bar.time) for bar in found)


CUTS = st.builds(Cut, st.integers(-1, 4).map(lambda at: MIDNIGHT + at * DAY_MS // 3), st.one_of(
    st.just(EARLIEST), TIMES.map(lambda at: MIDNIGHT + at)
))  # fmt: skip


@settings(max_examples=RUNS * 2)
@given(
    commits=st.lists(TICKS, min_size=1, max_size=4),
    compacted=st.integers(0, 3),
    period=st.sampled_from(("S5", "M1", "H1", "D1", "W1")),
    cut=CUTS,
    span=st.tuples(TIMES, TIMES),
)
def test_what_memory_lacks_is_what_came_before_or_lies_before(
    commits, compacted, period, cut, span
):
    period, sent = PERIODS[period], []
    start, stop = (MIDNIGHT + at for at in span)
    basis = Basis(BID, True, 5)
    with tempfile.TemporaryDirectory() as folder:
        both = Both(Path(folder))
        for at, ticks in enumerate(commits):
            received = MIDNIGHT + at * DAY_MS // 3
            rests = [record(*each) for each in ticks]
            both.put(*rests or [b"- 1"], received=received)
            for rest in rests:
                time = time_of(rest)
                if time is not None and start <= time < stop:
                    sent += [(rest, received)] * cut.takes(time, received, 0)
            if at == 1 and parquet.available():
                both.compact(DAY + compacted)
        found = BarHistory(both.path).within(EURUSD, period, basis, (start, stop), cut)
        both.store.close()
    assert shown(found) == live(sent, basis, period)


def test_what_was_imported_is_in_no_bar_in_memory(both):
    pytest.importorskip("duckdb")
    both.put((MIDNIGHT, b"1.1"))
    rows = [(2, MIDNIGHT + 1, b"1.2 - - - %d" % (MIDNIGHT + 1))]
    Importer(both.path, EURUSD, MIDNIGHT + DAY_MS).run(lambda: rows, lambda _: None)
    for _ in range(2):
        history, cut = BarHistory(both.path), Cut(MIDNIGHT, EARLIEST)
        (bar,) = history.within(
            EURUSD, PERIODS["M1"], Basis(BID, True, 1), (MIDNIGHT, MIDNIGHT + MINUTE), cut
        )
        assert (bar.open, bar.ticks) == (1.2, 1)
        both.compact(DAY + 1)


@pytest.fixture
def both(tmp_path):
    made = Both(tmp_path)
    yield made
    made.store.close()


def bars(both, name, start=None, stop=None, by_last=False):
    history = BarHistory(both.path)
    basis = history.basis(EURUSD, by_last)
    found = history.bars(EURUSD, PERIODS[name], basis, start, stop)
    return [((bar.time - MIDNIGHT) // SECOND, bar.ticks) for bar in found]


def test_a_span_is_one_of_openings_and_its_bars_are_whole(both):
    both.put(*((MIDNIGHT + at * SECOND, b"1.1") for at in (0, 30, 60, 61, 119, 120)))
    assert bars(both, "M1") == [(0, 2), (60, 3), (120, 1)]
    assert bars(both, "M1", MIDNIGHT + 1, MIDNIGHT + 61 * SECOND) == [(60, 3)]
    assert bars(both, "M1", MIDNIGHT, MIDNIGHT) == []


@pytest.mark.parametrize("period", sorted(PERIODS))
def test_every_period_has_a_last_bar_and_takes_a_span_of_any_size(both, period):
    both.put((MIDNIGHT, b"1.1"))
    history, period = BarHistory(both.path), PERIODS[period]
    basis = history.basis(EURUSD)
    (bar,) = history.last(EURUSD, period, basis, 5, LATEST)
    assert bar.time == period.opening(MIDNIGHT)
    assert list(history.bars(EURUSD, period, basis, -(10**18), 10**18)) == [bar]
    assert list(history.bars(EURUSD, period, basis, 10**18)) == []


def test_what_is_compacted_while_bars_are_read_is_in_them_once(both):
    pytest.importorskip("duckdb")
    for day in range(3):
        when = MIDNIGHT + day * DAY_MS
        both.put(*((when + at * MINUTE, b"1.1") for at in range(700)), received=when)
    history = BarHistory(both.path)
    found = history.bars(EURUSD, PERIODS["M1"], history.basis(EURUSD))
    got = [next(found) for _ in range(10)]
    both.compact(DAY + 2)
    got += found
    assert len({bar.time for bar in got}) == len(got) == 2_100
    assert {bar.ticks for bar in got} == {1}


def test_a_file_that_is_gone_is_told(both):
    pytest.importorskip("duckdb")
    both.put((MIDNIGHT, b"1.1"), (MIDNIGHT + DAY_MS, b"1.1"))
    both.compact(DAY + 1)
    both.files()[0].unlink()
    with pytest.raises(JournalError, match="is gone: ticks are missing"):
        bars(both, "D1")


def test_the_newest_day_says_how_bars_are_made(both):
    both.put(b"1.1 1.2 1.15 - - -", b"- 1.234 1.15 1 %d 24" % MIDNIGHT)
    history = BarHistory(both.path)
    assert history.basis(EURUSD) == Basis(BID, True, 3)
    assert history.basis(EURUSD, by_last=True) == Basis(LAST, True, 3)
    both.put(b"- - 7", symbol=b"SBER")
    assert history.basis(b"SBER") == Basis(LAST, False, 0)
    with pytest.raises(ClientError, match="no ticks of XYZ"):
        history.basis(b"XYZ")


def test_the_memory_of_a_long_history_is_that_of_a_short_one(both):
    for day in range(20):
        times = (MIDNIGHT + day * DAY_MS + at * 20_000 for at in range(4_000))
        ticks = [(time, b"1.1%d" % (time % 97)) for time in times]
        both.put(*ticks, received=ticks[-1][0])
    history = BarHistory(both.path)
    basis = history.basis(EURUSD)

    def peak(days):
        tracemalloc.start()
        stop = MIDNIGHT + days * DAY_MS
        for _ in history.bars(EURUSD, PERIODS["S1"], basis, None, stop):
            pass
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(1)
    assert peak(20) < 2 * peak(2)


# Real ticks, and what DuckDB says of them by itself

_PLAIN = """
SELECT time_msc - time_msc % {length}, first(bid ORDER BY time_msc, seq), max(bid), min(bid),
    last(bid ORDER BY time_msc, seq), count(bid)
FROM '{files}' WHERE bid IS NOT NULL GROUP BY 1 ORDER BY 1
"""


def test_the_bars_of_a_real_day_are_those_of_duckdb_from_either_store(both, real_data):
    duckdb = pytest.importorskip("duckdb")
    rows = mt5.rows(real_data / "EURUSD-2019-02-04.ticks.csv.gz")
    both.put(*(rest for _, _, rest in rows))
    periods = [PERIODS[name] for name in ("S15", "M1", "M5", "H1", "D1")]
    history = BarHistory(both.path)
    basis = history.basis(EURUSD)

    def ours(period):
        return list(history.bars(EURUSD, period, basis))

    blocks = [ours(period) for period in periods]
    both.compact()
    assert [ours(period) for period in periods] == blocks
    for period, found in zip(periods, blocks, strict=True):
        files = f"{both.path.parent}/ticks/**/*.parquet"
        query = _PLAIN.format(length=period.length, files=files)
        assert [bar[:6] for bar in found] == duckdb.sql(query).fetchall()
        assert len(found) >= DAY_MS // period.length // 2
