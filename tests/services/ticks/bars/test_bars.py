"""Bars: built tick by tick they are those of the whole list, in MetaTrader's way."""

import gzip
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mtnet.services.ticks.bars import series as series_of_bars
from mtnet.services.ticks.bars.feed import BarFeed
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.periods import HOUR, MINUTE, PERIODS
from mtnet.services.ticks.bars.series import (
    BID,
    CHUNK,
    MAX_AHEAD,
    NO_SPREAD,
    Bar,
    Bars,
    SecondBars,
    Series,
    decimals,
    points,
)
from mtnet.services.ticks.bars.stored import Past

DAY = 24 * HOUR
S1, M1, M5, H1, H4, D1 = (PERIODS[name] for name in ("S1", "M1", "M5", "H1", "H4", "D1"))
NOW = 1_700_006_400_000
"""A midnight of the broker."""


def series(*ticks, price=BID, when=NOW):
    made = Series(price)
    for rest in ticks:
        made.add(rest.encode(), when)
    return made


def shown(bar):
    return (bar.time - NOW, bar.open, bar.high, bar.low, bar.close, bar.ticks)


def test_a_bar_has_the_first_highest_lowest_and_last_bid_of_its_minute():
    made = series(*(f"{bid} {bid + 1} - - {NOW + at}" for at, bid in enumerate([3, 5, 1, 4])))
    (bar,) = made.read(M1, 10)
    assert shown(bar) == (0, 3, 5, 1, 4, 4)


def test_a_minute_without_a_tick_has_no_bar():
    made = series(*(f"1.{at} - - - {NOW + at * MINUTE}" for at in (0, 1, 5)))
    assert [bar.time - NOW for bar in made.read(M1, 10)] == [0, MINUTE, 5 * MINUTE]


@pytest.mark.parametrize(
    ("period", "openings"),
    [
        (M1, [-MINUTE, 0, 59 * MINUTE, HOUR]),
        (H1, [-HOUR, 0, HOUR]),
        (H4, [-4 * HOUR, 0]),
        (D1, [-DAY, 0]),
    ],
)
def test_periods_open_in_the_brokers_clock_and_days_at_its_midnight(period, openings):
    times = [-1, 0, HOUR - 1, HOUR]
    made = series(*(f"1 - - - {NOW + at}" for at in times))
    assert [bar.time - NOW for bar in made.read(period, 10)] == openings


def test_the_spread_is_that_of_the_first_tick_in_points():
    made = series(f"1.10000 1.10012 - - {NOW}", f"1.10000 1.10099 - - {NOW + 1}")
    assert points(made.open, made.digits) == 12
    assert series(f"1.1 - - - {NOW}").open.spread == NO_SPREAD
    assert points(series(f"1.1 - - - {NOW}").open, 1) is None
    assert points(series(f"150.10 150.13 - - {NOW}").open, 2) == 3


def test_the_volume_is_the_sum_of_the_deals_and_not_of_what_is_repeated():
    made = series(
        f"1 2 1 0.1 {NOW} 24",
        f"1 3 1 0.1 {NOW + 1} 4",
        f"1 3 1 0.2 {NOW + 2} 88",
        f"1 3 1 5 {NOW + 3}",
        f"1 3 - - {NOW + 4} 6",
    )
    assert made.open.volume == pytest.approx(5.3)
    assert made.open.ticks == 5


@pytest.mark.parametrize(
    ("first", "bid_counts"), [("1 2 3 - ", True), ("- - 3 - ", False), ("- 2 3 - ", False)]
)
def test_bars_are_of_the_bid_or_of_the_last_price_where_the_first_tick_has_no_bid(
    first, bid_counts
):
    kept = Bars(1_000)
    kept.take({b"A": [f"{first}{NOW}".encode()]}, NOW)
    assert kept.get(b"A").open.open == (1 if bid_counts else 3)


def test_ticks_wait_until_there_are_many_or_somebody_looks(monkeypatch):
    monkeypatch.setattr(series_of_bars, "BATCH", 5)
    kept, added = Bars(1_000), []
    monkeypatch.setattr(kept, "_add", lambda ticks, when: added.append((ticks, when)))
    bursts = [({b"A": [b"1"] * 2}, NOW + at) for at in range(4)]
    for ticks, when in bursts:
        kept.take(ticks, when)
    assert added == bursts[:3]
    assert kept.get(b"A") is None
    assert added == bursts


