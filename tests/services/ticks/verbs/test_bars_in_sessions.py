"""BARS in a session: history, the open bar as it changes, and each closed bar once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from session_clients import Daemon, answers, parsed, told
from twisted.internet.task import Clock

from mtnet.interfaces import ITicks
from mtnet.services.signals.wire.requests import subscribe
from mtnet.services.ticks.bars.feed import PULSE
from mtnet.services.ticks.bars.series import Bars
from mtnet.services.ticks.verbs import bar_sender, wire
from mtnet.services.ticks.verbs.wire import Bar, Barred
from mtnet.session import messages

MINUTE = 60_000
NOW = 1_700_006_400_000
"""A midnight of the broker."""


@pytest.fixture
def daemon(tmp_path, clock):
    return Daemon(tmp_path / "data", clock)


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets, **more: Daemon(tmp_path / "data", clock, *sets, **more)


def tick(at, bid="1.10000", symbol="EURUSD"):
    return f"{symbol} {bid} - - - {NOW + at}"


def minutes(daemon, *numbers, symbol="EURUSD"):
    """Feed a tick in each of these minutes."""
    daemon.feed(*(tick(number * MINUTE, f"1.{number:05}", symbol) for number in numbers))


def settle(daemon, seconds=PULSE):
    daemon.clock.advance(seconds)
    for _ in range(5):
        daemon.clock.advance(0)


def ask(daemon, *asked, **addresses):
    terminal = daemon.session(*(wire.bars(*each) for each in asked), **addresses)
    settle(daemon, 0)
    return terminal


def subscribers(daemon):
    """Return those of each symbol."""
    minutes, seconds = daemon.env.find(ITicks).bars._subscribers.values()
    return minutes | seconds


def times(found):
    return [(each.time - NOW) // MINUTE for each in found if isinstance(each, Bar)]


def test_the_last_bars_come_first_and_the_open_one_is_marked(daemon):
    minutes(daemon, 0, 1, 3)
    terminal = ask(daemon, ("EURUSD", "M1", 2))
    assert told(terminal) == [
        "BARRED|symbol=EURUSD|period=M1|count=2|clock=broker",
        f"BAR|symbol=EURUSD|period=M1|time={NOW + MINUTE}|open=1.00001|high=1.00001|low=1.00001"
        "|close=1.00001|ticks=1|volume=0",
        f"BAR|symbol=EURUSD|period=M1|time={NOW + 3 * MINUTE}|open=1.00003|high=1.00003"
        "|low=1.00003|close=1.00003|ticks=1|volume=0|current=1",
    ]


def test_the_open_bar_is_sent_four_times_a_second_at_most_and_only_when_it_changed(daemon):
    minutes(daemon, 0)
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    answers(terminal)
    for at in range(100):
        daemon.feed(tick(at, f"1.{at:05}"))
        daemon.clock.advance(0.01)
    settle(daemon)
    found = answers(terminal)
    assert 3 <= len(found) <= 5
    assert all(each.current for each in found)
    assert (found[-1].ticks, found[-1].close) == (101, "1.00099")
    settle(daemon, 10)
    assert [each for each in answers(terminal) if isinstance(each, Bar)] == []


def test_each_closed_bar_is_sent_once(daemon):
    minutes(daemon, 0)
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    answers(terminal)
    minutes(daemon, 1, 2, 4)
    settle(daemon)
    assert [(each.current, *times([each])) for each in answers(terminal)] == [
        (False, 0),
        (False, 1),
        (False, 2),
        (True, 4),
    ]
    minutes(daemon, 5)
    settle(daemon)
    assert [(each.current, *times([each])) for each in answers(terminal)] == [(False, 4), (True, 5)]


def test_longer_periods_are_made_of_minutes(daemon):
    minutes(daemon, 0, 1, 59, 60)
    terminal = ask(daemon, ("EURUSD", "H1"), ("EURUSD", "D1"), ("EURUSD", "M30"))
    found = [each for each in answers(terminal) if isinstance(each, Bar)]
    assert [(each.period, *times([each]), each.ticks, each.current) for each in found] == [
        ("H1", 0, 3, False),
        ("M30", 0, 2, False),
        ("M30", 30, 1, False),
        ("H1", 60, 1, True),
        ("D1", 0, 4, True),
        ("M30", 60, 1, True),
    ]


def test_seconds_are_live_and_forgotten_with_their_last_chart(daemon):
    daemon.feed(tick(0), tick(999, "1.3"), tick(1_000, "1.2"))
    one, other = (ask(daemon, ("EURUSD", period, 9)) for period in ("S1", "S5"))
    daemon.clock.advance(0.001)
    daemon.feed(tick(1_500, "1.1"), tick(6_000, "1.4"), tick(900, "1.5"))
    settle(daemon)
    shown = {
        name: [((each.time - NOW) // 1_000, each.close, each.ticks) for each in answers(terminal)
            if isinstance(each, Bar) and not each.current]
        for name, terminal in (("S1", one), ("S5", other))
    }  # fmt: skip
    # The late tick of second 0 came when its bar was sent.
    assert shown["S1"] == [(0, "1.30000", 2), (0, "1.30000", 3), (1, "1.10000", 2)]
    assert shown["S5"] == [(0, "1.10000", 5)]
    feed = daemon.env.find(ITicks).bars
    one.hang_up()
    assert feed.get(b"EURUSD", 1_000) is not None
    other.send(wire.bars("EURUSD", "S5", 0))
    assert feed.get(b"EURUSD", 1_000) is None


def test_a_symbol_without_a_bar_is_waited_for_in_peace(daemon):
    daemon.feed(f"EURUSD - 1.1 - - {NOW}")
    terminal = ask(daemon, ("EURUSD", "M1", 9))
    settle(daemon)
    daemon.feed(f"EURUSD - 1.2 - - {NOW}")
    settle(daemon)
    assert answers(terminal) == [Barred("EURUSD", "M1", 0, "broker")]
    minutes(daemon, 0)
    settle(daemon)
    assert times(answers(terminal)) == [0]


def test_a_symbol_that_nobody_sent_yet_is_waited_for(daemon):
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    assert answers(terminal) == [Barred("EURUSD", "M1", 0, "broker")]
    minutes(daemon, 0)
    settle(daemon)
    first, bar = answers(terminal)
    assert first == Barred("EURUSD", "M1", 1, "broker")
    assert (bar.current, *times([bar])) == (True, 0)


def test_ticks_without_a_time_say_so_and_begin_again_once_they_have_one(daemon):
    daemon.feed("EURUSD 1.1")
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    head, bar = answers(terminal)
    assert head == Barred("EURUSD", "M1", 1, "received")
    assert bar.time == daemon.env.now() // MINUTE * MINUTE
    minutes(daemon, 0, 1)
    settle(daemon)
    head, *found = answers(terminal)
    assert head == Barred("EURUSD", "M1", 2, "broker")
    assert times(found) == [0, 1]


def test_a_new_request_for_a_chart_replaces_the_one_before(daemon):
    minutes(daemon, 0, 1, 2)
    terminal = ask(daemon, ("EURUSD", "M1", 1), ("EURUSD", "M1", 3))
    head, *found = answers(terminal)
    assert head.count == 3
    assert times(found) == [0, 1, 2], "nothing of the first request is sent any more"
    minutes(daemon, 3)
    settle(daemon)
    assert times(answers(terminal)) == [2, 3]
    assert daemon.say(terminal, wire.bars("EURUSD", "M1", 2)).count(b"<<BAR|") == 2


def test_a_count_of_0_ends_a_chart_and_no_other(daemon):
    minutes(daemon, 0)
    terminal = ask(daemon, ("EURUSD", "M1", 1), ("EURUSD", "H1", 1))
    answers(terminal)
    terminal.send(wire.bars("EURUSD", "M1", 0))
    assert answers(terminal) == [Barred("EURUSD", "M1", 0, "broker")]
    minutes(daemon, 1)
    settle(daemon)
    assert [each.period for each in answers(terminal)] == ["H1"]
    terminal.send(wire.bars("EURUSD", "H1", 0) + messages.bye())
    assert terminal.transport.ended
    assert subscribers(daemon) == {}


@pytest.mark.parametrize("when", ["at once", "while it lags", "later"])
@pytest.mark.parametrize("end", [lambda t: t.send(messages.bye()), lambda t: t.hang_up()])
def test_a_session_that_ends_leaves_nothing_behind(daemon, when, end):
    minutes(daemon, *range(600))
    terminal = daemon.session()
    terminal.transport.stalled = when == "while it lags"
    terminal.send(wire.bars("EURUSD", "M1", 1_000) + wire.bars("GBPUSD", "M1", 10))
    if when != "at once":
        settle(daemon)
    end(terminal)
    settle(daemon)
    assert subscribers(daemon) == {}
    minutes(daemon, 601)
    settle(daemon)
    assert not daemon.env.find(ITicks).bars._pulse


def test_history_is_sent_in_pieces_that_let_other_messages_through(daemon):
    minutes(daemon, *range(600))
    terminal = daemon.session(wire.bars("EURUSD", "M1", 600), messages.ping("x"))
    daemon.clock.advance(0)
    frames = [each.partition("|")[0] for each in told(terminal)]
    assert "PONG" in frames
    for _ in range(15):
        daemon.clock.advance(0)
    frames += [each.partition("|")[0] for each in told(terminal)]
    assert frames.index("PONG") < 200
    assert frames.count("BAR") == 600


def test_the_status_counts_bars_and_the_ticks_that_are_in_none(daemon):
    minutes(daemon, 0, 1, 2)
    daemon.feed("EURUSD 1.1", tick(100 * 3_600_000))
    ticks = daemon.env.find(ITicks)
    assert ticks.health()["bars"] == 2
    assert ticks.status()["in no bar"] == 2


def test_bars_that_cannot_be_built_cost_no_tick(daemon, monkeypatch, log):
    def fail(*_):
        raise ArithmeticError("a defect")

    monkeypatch.setattr(Bars, "take", fail)
    terminal = daemon.session(wire.ticks("*"))
    answers(terminal)
    minutes(daemon, 0, 1)
    minutes(daemon, 2)
    assert len(answers(terminal)) == 3
    assert daemon.env.find(ITicks).health()["received"] == 3
    failures = [event for event in log if "log_failure" in event]
    assert len(failures) == 1, "it is logged once"


# Limits and rights


def test_a_session_has_so_many_charts_and_no_more(daemon, monkeypatch):
    monkeypatch.setattr(bar_sender, "MAX_CHARTS", 3)
    terminal = ask(daemon, *(("EURUSD", period, 1) for period in ("M1", "M5", "H1")))
    told(terminal)
    answer = daemon.say(terminal, wire.bars("EURUSD", "D1", 1))
    assert b"ERROR|code=field" in answer
    assert b"BARRED" in daemon.say(terminal, wire.bars("EURUSD", "M1", 1)), "this one is known"


def test_a_server_without_bars_says_so(build):
    daemon = build("ticks.bars=0")
    minutes(daemon, 0)
    terminal = ask(daemon, ("EURUSD", "M1", 1))
    assert told(terminal)[0].startswith("ERROR|code=denied|text=This server keeps no bars")


def test_a_symbol_that_may_not_be_read_is_denied(build):
    grants = {"some": ("read:ticks/EUR*", "follow")}
    daemon = build("access.trust_loopback=false", grants=grants)
    terminal = ask(daemon, ("GBPUSD", "M1", 1), ("EURUSD", "M1", 1), login="some", peer="127.9.9.9")
    assert [each.partition("|text")[0] for each in told(terminal)] == [
        "ERROR|code=denied",
        "BARRED|symbol=EURUSD|period=M1|count=0|clock=broker",
    ]


def test_symbols_of_last_prices_are_a_setting(build):
    daemon = build("ticks.bars_of_last=UK 100")
    daemon.feed(f"UK%20100 1 2 3 - {NOW}", f"EURUSD 1 2 3 - {NOW}")
    terminal = ask(daemon, ("UK 100", "M1", 1), ("EURUSD", "M1", 1))
    found = [each for each in answers(terminal) if isinstance(each, Bar)]
    assert [(each.symbol, each.close) for each in found] == [("UK 100", "3"), ("EURUSD", "1")]


def test_a_defect_in_a_bar_ends_neither_the_session_nor_its_ticks(daemon, monkeypatch, log):
    minutes(daemon, 0)
    monkeypatch.setattr(bar_sender, "encoded_bar", None)
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    assert [event for event in log if "log_failure" in event]
    terminal.send(wire.ticks(["EURUSD"]))
    assert answers(terminal)[-1].bid == "1.00000"
    monkeypatch.undo()
    minutes(daemon, 1)
    settle(daemon)
    assert answers(terminal)[-1].current, "it goes on with the next tick"


# Sessions that lag


def drain(daemon, terminal):
    terminal.transport.stalled = False
    terminal.transport.drain()
    settle(daemon)


def test_a_session_that_lags_gets_every_closed_bar_later_and_the_newest_open_one(daemon):
    minutes(daemon, 0)
    terminal = ask(daemon, ("EURUSD", "M1", 10))
    answers(terminal)
    terminal.transport.stalled = True
    terminal.send(b"".join(messages.ping("x" * 100) for _ in range(700)))
    for number in range(1, 500):
        minutes(daemon, number)
        settle(daemon, 0.01)
    assert not terminal.closed
    lagging = answers(terminal)
    drain(daemon, terminal)
    found = [*lagging, *answers(terminal)]
    assert times(each for each in found if not each.current) == [*range(499)]
    assert times(found)[-1] == 499


def test_sessions_on_one_chart_are_sent_one_encoding(daemon):
    minutes(daemon, *range(10))
    bar_sender.encoded_bar.cache_clear()
    for _ in range(20):
        ask(daemon, ("EURUSD", "M1", 10))
    assert bar_sender.encoded_bar.cache_info().misses == 10


STEPS = st.lists(
    st.sampled_from(["stall", "read", "pulse", "end", "ask"]) | st.integers(1, 3) | st.just(0),
    max_size=30,
)


@given(STEPS)
def test_however_a_session_reads_each_closed_bar_comes_once_and_in_order(tmp_path_factory, steps):
    daemon = Daemon(tmp_path_factory.mktemp("data"), Clock())
    minutes(daemon, 0)
    terminal = daemon.session(wire.bars("EURUSD", "M1", 10), subscribe())
    frames, minute = [], 0
    for step in steps:
        if step == "stall":
            terminal.transport.stalled = True
        elif step == "read":
            drain(daemon, terminal)
        elif step == "pulse":
            settle(daemon)
        elif step in ("ask", "end"):
            terminal.send(wire.bars("EURUSD", "M1", 10 if step == "ask" else 0))
        else:
            minute += step
            minutes(daemon, minute)
        frames += parsed(terminal.received())
    terminal.send(wire.bars("EURUSD", "M1", 10))
    drain(daemon, terminal)
    settle(daemon)
    frames += parsed(terminal.received())
    seen, closed = None, []
    for message in frames:
        if message.verb == "BARRED":
            closed, seen = [], wire.ANSWERS["BARRED"](message).count
        elif message.verb == "BAR":
            assert seen, "no bar before its head, or behind the end"
            bar = wire.ANSWERS["BAR"](message)
            assert bar.time not in closed
            assert closed == sorted(closed)
            if not bar.current:
                closed.append(bar.time)
    assert bar.current
    assert bar.time == NOW + minute * MINUTE
