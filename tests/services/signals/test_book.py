"""Positions and who sets them."""

from decimal import Decimal

import pytest

from mtnet.services.signals.book import Book, Change, Channel, corrected_times, is_reduction, latest
from mtnet.services.signals.model import Entry, State


def change(symbol="GBPUSD", volume="1", when=0, channel="main"):
    return Change(channel, symbol, Decimal(volume), when)


class Harness:
    """A channel and what was set in it."""

    def __init__(self):
        self.channel = Channel("main")

    def set(self, symbol, volume, ticket="", type="position", when=0):
        entry = Entry(
            "main", symbol, Decimal(volume), when, ticket, type=type, seq=self.channel.seq + 1
        )
        return self.channel.apply(entry, when / 1000)

    @property
    def net(self):
        return {symbol: str(each.volume) for symbol, each in self.channel.net.items()}

    @property
    def held(self):
        return [(e.seq, e.symbol, e.ticket, str(e.volume)) for e in self.channel.held()]


@pytest.fixture
def harness():
    return Harness()


def test_a_change_names_the_volume_that_it_replaced(harness):
    assert harness.set("GBPUSD", 1).previous is None
    assert harness.set("GBPUSD", 2).previous == 1


def test_an_entry_that_leaves_the_net_position_as_it_is_changes_nothing(harness):
    harness.set("GBPUSD", 1)
    assert harness.set("GBPUSD", 1) is None
    assert harness.channel.seq == 2
    assert harness.held == [(2, "GBPUSD", "", "1")]


def test_a_close_that_is_loaded_is_not_dated_by_an_older_order(harness):
    order = Entry("main", "GBPUSD", Decimal(1), 1_000, "2", type="buy_limit", seq=1)
    harness.channel.load(State("e", 3, 1, [order], "00000003"), moment=50.0, now=90_000)
    assert harness.channel.net["GBPUSD"].when == 50.0


def test_what_is_loaded_again_is_as_old_as_before_whatever_the_clock_said(harness):
    harness.set("GBPUSD", 0, when=40_000)
    harness.set("EURUSD", 1, when=40_000)
    entries = [
        Entry("main", symbol, Decimal(0), 1, seq=seq)
        for seq, symbol in enumerate(("GBPUSD", "EURUSD", "USDJPY"), 1)
    ]
    harness.channel.load(State("f", 3, 1, entries, "00000003"), moment=50.0, now=90_000)
    when = {symbol: each.when for symbol, each in harness.channel.net.items()}
    assert when == {"GBPUSD": 40.0, "EURUSD": 50.0, "USDJPY": 50.0 - 89.999}


def test_a_flat_symbol_is_known_until_it_expires(harness):
    harness.set("GBPUSD", 0, when=1_000)
    harness.set("EURUSD", 1, when=1_000)
    harness.channel.expire(1.0)
    assert harness.net == {"GBPUSD": "0", "EURUSD": "1"}
    harness.channel.expire(1.001)
    assert harness.net == {"EURUSD": "1"}


def test_the_net_position_is_the_sum_over_the_tickets(harness):
    harness.set("GBPUSD", 1, "7")
    assert harness.set("GBPUSD", "-0.25", "8").volume == Decimal("0.75")
    assert harness.set("GBPUSD", 0, "7").volume == Decimal("-0.25")
    assert harness.set("GBPUSD", 0, "8").volume == 0
    assert harness.held == []


def test_an_order_that_waits_is_held_and_is_no_position(harness):
    assert harness.set("GBPUSD", 1, "7", "buy_limit").volume == 0
    assert harness.held == [(1, "GBPUSD", "7", "1")]
    assert harness.set("GBPUSD", 1, "7").volume == 1


def test_a_symbol_with_an_order_that_waits_does_not_expire(harness):
    harness.set("GBPUSD", 1, "7", "buy_limit", when=0)
    harness.channel.expire(10.0)
    assert harness.channel.evict(10.0) is None
    assert harness.net == {"GBPUSD": "0"}


@pytest.mark.parametrize(
    ("recorded", "corrected"),
    [
        ([1, 5, 9], [1, 5, 9]),
        ([1, 99, 6], [1, 6, 6]),  # the clock was ahead
        ([1, 99], [1, 10]),  # and nothing says for how long
        ([5, 0, 9], [5, 5, 9]),  # it stood at zero
        ([99, 98, 0, 97], [0, 0, 0, 10]),
        ([], []),
    ],
)
def test_the_order_of_entries_says_when_the_clock_was_wrong(recorded, corrected):
    assert corrected_times(recorded, now=10) == corrected


def test_channels_do_not_share_symbols():
    book = Book()
    book.channel("gold").apply(Entry("gold", "GBPUSD", Decimal(1), 0, seq=1), 0)
    assert book.channel("main").volume("GBPUSD") is None


@pytest.mark.parametrize(
    ("before", "after", "reduction"),
    [
        ("1", "0", True),
        ("1", "0.5", True),
        ("1", "-0.5", True),
        ("-1", "-0.5", True),
        ("-1", "2", True),
        ("1", "2", False),
        ("0", "1", False),
        ("-1", "-2", False),
        (None, "0", True),
        (None, "1", False),
    ],
)
def test_closing_any_lots_is_a_reduction(before, after, reduction):
    known = None if before is None else Decimal(before)
    assert is_reduction(known, Decimal(after)) is reduction


def test_of_several_changes_the_last_of_each_symbol_counts():
    changes = [change("A", "1"), change("B", "1"), change("A", "2")]
    assert latest(changes) == [change("B", "1"), change("A", "2")]


def test_a_flat_symbol_of_which_nothing_was_known_is_not_remembered_without_room(harness):
    entry = Entry("main", "GBPUSD", Decimal(0), 0, seq=1)
    assert harness.channel.apply(entry, 0, room=False) is None
    assert harness.net == {}
    harness.set("GBPUSD", 1)
    closing = Entry("main", "GBPUSD", Decimal(0), 0, seq=3)
    assert harness.channel.apply(closing, 0, room=False).volume == 0


def test_positions_and_orders_are_counted(harness):
    for volume, ticket in ((1, "7"), (2, "7"), (1, "8"), (0, "7"), (0, "9")):
        harness.set("GBPUSD", volume, ticket)
    assert harness.channel.keys == 1


def test_the_net_position_keeps_the_digits_of_the_last_ticket(harness):
    harness.set("GBPUSD", "0.250", "7")
    harness.set("GBPUSD", "1", "8")
    harness.set("GBPUSD", 0, "7")
    assert harness.net == {"GBPUSD": "1"}
