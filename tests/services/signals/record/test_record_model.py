"""The track record beside the money that flows in the deals of a broker."""

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.signals.model import Entry
from mtnet.services.signals.record.summary import Sums, results
from mtnet.services.signals.record.trades import Trades
from mtnet.services.signals.reports.wire import Spec

BEGIN = 1_795_000_000_000
SPECS = {
    "EURUSD": Spec("EURUSD", digits=5, tick=Decimal("0.00001"), tickvalue=Decimal("1.0")),
    "DE40": Spec("DE40", digits=1, tick=Decimal("0.5"), tickvalue=Decimal("2")),
}
DEALS = st.tuples(
    st.sampled_from(sorted(SPECS)),
    st.integers(-300, 300).filter(bool),
    st.integers(10_000, 20_000),
    st.integers(0, 40 * 86_400_000),
)
"""Symbol, hundredths of a lot, price in points, milliseconds since the deal before."""


class Account:
    """A net position at a broker: its cash flow alone says what a trade won."""

    def __init__(self):
        self.net, self.mean, self.cash, self.closed = Fraction(0), Fraction(0), Fraction(0), []

    def deal(self, lots, price):
        """Buy or sell; return the price that a terminal shows of it, None = it says nothing."""
        left = self.net + lots
        if self.net * left < 0:
            self._end(price)
        elif self.net * lots < 0:
            shown = price if price != published(self.mean) else None
            self.cash -= lots * price
            self.net = left
            if not left:
                self._end(price)
                return price
            return shown
        self.mean = (self.net * self.mean + (left - self.net) * price) / left
        self.cash -= (left - self.net) * price
        self.net = left
        return published(self.mean)

    def _end(self, price):
        self.closed.append(self.cash + self.net * price)
        self.net = self.mean = self.cash = Fraction(0)


def published(price):
    return Fraction(f"{float(price):.8f}")


def run(deals):
    """Return the record, and (symbol, lots times difference, closing) of each trade by cash."""
    trades, accounts, found, when = Trades(), {}, [], BEGIN
    unknown = set()
    for seq, (symbol, hundredths, points, later) in enumerate(deals, 1):
        spec, when = SPECS[symbol], when + later
        account = accounts.setdefault(symbol, Account())
        before, ended = account.net, len(account.closed)
        price = account.deal(Fraction(hundredths, 100), Fraction(points, 10**spec.digits))
        if price is None:
            unknown.add(symbol)
        fields = () if price is None else (("price", f"{float(price):.8f}"),)
        volume, previous = (Decimal(int(each * 100)) / 100 for each in (account.net, before))
        trades.take(Entry("gold", symbol, volume, when, seq=seq, previous=previous, fields=fields))
        if len(account.closed) > ended:
            gained = None if symbol in unknown else account.closed[-1]
            unknown.discard(symbol)
            found.append((symbol, gained, when))
    return trades, found


@given(st.lists(DEALS, max_size=25))
def test_the_record_is_what_the_cash_of_the_deals_says(deals):
    trades, cash = run(deals)
    record = results(trades.closed, trades.digits, SPECS.get)
    assert [(each.trade.symbol, each.trade.closed) for each in record] == [
        (symbol, when) for symbol, _, when in cash
    ]
    sums, total, peak, fall, months = Sums(), Fraction(0), Fraction(0), Fraction(0), {}
    for each, (symbol, gained, when) in zip(record, cash, strict=True):
        sums.add(each)
        month = f"{datetime.fromtimestamp(when / 1000, UTC):%Y-%m}"
        months.setdefault(month, [0, Fraction(0)])[0] += 1
        assert (each.points is None) == (gained is None)
        if gained is None:
            continue
        money = gained * Fraction(SPECS[symbol].tickvalue) / Fraction(SPECS[symbol].tick)
        points = gained / Fraction(each.trade.volume) * 10 ** SPECS[symbol].digits
        assert abs(Fraction(each.points) - points) < Fraction("0.11")
        assert abs(Fraction(each.money) - money) < Fraction("0.02")
        total += money
        months[month][1] += money
        peak = max(peak, total)
        fall = max(fall, peak - total)
    near = Fraction(2 * len(cash) + 1, 100)
    assert abs(Fraction(sums.total.money) - total) < near
    assert abs(Fraction(sums.total.money_drawdown) - fall) < near
    assert months.keys() == sums.months.keys()
    for month, (count, money) in months.items():
        assert sums.months[month].trades == count
        assert abs(Fraction(sums.months[month].money) - money) < near
