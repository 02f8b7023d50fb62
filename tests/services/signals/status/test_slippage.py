"""How much worse than its provider a follower has traded."""

from decimal import Decimal
from itertools import count

from mtnet.services.signals.model import Entry
from mtnet.services.signals.reports.wire import Spec
from mtnet.services.signals.status import slippage as module
from mtnet.services.signals.status.slippage import Slippage, SlippageTable
from mtnet.services.signals.wire.requests import Ack

EURUSD = Spec("EURUSD", tick=Decimal("0.00001"), tickvalue=Decimal("1"), currency="USD")


NUMBERS = count(1)


def fill(table, volume, price, filled, previous="0", lots=None, before=None, seq=None, **more):
    seq = seq or next(NUMBERS)
    number = None if previous is None else Decimal(previous)
    fields = () if price is None else (("price", price),)
    given = {"symbol": "EURUSD", "fields": fields, "previous": number, **more}
    entry = Entry("gold", volume=Decimal(volume), when=0, seq=seq, **given)
    held = None if before is None else Decimal(before)
    lots = None if lots is None else Decimal(lots)
    table.note(entry, Ack("gold", seq, "filled", filled, lots), held)


def told(table, spec=EURUSD):
    return table.summary("bob", "gold", {"EURUSD": spec}.get)


def test_a_higher_price_is_worse_for_a_buyer_and_better_for_a_seller():
    table = SlippageTable()
    fill(table, "0.5", "1.10000", "1.10004")
    assert told(table) == Slippage("bob", "gold", 1, "4.0", "2.00", "USD")
    fill(table, "0", "1.10000", "1.10006", previous="0.5")
    assert told(table) == Slippage("bob", "gold", 2, "-1.0", "-1.00", "USD")


def test_a_fill_that_is_acknowledged_again_counts_once():
    table = SlippageTable()
    for seq in (7, 8, 7, 8):
        fill(table, "0.5", "1.10000", "1.10004", seq=seq)
    assert told(table) == Slippage("bob", "gold", 2, "4.0", "4.00", "USD")


def test_however_many_are_acknowledged_again_none_counts_twice(monkeypatch):
    monkeypatch.setattr(module, "REMEMBERED", 3)
    table = SlippageTable()
    for seq in (1, 2, 4, 3, 5, 1, 2, 3, 4, 5):
        fill(table, "0.5", "1.10000", "1.10004", seq=seq)
    assert told(table).fills == 5


def test_a_turn_closes_and_opens_at_one_price():
    table = SlippageTable()
    fill(table, "-0.5", "1.10000", "1.09998", previous="1")
    assert told(table).cost == "3.00"


def test_the_lots_of_the_follower_count_and_not_those_of_its_provider():
    table = SlippageTable()
    fill(table, "1", "1.10000", "1.10010", lots="0.1")
    assert told(table).cost == "1.00"
    fill(table, "0", "1.10000", "1.09990", previous="1", before="0.1")
    assert told(table).cost == "2.00"
    fill(table, "0", "1.10000", "1.09990", previous="0.2", before="0.7", ticket="77")
    assert told(table).cost == "4.00", "of a ticket is not known what the symbol held"


def test_of_what_enlarges_or_reduces_a_position_the_price_is_that_of_the_whole():
    table = SlippageTable()
    fill(table, "1", "1.10000", "1.20000", previous="0.5")
    fill(table, "0.2", "1.10000", "1.20000", previous="0.5")
    assert told(table) is None


def test_a_price_that_is_not_known_and_an_order_are_compared_with_nothing():
    table = SlippageTable()
    fill(table, "1", None, "1.20000")
    fill(table, "1", "1.10000", None)
    fill(table, "1", "1.10000", "1.20000", type="buy_limit")
    fill(table, "0", "1.10000", "1.20000", previous=None)
    assert told(table) is None


def test_without_the_value_of_a_step_of_the_price_there_is_no_cost():
    table = SlippageTable()
    fill(table, "1", "1.10000", "1.10010")
    assert told(table, None) == Slippage("bob", "gold", 1, "10.0", None, "")
    assert told(table, Spec("EURUSD", currency="USD")).cost is None
    other = Spec("GBPUSD", tick=Decimal("0.1"), tickvalue=Decimal(1), currency="EUR")
    fill(table, "1", "2.0", "2.1", symbol="GBPUSD")
    both = table.summary("bob", "gold", {"EURUSD": EURUSD, "GBPUSD": other}.get)
    assert (both.points, both.cost) == ("5.5", None)


def test_the_symbols_of_a_follower_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "KEPT", 1)
    table = SlippageTable()
    for symbol in ("EURUSD", "GBPUSD"):
        fill(table, "1", "1.10000", "1.10010", symbol=symbol)
    assert told(table).fills == 1


def test_a_price_with_absurd_decimals_is_left_out():
    table = SlippageTable()
    fill(table, "1", "1e-300", "1.1")
    assert told(table) is None


def test_an_absurd_price_hides_nothing_that_others_lost():
    table = SlippageTable()
    fill(table, "0.5", "1.10000", "1.10004")
    fill(table, "0.5", "1.10000", "1e300")
    fill(table, "0.5", "1e12", "1.1")
    assert told(table) == Slippage("bob", "gold", 1, "4.0", "2.00", "USD")


def test_sums_of_many_digits_are_told():
    table = SlippageTable()
    fill(table, "9999", "1", "999999999999")
    spec = Spec("EURUSD", tick=Decimal("1e-10"), tickvalue=Decimal("1000"), currency="JPY")
    assert told(table, spec).cost == "99989999999800020000000000000.00"


def test_with_an_absurd_step_of_the_price_there_is_no_cost():
    table = SlippageTable()
    fill(table, "1", "1.10000", "1.10001")
    for tick in ("1e-300", "-0.00001"):
        spec = Spec("EURUSD", tick=Decimal(tick), tickvalue=Decimal(1), currency="USD")
        assert (told(table, spec).points, told(table, spec).cost) == ("1.0", None)
