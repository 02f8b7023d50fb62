"""BARS over a restart: memory and the stores give one chart, the same as the stores alone."""

import os

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from session_clients import Daemon, answers
from twisted.internet.task import Clock

from mtnet.errors import ClientError, JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.bars import history
from mtnet.services.ticks.bars.feed import PULSE
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.bars.series import CHUNK, Bars, points
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.wire import Bar, Barred

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "6"))
MINUTE, HOUR = 60_000, 3_600_000
NOW = 1_700_006_400_000
"""A midnight of the broker, some hours ahead of the wall clock of these tests."""


@pytest.fixture
def restarted(tmp_path):
    """Return a daemon that found these ticks in its stores."""

    def start(*ticks):
        return restart(tmp_path, Daemon(tmp_path, Clock()), ticks)

    return start


def restart(folder, daemon, ticks):
    feed(daemon, ticks)
    daemon.env.components.services["ticks"].stop()
    after = Daemon(folder, Clock())
    after.clock.advance(1)
    return after


def feed(daemon, ticks):
    for at, bid in ticks:
        daemon.feed(f"EURUSD {bid} - - - {NOW + at}")


def settle(daemon):
    daemon.clock.advance(PULSE)
    for _ in range(9):
        daemon.clock.advance(0)


def ask(daemon, period="M1", count=10):
    terminal = daemon.session(wire.bars("EURUSD", period, count))
    settle(daemon)
    return terminal


def shown(found):
    bars = [each for each in found if isinstance(each, Bar)]
    return [(each.time - NOW, each.ticks, each.close, each.current) for each in bars]


def test_a_chart_goes_back_into_the_stores_after_a_restart(restarted):
    daemon = restarted((0, 1), (1, 2), (MINUTE, 3))
    feed(daemon, [(2 * MINUTE, 4)])
    head, *found = answers(ask(daemon, count=2))
    assert head == Barred("EURUSD", "M1", 2, "broker")
    assert shown(found) == [(MINUTE, 1, "3", False), (2 * MINUTE, 1, "4", True)]
    assert shown(answers(ask(daemon, "H1"))[1:]) == [(0, 4, "4", True)]


def test_the_minute_of_the_restart_is_whole(restarted):
    daemon = restarted((0, 5), (1, 1))
    feed(daemon, [(2, 3), (3, 9)])
    terminal = ask(daemon)
    (bar,) = answers(terminal)[1:]
    assert (bar.open, bar.high, bar.low, bar.close, bar.ticks) == ("5", "9", "1", "9", 4)
    feed(daemon, [(4, 2), (MINUTE, 7)])
    settle(daemon)
    assert shown(answers(terminal)) == [(0, 5, "2", False), (MINUTE, 1, "7", True)]
    assert shown(answers(ask(daemon))[1:]) == [(0, 5, "2", False), (MINUTE, 1, "7", True)]


def test_points_are_those_of_the_stores_though_the_first_price_is_short(restarted):
    daemon = restarted((0, "1.10001"))
    daemon.feed(f"EURUSD 1.1 1.2 - - {NOW + MINUTE}")
    terminal = ask(daemon)
    assert answers(terminal)[-1].spread == 10_000
    daemon.feed(f"EURUSD 1.1 1.2 - - {NOW + MINUTE + 1}")
    settle(daemon)
    (bar,) = answers(terminal)
    assert (bar.spread, bar.close) == (10_000, "1.10000")


def test_without_a_tick_since_the_start_the_last_bar_may_still_be_open(restarted):
    daemon = restarted((0, 1), (MINUTE, 2))
    terminal = ask(daemon)
    assert shown(answers(terminal)[1:]) == [(0, 1, "1", False), (MINUTE, 1, "2", True)]
    feed(daemon, [(MINUTE + 1, 3)])
    settle(daemon)
    head, *found = answers(terminal)
    assert head.count == 2
    assert shown(found) == [(0, 1, "1", False), (MINUTE, 2, "3", True)]


def test_what_was_imported_meanwhile_is_in_the_closed_bars(restarted, tmp_path):
    daemon = restarted((0, 1))
    feed(daemon, [(2 * MINUTE, 2)])
    path = next(tmp_path.rglob("ticks.sqlite"))
    times = [NOW + 1, NOW + MINUTE]
    rows = [(2, time, b"7 - - - %d" % time) for time in times]
    Importer(path, b"EURUSD", NOW).run(lambda: iter(rows), lambda _: None)
    assert shown(answers(ask(daemon))[1:])[:2] == [(0, 2, "7", False), (MINUTE, 1, "7", False)]


def test_minutes_that_memory_has_dropped_come_from_the_stores(restarted, monkeypatch):
    monkeypatch.setattr(Bars, "_longest", 20)
    daemon = restarted()
    feed(daemon, [(0, 1)])
    terminal = ask(daemon, "D1", 1)
    answers(terminal)
    feed(daemon, [(at * MINUTE, 1) for at in range(1, 40 + CHUNK)])
    settle(daemon)
    settle(daemon)
    assert shown(answers(terminal))[-1] == (0, 40 + CHUNK, "1", True)


def test_a_store_that_cannot_be_read_costs_the_history_alone(restarted, monkeypatch, log):
    def fail(*_):
        raise JournalError("A block is damaged.")

    daemon = restarted((0, 1))
    monkeypatch.setattr(BarHistory, "last", fail)
    feed(daemon, [(MINUTE, 2)])
    assert shown(answers(ask(daemon))[1:]) == [(MINUTE, 1, "2", True)]
    assert [each for each in log if each.get("reason")]


