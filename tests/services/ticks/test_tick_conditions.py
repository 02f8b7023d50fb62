"""Conditions of alerts about ticks."""

import pytest

from mtnet.clock import WallClock
from mtnet.errors import ConfigError
from mtnet.services.ticks.health.conditions import GAP_SHOWN, TickConditions
from mtnet.services.ticks.model import Seen, Source

BEGAN = 1_700_000_000_000


class Ticks:
    """The last ticks by symbol, and the senders."""

    def __init__(self):
        self.last, self.senders = {}, [Source("desk"), Source("other")]

    def last_tick(self, symbol):
        return self.last.get(symbol)

    def sources(self):
        return self.senders


@pytest.fixture
def ticks():
    return Ticks()


@pytest.fixture
def condition(ticks, clock):
    now = WallClock(lambda: BEGAN + int(clock.seconds() * 1000), clock.seconds)
    conditions = TickConditions(ticks, now).conditions()

    def make(text):
        word, _, rest = text.partition(" ")
        return conditions[word](rest)

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
