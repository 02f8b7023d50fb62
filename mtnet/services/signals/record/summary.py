"""
Summary of a track record: by month, with the deepest fall from a peak.

Pure. Months are those of UTC, by the closing of a trade.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct

from mtnet.services.signals.model import FLAT
from mtnet.services.signals.record.trades import Trade, points, rounded
from mtnet.services.signals.reports.wire import Spec

CENTS = Decimal("0.01")
"""Money is rounded to this at the end."""
Specs = Callable[[str], Spec | None]
"""Returns how the broker of an account describes a symbol; None = it is not known."""


class Result(Struct, frozen=True):
    """
    A trade and its result.

    Attributes:
        points: for each lot; None = a price is not known.
        money: None = a price or the SPEC is not known.
    """

    trade: Trade
    points: Decimal | None
    money: Decimal | None


class Total:
    """
    Sum of results.

    Attributes:
        trades: how many were closed.
        unknown: how many of them have no known result; they count in nothing else.
        won, lost: how many.
        unpriced: how many have points and no money, for want of a SPEC.
        points, money: sums.
        drawdown, money_drawdown: the deepest fall of the sums from a peak.
    """

    def __init__(self) -> None:
        self.trades = self.unknown = self.won = self.lost = self.unpriced = 0
        self.points = self.money = self.drawdown = self.money_drawdown = FLAT
        self._peak = self._money_peak = FLAT

    def add(self, result: Result) -> None:
        """Count a result, in the order of the closings."""
        self.trades += 1
        if result.points is None:
            self.unknown += 1
            return
        self.won += result.points > 0
        self.lost += result.points < 0
        self.points += result.points
        self._peak = max(self._peak, self.points)
        self.drawdown = max(self.drawdown, self._peak - self.points)
        if result.money is None:
            self.unpriced += 1
            return
        self.money += result.money
        self._money_peak = max(self._money_peak, self.money)
        self.money_drawdown = max(self.money_drawdown, self._money_peak - self.money)

    def row(self) -> dict[str, object]:
        """Return the sums as JSON values; money is None where no trade has any."""
        priced = self.trades > self.unknown + self.unpriced
        return {
            "trades": self.trades,
            "won": self.won,
            "lost": self.lost,
            "unknown": self.unknown,
            "points": f"{self.points:f}",
            "drawdown": f"{self.drawdown:f}",
            "without_spec": self.unpriced,
            "money": f"{self.money:f}" if priced else None,
            "money_drawdown": f"{self.money_drawdown:f}" if priced else None,
        }


def results(trades: Iterable[Trade], digits: Mapping[str, int], specs: Specs) -> list[Result]:
    """
    Return the result of each trade.

    Args:
        digits: decimals of the prices that were seen, by symbol; those of a SPEC go before.
    """
    found = []
    for trade in trades:
        spec = specs(trade.symbol)
        known = {} if spec is None or spec.digits is None else {trade.symbol: spec.digits}
        found.append(Result(trade, points(trade, {**digits, **known}), _money(trade, spec)))
    return found


class Sums:
    """
    Sums of results, in the order of the closings.

    Attributes:
        total: of all.
        months: of each month, such as `2026-11`.
    """

    def __init__(self) -> None:
        self.total = Total()
        self.months: dict[str, Total] = {}

    def add(self, result: Result) -> None:
        """Count a result."""
        when = datetime.fromtimestamp(result.trade.closed / 1000, UTC)
        for each in (self.total, self.months.setdefault(f"{when:%Y-%m}", Total())):
            each.add(result)

    def row(self) -> dict[str, object]:
        """Return them as JSON values."""
        months = [{"month": name, **each.row()} for name, each in self.months.items()]
        return {"total": self.total.row(), "months": months}


def _money(trade: Trade, spec: Spec | None) -> Decimal | None:
    if trade.gained is None or spec is None or not spec.tick or not spec.tickvalue:
        return None
    return rounded(trade.gained / spec.tick * spec.tickvalue, CENTS)