def test_so_many_ticks_are_read_for_one_chart(restarted, monkeypatch):
    monkeypatch.setattr(history, "MOST", 10)
    monkeypatch.setattr(history, "MOST_IN_BLOCKS", 10)
    daemon = restarted(*((at * MINUTE, 1) for at in range(100)))
    head, *_ = answers(ask(daemon, count=80))
    assert 5 <= head.count <= 45


def test_bars_far_back_are_found_behind_a_long_pause(restarted):
    days = 24 * 60 * MINUTE
    daemon = restarted((-90 * days, 1), (-90 * days + MINUTE, 2), (0, 3))
    assert shown(answers(ask(daemon, count=3))[1:]) == [
        (-90 * days, 1, "1", False), (-90 * days + MINUTE, 1, "2", False), (0, 1, "3", True),
    ]  # fmt: skip


# The same numbers either way

OFFSETS = st.one_of(
    st.sampled_from((0, 1, 999, 1_000, 1_500, 29_999, 30_000, 59_999, MINUTE, MINUTE + 999)),
    st.integers(-3_000, 3_000),
    st.sampled_from((-25 * HOUR, -HOUR, -1, HOUR, HOUR + 1, 2 * HOUR, 13 * HOUR)),
)
PRICES = st.sampled_from(("1.1 1.10002", "1.2 -", "1.05 1.06 - 3", "1.10000 1.3", "- 1.2", "9"))
TICKS = st.lists(st.tuples(OFFSETS, PRICES), max_size=10)
CHARTS = st.lists(st.sampled_from(sorted(PERIODS)), min_size=1, max_size=4, unique=True)


def put(daemon, ticks):
    """Feed ticks, some at one moment."""
    for number, (at, prices) in enumerate(ticks):
        values = f"{prices} - - -".split()[:4]
        daemon.feed(f"EURUSD {' '.join(values)} {NOW + at} -")
        daemon.clock.advance(number % 2 * 0.001)


def in_the_stores(folder, period):
    """Return the bars of the stores as numbers."""
    stores = BarHistory(next(folder.rglob("ticks.sqlite")))
    try:
        basis = stores.basis(b"EURUSD")
    except ClientError:
        return []
    return [
        (*bar[:6], points(bar, basis.digits), round(bar.volume, 8))
        for bar in stores.bars(b"EURUSD", PERIODS[period], basis)
    ]


def values(bar):
    prices = (float(each) for each in (bar.open, bar.high, bar.low, bar.close))
    return (bar.time, *prices, bar.ticks, bar.spread, float(bar.volume))


def bars_of(found, period):
    """Return the bars since the last head of a chart."""
    found = [each for each in found if each.period == period]
    begin = max(at for at, each in enumerate(found) if isinstance(each, Barred))
    return found[begin + 1 :]


def settled(daemon, terminal):
    for _ in range(3):
        settle(daemon)
    return answers(terminal)


@settings(max_examples=RUNS * 2)
@example(
    runs=[[(30_000, "1.1 1.3"), (MINUTE, "1.2 -"), (HOUR, "- 1.2")], []],
    before=[],
    while_open=[(1_000, "9"), (25, "1.1 1.2"), (-25 * HOUR, "1.1 1.2")],
    charts=["S20", "MN1"],
    count=2,
)
@example(runs=[[(0, "1.1 1.3")]], before=[], while_open=[], charts=["MN1"], count=3)
@given(
    runs=st.lists(TICKS, min_size=1, max_size=3),
    before=TICKS,
    while_open=TICKS,
    charts=CHARTS,
    count=st.integers(1, 12),
)
def test_live_and_from_the_stores_they_are_the_same_whenever_ticks_come(
    tmp_path_factory, runs, before, while_open, charts, count
):
    folder = tmp_path_factory.mktemp("data")
    daemon = Daemon(folder, Clock())
    for ticks in runs:
        put(daemon, ticks)
        daemon.env.components.services["ticks"].stop()
        seconds = daemon.clock.seconds() + 1
        daemon = Daemon(folder, Clock())
        daemon.clock.advance(seconds)
    put(daemon, before)
    running = daemon.session(*(wire.bars("EURUSD", period, count) for period in charts))
    found = settled(daemon, running)
    put(daemon, while_open)
    found += settled(daemon, running)
    fresh = daemon.session(*(wire.bars("EURUSD", period, count) for period in charts))
    anew = settled(daemon, fresh)
    for period in charts:
        whole = in_the_stores(folder, period)
        asked = bars_of(anew, period)
        assert [values(each) for each in asked] == whole[-count:]
        if whole:
            current = bars_of(found, period)[-1]
            assert current.current
            assert values(current) == whole[-1], "the open bar"


@settings(max_examples=RUNS * 2)
@given(charts=CHARTS, ticks=TICKS.map(sorted), later=TICKS.map(sorted), count=st.integers(1, 12))
def test_each_bar_that_was_sent_is_that_of_the_stores_where_no_tick_comes_late(
    tmp_path_factory, charts, ticks, later, count
):
    folder = tmp_path_factory.mktemp("data")
    last = max((at for at, _ in ticks), default=0)
    daemon = restart(folder, Daemon(folder, Clock()), [])
    put(daemon, ticks)
    terminal = daemon.session(*(wire.bars("EURUSD", period, count) for period in charts))
    found = settled(daemon, terminal)
    for at, prices in later:
        put(daemon, [(last - later[0][0] + at, prices)])
        settle(daemon)
    found += settled(daemon, terminal)
    daemon.env.find(ITicks).sync()
    settle(daemon)
    for period in charts:
        whole = {bar[0]: bar for bar in in_the_stores(folder, period)}
        bars = (each for each in found if isinstance(each, Bar) and each.period == period)
        # Points are those of the digits so far.
        told = {each.time: values(each)[:6] for each in bars}
        assert told == {time: whole[time][:6] for time in told}
