"""BARS over a restart: memory and the stores give one chart, the same as the stores alone."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from session_clients import Daemon, answers
from twisted.internet.task import Clock

from mtnet.errors import JournalError
from mtnet.interfaces import ITicks
from mtnet.services.ticks.bars import history
from mtnet.services.ticks.bars.feed import PULSE
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.bars.series import CHUNK
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.wire import LIVE, Bar, Barred

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "6"))
MINUTE = 60_000
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
    monkeypatch.setattr("mtnet.services.ticks.bars.series.MAX_SERIES", 20)
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


TICKS = st.lists(
    st.tuples(st.integers(0, 8).map(lambda at: at * MINUTE // 2), st.integers(1, 9)), max_size=12
)


@settings(max_examples=RUNS)
@given(TICKS, TICKS, TICKS, st.sampled_from(LIVE[:6] + LIVE[-4:]), st.integers(1, 12))
def test_a_chart_is_what_the_stores_have_in_the_end(
    tmp_path_factory, before, between, after, period, count
):
    folder = tmp_path_factory.mktemp("data")
    # Ticks of an earlier time than the first one since the start are another story.
    begin = max((at for at, _ in before), default=0)
    between, after = ([(begin + at, bid) for at, bid in sorted(each)] for each in (between, after))
    last = max((at for at, _ in between), default=begin)
    daemon = restart(folder, Daemon(folder, Clock()), before)
    feed(daemon, between or [(begin, 5)])
    terminal = ask(daemon, period, count)
    found = answers(terminal)
    feed(daemon, [(last - begin + at, bid) for at, bid in after])
    settle(daemon)
    settle(daemon)
    found += answers(terminal)
    daemon.env.find(ITicks).sync()
    settle(daemon)
    found += answers(terminal)
    chart = {each.time: each for each in found if isinstance(each, Bar)}
    stores = BarHistory(next(folder.rglob("ticks.sqlite")))
    basis = stores.basis(b"EURUSD")
    whole = list(stores.bars(b"EURUSD", PERIODS[period], basis))
    prices = ("open", "high", "low", "close")
    told = [
        (each.time, *(float(getattr(each, name)) for name in prices), each.ticks)
        for each in chart.values()
    ]
    assert told == [bar[:6] for bar in whole if bar.time in chart]
    assert whole[-1].time in chart