def test_bursts_of_which_all_ticks_were_refused_do_not_wait():
    kept = Bars(1_000)
    kept.take({}, NOW)
    assert not kept._waiting


def test_a_tick_that_bars_fail_at_costs_no_later_one():
    kept = Bars(1_000)
    kept.take({b"A": [b"no price"]}, NOW)
    kept.take({b"A": [b"2"]}, NOW)
    with pytest.raises(ValueError, match="no"):
        kept.get(b"A")
    assert kept.get(b"A").open.close == 2


def test_symbols_that_are_named_have_bars_of_the_last_price():
    kept = Bars(1_000, {b"A"})
    tick = f"1 2 3 - {NOW}".encode()
    kept.take({b"A": [tick, f"1 2 0 - {NOW + 1}".encode(), b"1 2"], b"B": [tick]}, NOW)
    assert shown(kept.get(b"A").open) == (0, 3, 3, 3, 3, 1)
    assert shown(kept.get(b"B").open) == (0, 1, 1, 1, 1, 1)


def test_the_first_bid_begins_bars_of_last_prices_again_unless_they_are_a_setting():
    kept = Bars(1_000, {b"B"})
    for symbol in (b"A", b"B"):
        records = (f"- {ask} 3 - {NOW + at}" for at, ask in enumerate(("2", "2", "-")))
        kept.take({symbol: [each.encode() for each in records]}, NOW)
        kept.take({symbol: [b"1 - 7 - %d" % (NOW + MINUTE), b"- 2"]}, NOW + MINUTE)
    assert [shown(bar) for bar in kept.get(b"A").read(M1, 9)] == [(MINUTE, 1, 1, 1, 1, 1)]
    assert [bar.close for bar in kept.get(b"B").read(M1, 9)] == [3, 7]
    assert len(kept) == 1


# Seconds


def test_seconds_are_built_of_symbols_that_are_watched_and_from_the_next_moment_on():
    minutes = Bars(1_000)
    seconds = SecondBars(minutes)

    def take(*ticks):
        for when, text in ticks:
            for each in (minutes, seconds):
                each.take({b"A": [text], b"B": [text]}, when)

    take((NOW, b"1"))
    seconds.watch(b"A")
    take((NOW, b"2"), (NOW + 1, b"3"), (NOW + 1, b"4"), (NOW + 2_500, b"5"))
    found = seconds.get(b"A")
    assert (found.coverage.came, found.clock, seconds.get(b"B")) == (NOW + 1, "received", None)
    assert [shown(bar) for bar in found.read(S1, 9)] == [
        (0, 3, 4, 3, 4, 2), (2_000, 5, 5, 5, 5, 1),
    ]  # fmt: skip
    assert len(seconds) == 1
    seconds.forget(b"A")
    assert (seconds.get(b"A"), len(seconds)) == (None, 0)


# Clocks


def test_ticks_without_a_time_are_put_where_they_were_received():
    made = Series()
    for at in (0, 1, MINUTE):
        made.add(b"1.1", NOW + at)
    assert made.clock == "received"
    assert [shown(bar) for bar in made.read(M1, 5)] == [
        (0, 1.1, 1.1, 1.1, 1.1, 2),
        (MINUTE, 1.1, 1.1, 1.1, 1.1, 1),
    ]


def test_the_first_time_begins_the_bars_again_and_ticks_without_one_are_left_out_from_then_on():
    made = Series()
    made.add(b"1.1", NOW)
    made.add(b"1.1", NOW + MINUTE)
    made.add(b"1.2 - - - %d" % (NOW + 2 * HOUR), NOW + MINUTE)
    made.add(b"1.3", NOW + MINUTE)
    assert (made.clock, made.left_out) == ("broker", 1)
    assert [shown(bar) for bar in made.read(M1, 5)] == [(2 * HOUR, 1.2, 1.2, 1.2, 1.2, 1)]


def test_an_impossible_time_is_left_out_and_does_not_end_the_bars_of_its_symbol():
    made = series(f"1 - - - {NOW}", f"9 - - - {NOW + MAX_AHEAD + 1}", f"2 - - - {NOW + MINUTE}")
    assert [bar.close for bar in made.read(M1, 5)] == [1, 2]
    assert made.left_out == 1


# The whole list


