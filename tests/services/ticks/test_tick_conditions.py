"""Conditions of alerts about ticks."""

from datetime import datetime

import pytest

from mtnet.clock import WallClock
from mtnet.errors import ConfigError
from mtnet.services.ticks.health.conditions import GAP_SHOWN, TickConditions
from mtnet.services.ticks.health.hours import TradingHours
from mtnet.services.ticks.model import Seen, Source
from mtnet.services.ticks.settings import TickSettings

BEGAN = 1_700_000_000_000
"""A Tuesday, 22:13:20 UTC."""
HOUR = 3_600_000


class Ticks:
    """The last ticks by symbol, and the senders."""

    def __init__(self):
        self.last, self.senders = {}, [Source("desk"), Source("other")]

    def last_tick(self, symbol):
        return self.last.get(symbol)

    def symbols(self):
        return self.last.keys()

    def sources(self):
        return self.senders


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def condition(ticks, clock):
    now = WallClock(lambda: BEGAN + int(clock.seconds() * 1000), clock.seconds)

    def make(text, **settings):
        hours = TradingHours(TickSettings(**settings))
        word, _, rest = text.partition(" ")
        return TickConditions(ticks, now, hours).conditions()[word](rest)

    return make


def test_a_symbol_is_silent_after_its_last_tick_or_the_start(condition, ticks, clock):
    holds = condition("ticks_silent EURUSD > 60s")
    clock.advance(60)
    assert holds() == {"EURUSD": ""}, "a start says nothing of it"
    clock.advance(1)
    assert holds() == {"EURUSD": "There was no tick of EURUSD for 61 s."}
    ticks.last[b"EURUSD"] = (b"1.1 1.2", BEGAN + 30_000)
    assert holds() == {}


def test_without_a_symbol_all_are_meant(condition, ticks, clock):
    holds = condition("ticks_silent > 2min")
    clock.advance(121)
    assert list(holds()) == ["ticks"]
    ticks.senders[1].count_received(1, BEGAN + 100_000)
    assert holds() == {}


# Trading hours


def moment(text):
    return round(datetime.fromisoformat(f"{text}+00:00").timestamp() * 1_000)


@pytest.fixture
def at(clock):
    """Let it be a time, UTC."""
    return lambda text: clock.advance((moment(text) - BEGAN) / 1_000 - clock.seconds())


def test_a_symbol_is_not_silent_while_its_market_is_closed(condition, ticks, at):
    # In New York it is 17:00 when it is 22:00 UTC: the week-end begins and ends.
    holds = condition("ticks_silent EURUSD > 60s", clock={"*": "NY+7"})
    at("2023-11-17 21:59:30")
    ticks.last[b"EURUSD"] = (b"1.1", moment("2023-11-17 21:59:00"))
    assert holds() == {}
    for closed in ("2023-11-17 22:00:00", "2023-11-18 12:00", "2023-11-19 21:59:59"):
        at(closed)
        assert holds() == {}
    at("2023-11-19 22:01:00")
    assert holds() == {"EURUSD": ""}, "it has just opened"
    at("2023-11-19 22:01:01")
    assert holds() == {"EURUSD": "There was no tick of EURUSD for 61 s."}
    ticks.last[b"EURUSD"] = (b"1.1", moment("2023-11-19 22:01:00"))
    assert holds() == {}


def test_the_market_opens_by_the_rule_of_the_clock_when_summer_time_ends(condition, ticks, at):
    ticks.last[b"EURUSD"] = (b"1.1", BEGAN)
    holds = condition("ticks_silent EURUSD > 60s", clock={"EURUSD": "NY+7"})
    at("2024-03-10 20:59:59")  # the week before it opened at 22:00
    assert holds() == {}
    at("2024-03-10 21:01:01")
    assert list(holds()) == ["EURUSD"]
    at("2024-11-03 21:30")
    assert holds() == {}, "it opens at 22:00 again"
    at("2024-11-03 22:01:01")
    assert holds()["EURUSD"]


def test_a_clock_without_a_rule_is_as_far_ahead_as_it_was(condition, ticks, at):
    came = moment("2023-11-17 20:00")
    holds = condition("ticks_silent EURUSD > 60s")
    ticks.last[b"EURUSD"] = (b"1.1 - - - %d" % (came + 2 * HOUR - 80), came)
    at("2023-11-17 21:59:59")
    assert holds()["EURUSD"]
    at("2023-11-17 22:00:01")
    assert holds() == {}
    at("2023-11-19 22:01:01")
    assert holds()["EURUSD"]
    ticks.last[b"EURUSD"] = (b"1.1 - - - 86400000", came)
    assert holds() == {}, "such a time says nothing: it is Sunday, UTC"


