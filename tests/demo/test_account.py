"""The accounts of the demonstration: what trades cost, and what is open is worth."""

from decimal import Decimal

import pytest

from mtnet.demo.account import DEPOSIT, Account, Quote, value

BID, ASK = Decimal("1.1000"), Decimal("1.1002")


def account():
    return Account(lambda symbol: Quote(BID, ASK) if symbol == "EURUSD" else None)


def trade(mine, volume, price):
    mine.trade("EURUSD", Decimal(volume), Decimal(price))


def test_an_account_begins_flat_with_its_deposit():
    mine = account()
    assert (mine.volume("EURUSD"), mine.balance, mine.equity) == (0, DEPOSIT, DEPOSIT)


def test_a_position_is_worth_what_closing_it_would_bring():
    mine = account()
    trade(mine, "0.5", "1.0990")
    assert (mine.balance, mine.equity) == (DEPOSIT, DEPOSIT + 50)
    trade(mine, "-0.5", "1.0990")
    assert mine.equity == DEPOSIT - 60, "a sold position is bought back at the ask"


def test_what_is_closed_is_paid_into_the_balance():
    mine = account()
    trade(mine, "1", "1.0990")
    trade(mine, "0.4", "1.1000")
    assert (mine.volume("EURUSD"), mine.balance) == (Decimal("0.4"), DEPOSIT + 60)
    trade(mine, "0", "1.1000")
    assert (mine.volume("EURUSD"), mine.balance, mine.equity) == (0, DEPOSIT + 100, DEPOSIT + 100)


def test_an_increase_keeps_the_mean_price():
    mine = account()
    trade(mine, "1", "1.0990")
    trade(mine, "2", "1.1010")
    assert mine.balance == DEPOSIT
    trade(mine, "0", "1.1000")
    assert mine.balance == DEPOSIT


def test_a_turned_position_is_closed_and_opened_at_one_price():
    mine = account()
    trade(mine, "1", "1.0990")
    trade(mine, "-1", "1.1000")
    assert mine.balance == DEPOSIT + 100
    trade(mine, "0", "1.1000")
    assert mine.balance == DEPOSIT + 100


def test_without_a_tick_a_position_is_worth_its_price():
    mine = account()
    mine.trade("XAUUSD", Decimal(1), Decimal(2341))
    assert mine.equity == DEPOSIT


@pytest.mark.parametrize(("symbol", "money"), [("EURUSD", 100_000), ("XAUUSD", 100)])
def test_a_lot_has_the_value_of_its_symbol(symbol, money):
    assert value(symbol) == money