def built(ticks, period):
    """Build the bars of (time, bid) pairs from the whole list, which is sorted by time."""
    found = {}
    for time, bid in sorted(ticks, key=lambda tick: tick[0]):
        found.setdefault(time - time % period.length, []).append(bid)
    return [
        (time - NOW, bids[0], max(bids), min(bids), bids[-1], len(bids))
        for time, bids in sorted(found.items())
    ]


TIMES = st.integers(-3 * MINUTE, 3 * MINUTE) | st.integers(0, 5) | st.integers(0, 2 * HOUR)
TICKS = st.lists(st.tuples(TIMES.map(lambda at: NOW + at), st.integers(1, 9)), max_size=60)
LENGTHS = st.sampled_from([M1, M5, H1, D1])


@given(TICKS, LENGTHS, st.lists(st.integers(0, 60), max_size=4))
def test_tick_by_tick_they_are_the_bars_of_the_whole_list_in_any_order(ticks, period, looks):
    made, seen = Series(), []
    for number, (time, bid) in enumerate(ticks):
        if number in looks:  # a look changes nothing
            seen.append(made.since(period, NOW))
            made.read(M1, 3)
        made.add(b"%d - - - %d" % (bid, time), NOW)
    whole = built(ticks, period)
    assert [shown(bar) for bar in made.read(period, 10_000)] == whole
    assert [shown(bar) for bar in made.since(period, 0)] == whole
    assert [shown(bar) for bar in made.read(period, 2)] == whole[-2:]
    if whole:
        last = NOW + whole[-1][0]
        assert [shown(bar) for bar in made.since(period, last)] == whole[-1:]
        assert [shown(bar) for bar in made.since(period, last + 1)] == whole[-1:]


def test_a_late_tick_counts_in_its_own_bar_and_equal_times_stay_in_order():
    made = series(
        f"1 - - - {NOW + 10}",
        f"2 - - - {NOW + MINUTE}",
        f"9 - - - {NOW + 5}",
        f"3 - - - {NOW + 10}",
        f"4 - - - {NOW - MINUTE}",
        f"5 - - - {NOW + MINUTE}",
    )
    assert [shown(bar) for bar in made.read(M1, 5)] == [
        (-MINUTE, 4, 4, 4, 4, 1),
        (0, 9, 9, 1, 3, 3),
        (MINUTE, 2, 5, 2, 5, 2),
    ]


@given(st.decimals(min_value=Decimal("0.00001"), max_value=99_999, places=5))
def test_prices_are_shown_with_the_digits_that_were_sent(price):
    made = series(f"{price} - - - {NOW}")
    assert f"{made.open.close:.{made.digits}f}" == str(price)


@pytest.mark.parametrize(
    ("text", "count"),
    [(b"1", 0), (b"1.10", 2), (b"1e5", 0), (b"1.5e-3", 4), (b"1E-8", 8), (b"-1.25", 2)],
)
def test_decimals_are_counted(text, count):
    assert decimals(text) == count


def test_every_price_that_is_shown_has_its_digits_however_they_vary():
    made = series(f"1.1 - - - {NOW}", f"1.25 - - - {NOW + 1}", f"1.1875 - - - {NOW + 2}")
    assert (made.open.high, made.open.close, made.digits) == (1.25, 1.1875, 4)


@pytest.mark.parametrize(
    ("period", "time", "opening", "following"),
    [
        ("S15", "2026-11-27 12:00:44", "2026-11-27 12:00:30", "2026-11-27 12:00:45"),
        ("M30", "2026-11-27 12:59:59", "2026-11-27 12:30:00", "2026-11-27 13:00:00"),
        ("H8", "2026-11-27 17:00:00", "2026-11-27 16:00:00", "2026-11-28 00:00:00"),
        ("W1", "2026-11-28 23:59:59", "2026-11-22 00:00:00", "2026-11-29 00:00:00"),
        ("W1", "2026-11-29 00:00:00", "2026-11-29 00:00:00", "2026-12-06 00:00:00"),
        ("MN1", "2028-02-29 23:00:00", "2028-02-01 00:00:00", "2028-03-01 00:00:00"),
        ("MN1", "2026-12-31 23:00:00", "2026-12-01 00:00:00", "2027-01-01 00:00:00"),
    ],
)
def test_weeks_begin_on_sunday_and_months_on_their_first_day(period, time, opening, following):
    def moment(text):
        return round(datetime.fromisoformat(f"{text}+00:00").timestamp()) * 1_000

    found = PERIODS[period]
    assert found.opening(moment(time)) == moment(opening)
    assert found.following(moment(opening)) == moment(following)
    assert found.ceiling(moment(opening)) == moment(opening)
    assert found.ceiling(moment(opening) + 1) == moment(following)