def test_breaks_and_holidays_are_no_silence(condition, ticks, at):
    sessions = {"US500": "Mon-Fri 01:00-23:15, Mon-Fri 23:30-24:00", "*": "Mon-Sun 00:00-24:00"}
    settings = {"sessions": sessions, "holidays": {"US500": "2023-11-23"}, "clock": {"*": "UTC"}}
    index, coin = (condition(f"ticks_silent {name} > 60s", **settings) for name in ("US500", "X"))
    at("2023-11-22 23:14:59")
    assert index()["US500"]
    for closed in ("2023-11-22 23:15", "2023-11-22 23:30:59", "2023-11-23 12:00"):
        at(closed)
        assert not any(index().values())
        assert coin()["X"], "it is always traded"


def test_all_are_silent_only_while_one_of_them_is_traded(condition, ticks, at):
    ticks.last[b"EURUSD"] = ticks.last[b"GBPUSD"] = (b"1.1", BEGAN)
    holds = condition("ticks_silent > 60s", sessions={"BTCUSD": "Mon-Sun 00:00-24:00"})
    at("2023-11-18 12:00")
    assert holds() == {}
    ticks.last[b"BTCUSD"] = (b"1", BEGAN)
    assert holds()["ticks"]
    del ticks.last[b"EURUSD"], ticks.last[b"GBPUSD"], ticks.last[b"BTCUSD"]
    assert holds() == {}
    at("2023-11-20 00:01:01")
    assert holds()["ticks"] == "There was no tick of any symbol for 61 s."


def test_a_symbol_with_a_blank_is_escaped(condition, ticks, clock):
    holds = condition("ticks_silent UK%20100 > 60s")
    clock.advance(61)
    assert list(holds()) == ["UK 100"]


def gap(source, count, when):
    source.classify(Seen(source.highest + 1 + count if source.highest else 2, 1, 1), when)


@pytest.mark.parametrize("text", ["ticks_gap", "ticks_gap desk", "ticks_gap desk > 2"])
def test_a_gap_counts_for_a_minute(condition, ticks, clock, text):
    holds = condition(text)
    gap(ticks.senders[0], 0, BEGAN)
    assert holds() == {}
    gap(ticks.senders[0], 3, BEGAN)
    assert holds() == {"desk": "3 datagrams of desk are missing."}
    clock.advance(GAP_SHOWN / 1000)
    assert holds() == {}


def test_a_smaller_gap_or_another_sender_is_not_meant(condition, ticks):
    gap(ticks.senders[0], 0, BEGAN)
    gap(ticks.senders[0], 3, BEGAN)
    assert condition("ticks_gap > 3")() == {}
    assert condition("ticks_gap other")() == {}


@pytest.mark.parametrize(
    ("limit", "holds"),
    [(">= 1.1", True), ("> 1.1", False), ("< 1.2", True), ("<= 1.0999", False)],
)
def test_a_price_is_the_bid(condition, ticks, limit, holds):
    ticks.last[b"EURUSD"] = (b"1.10 1.2", BEGAN)
    assert bool(condition(f"price EURUSD {limit}")()) is holds


def test_a_price_without_a_bid_is_the_last_one(condition, ticks):
    ticks.last[b"GAZP"] = (b"- - 131.5", BEGAN)
    sentence = "The price of GAZP is 131.5, which is > 100."
    assert condition("price GAZP > 100")() == {"GAZP": sentence}
    ticks.last[b"GAZP"] = (b"- 131.5", BEGAN)
    assert condition("price GAZP > 100")() == {}


def test_of_an_unknown_symbol_nothing_holds(condition):
    assert condition("price NOSUCH > 0")() == {}


@pytest.mark.parametrize(
    "text",
    ["ticks_silent", "ticks_silent EURUSD", "ticks_silent > 60", "ticks_gap > 1s", "price > 1",
     "price EURUSD", "price EURUSD = 1", "price A|B > 1"],
)  # fmt: skip
def test_a_condition_that_cannot_be_read_shows_a_right_one(condition, text):
    with pytest.raises(ConfigError, match=f"Example: {text.split()[0]}"):
        condition(text)
