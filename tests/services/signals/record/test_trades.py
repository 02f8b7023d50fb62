"""Entries of a channel, and the trades that they make."""

from decimal import Decimal

import pytest

from mtnet.services.signals.model import Entry
from mtnet.services.signals.record.summary import Sums, Total, results
from mtnet.services.signals.record.trades import Trades, points
from mtnet.services.signals.reports.wire import Spec

NOVEMBER, DECEMBER = 1_795_000_000_000, 1_797_000_000_000


def run(*rows, previous=None):
    """Take rows of (volume, price, fields); an entry's `previous` is the volume before it."""
    trades, before = Trades(), {}
    for seq, (volume, price, *more) in enumerate(rows, 1):
        given = {"ticket": "", "symbol": "EURUSD", "type": "position", **(more[0] if more else {})}
        key = given["symbol"], given["ticket"]
        was = before.get(key, previous)
        fields = () if price is None else (("price", price),)
        when = given.pop("when", NOVEMBER)
        entry = Entry("gold", volume=Decimal(volume), when=when, seq=seq, fields=fields,
                      previous=was, **given)  # fmt: skip
        before[key] = entry.volume
        trades.take(entry)
    return trades


def shown(trades):
    return [
        (each.side, str(each.volume), _text(each.opening), _text(each.closing), each.first,
         each.last)
        for each in trades.closed
    ]  # fmt: skip


def _text(price):
    return None if price is None else f"{float(price):.6g}"


def test_a_position_that_is_opened_and_closed_is_a_trade():
    trades = run(("1", "1.10000"), ("0", "1.10250"))
    assert shown(trades) == [("buy", "1", "1.1", "1.1025", 1, 2)]
    assert points(trades.closed[0], trades.digits) == 250
    assert trades.open == {}


def test_a_sale_wins_when_the_price_falls():
    trades = run(("-2", "1.10000"), ("0", "1.09900"))
    assert (trades.closed[0].side, points(trades.closed[0], trades.digits)) == ("sell", 100)


def test_parts_are_weighted_by_their_volume():
    trades = run(("1", "1.10000"), ("0.25", "1.10400"), ("0", "1.10000"))
    assert shown(trades) == [("buy", "1.00", "1.1", "1.103", 1, 3)]
    assert trades.closed[0].parts == 2
    assert points(trades.closed[0], trades.digits) == 300


def test_a_reduction_that_repeats_the_opening_price_says_nothing_of_its_closing():
    trades = run(("1", "1.10000"), ("0.5", "1.10000"), ("0", "1.10300"))
    assert shown(trades) == [("buy", "1.0", "1.1", None, 1, 3)]
    assert points(trades.closed[0], trades.digits) is None


def test_an_increase_has_the_opening_price_of_the_whole():
    trades = run(("1", "1.10000"), ("3", "1.10300"), ("0", "1.10400"))
    assert shown(trades) == [("buy", "3", "1.103", "1.104", 1, 3)]


def test_a_reversal_closes_and_opens_at_one_price():
    trades = run(("1", "1.10000"), ("-1", "1.10100"), ("0", "1.10300"))
    assert shown(trades) == [
        ("buy", "1", "1.1", "1.101", 1, 2),
        ("sell", "1", "1.101", "1.103", 2, 3),
    ]


def test_tickets_are_trades_of_their_own():
    one, two = {"ticket": "1"}, {"ticket": "2"}
    trades = run(
        ("1", "1.10000", one), ("-1", "1.20000", two), ("0", "1.10100", one), ("0", "1.19900", two)
    )
    assert [each.ticket for each in trades.closed] == ["1", "2"]
    assert [points(each, trades.digits) for each in trades.closed] == [100, 100]


@pytest.mark.parametrize(("opening", "closing"), [(None, "1.1"), ("1.1", None), (None, None)])
def test_an_unknown_price_is_not_guessed(opening, closing):
    (trade,) = run(("1", opening), ("0", closing)).closed
    assert trade.gained is None


def test_a_change_of_stops_is_no_trade_and_may_name_the_opening_price():
    trades = run(("1", None), ("1", "1.10000"), ("1", None), ("0", "1.10100"))
    assert shown(trades) == [("buy", "1", "1.1", "1.101", 1, 4)]


def test_an_order_is_no_trade_until_it_is_filled():
    order = {"ticket": "7", "type": "buy_limit"}
    filled = {"ticket": "7"}
    trades = run(("1", "1.09000", order), ("1", "1.09010", filled), ("0", "1.09110", filled))
    assert shown(trades) == [("buy", "1", "1.0901", "1.0911", 2, 3)]
    assert run(("1", "1.09000", order), ("0", None, filled)).closed == []


def test_a_position_of_before_the_first_entry_has_no_known_opening():
    trades = run(("0", "1.10000"), previous=Decimal(1))
    assert shown(trades) == [("buy", "1", None, "1.1", 0, 1)]


SPEC = Spec("EURUSD", digits=5, tick=Decimal("0.00001"), tickvalue=Decimal("1.0"))


def total(trades, spec=SPEC):
    sums = Sums()
    for each in results(trades.closed, trades.digits, lambda symbol: spec):
        sums.add(each)
    return sums.total.row(), sums.months


WON, LOST = (("2", "1.10000"), ("0", "1.10100")), (("1", "1.10000"), ("0", "1.09700"))


def test_results_are_summed_with_the_deepest_fall_from_a_peak():
    row, _ = total(run(*WON, *LOST, *WON))
    assert (row["trades"], row["won"], row["lost"], row["unknown"]) == (3, 2, 1, 0)
    assert (row["points"], row["drawdown"]) == ("-100.0", "300.0")
    assert (row["money"], row["money_drawdown"]) == ("100.00", "300.00")


def test_months_are_those_of_the_closing():
    late = tuple((volume, price, {"when": DECEMBER}) for volume, price in WON)
    _, months = total(run(*WON, *late))
    assert {name: each.trades for name, each in months.items()} == {"2026-11": 1, "2026-12": 1}


def test_without_a_spec_there_is_no_money_and_it_is_counted():
    row, _ = total(run(*WON, ("1", None), ("0", None)), None)
    assert (row["trades"], row["unknown"], row["without_spec"]) == (2, 1, 1)
    assert (row["points"], row["money"]) == ("100.0", None)


@pytest.mark.parametrize("price", ["1e300", "999999999999.1234567891", "1e-300"])
def test_absurd_prices_cost_no_other_trade_its_result(price):
    trades = run((99999999, price, {"symbol": "X"}), (0, "1.5", {"symbol": "X"}),
                 (1, "1.10000"), (0, "1.10250"))  # fmt: skip
    specs = {"X": Spec("X", tick=Decimal("0.0000000001"), tickvalue=Decimal(1000))}
    absurd, sound = results(trades.closed, trades.digits, specs.get)
    assert sound.points == Decimal("250.0")
    assert absurd.money is None or absurd.money.is_finite()
    total = Total()
    for each in (absurd, sound):
        total.add(each)
    assert total.row()["trades"] == 2


def test_a_price_with_many_zeros_makes_no_tiny_points():
    trades = run((1, "1.10000"), (2, "1e-300"), (0, "1.10250"), (1, "1.10000"), (0, "1.10250"))
    assert trades.digits == {"EURUSD": 5}