# Memory


def test_the_longest_series_loses_its_oldest_when_there_are_too_many():
    kept = Bars(1_000)
    for at in range(900):
        kept.take({b"LONG": [b"1 - - - %d" % (NOW + at * MINUTE)]}, NOW + at * MINUTE)
    for at in range(300):
        kept.take({b"SHORT": [b"1 - - - %d" % (NOW + at * MINUTE)]}, NOW + at * MINUTE)
    assert len(kept) <= 1_000
    assert len(kept.get(b"LONG")) == 899 - CHUNK
    assert len(kept.get(b"SHORT")) == 299
    oldest = kept.get(b"LONG").since(M1, 0)[0]
    assert oldest.time == NOW + CHUNK * MINUTE


def test_a_symbol_keeps_a_week_of_minutes_and_takes_nothing_that_is_older(monkeypatch):
    monkeypatch.setattr(Bars, "_longest", 300)
    kept = Bars(1_000_000)
    for at in range(2_000):
        kept.take({b"A": [b"1 - - - %d" % (NOW + at * MINUTE)]}, NOW + at * MINUTE)
    found = kept.get(b"A")
    assert 300 <= len(found) <= 300 + CHUNK
    assert len(kept) == len(found)
    kept.take({b"A": [b"1 - - - %d" % NOW]}, NOW + 2_000 * MINUTE)
    assert kept.left_out == 1


@pytest.mark.parametrize(("dropped", "count"), [(0, 6), (1, 1)])
def test_what_came_before_the_start_is_added_to_its_own_minute_once(dropped, count):
    class Stored:
        def __init__(self):
            self.reads = []

        def read(self, *asked):
            self.reads.append(Deferred())
            return self.reads[-1]

    feed = BarFeed(Bars(1_000), Clock(), 1)
    feed.stored = Stored()
    for at in range(3):
        feed.take({b"A": [b"1 - - - %d" % (NOW + at * MINUTE)]}, NOW)
    found = feed.get(b"A")
    waiting = [feed.past(b"A", M1, 5) for _ in range(2)]
    found.drop(dropped)
    for each in feed.stored.reads:
        earlier = [Bar(NOW, 1, 1, 1, 1, 5, 0, 0, 0, 0)]
        each.callback(Past([], Basis(BID, True, 3), began=NOW, earlier=earlier))
    assert found.since(M1, 0)[0].ticks == count
    assert len(feed.get(b"A")) == 2 - dropped
    assert len(waiting) == 2


MOMENTS = st.tuples(st.integers(0, 2), st.integers(0, 40), st.booleans())


@given(st.lists(MOMENTS, max_size=200))
def test_the_count_of_bars_is_what_the_series_hold(ticks):
    kept = Bars(30)
    for symbol, at, timed in sorted(ticks, key=lambda tick: tick[2]):
        when = NOW + at * MINUTE
        kept.take({b"%d" % symbol: [b"1 - - - %d" % when if timed else b"1"]}, when)
    series = [kept.get(b"%d" % symbol) for symbol in range(3)]
    assert len(kept) == sum(len(each) for each in series if each is not None) <= 30


# Real ticks


def test_the_bars_of_a_real_day_are_those_of_the_whole_file(real_data):
    with gzip.open(real_data / "EURUSD-2019-02-04.ticks.csv.gz", "rt") as file:
        rows = [line.split("\t") for line in file][1:]
    made, ticks = Series(), []
    for date, time, bid, ask, *_ in rows:
        at = datetime.strptime(f"{date} {time}", "%Y.%m.%d %H:%M:%S.%f").replace(tzinfo=UTC)
        when = round(at.timestamp() * 1000)
        made.add(f"{bid or '-'} {ask or '-'} - - {when}".encode(), when)
        if bid:
            ticks.append((when, float(bid)))
    for period in (M1, H1, D1):
        found = [shown(bar) for bar in made.read(period, 10_000)]
        assert found == built(ticks, period)
        assert len(found) >= DAY // period.length // 2
    assert made.digits == 5
    assert isinstance(made.open, Bar)
