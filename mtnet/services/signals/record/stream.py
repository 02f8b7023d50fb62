"""
Track record of a channel, entry by entry, in memory that does not grow with the record.

Pure. The point of a symbol follows from the most decimals of its prices, which are known for
certain at the end alone: a record for which they were too few is `stale`, and is made again with
what it learnt.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from mtnet.services.signals.journal.export import Proved
from mtnet.services.signals.record.rows import proof_row, trade_row
from mtnet.services.signals.record.summary import Result, Sums, results
from mtnet.services.signals.record.trades import Trades

NEWEST = 100
"""Trades that are kept; `mtnet signals record` prints all."""


class RecordStream:
    """
    State machine: proved entries of one channel in, sums and the newest trades out.

    Args:
        digits: decimals of prices that are known, by symbol.

    Attributes:
        digits: those that are known now.
        first, last: the first and the last entry; None = there was none.
    """

    def __init__(self, digits: Mapping[str, int]) -> None:
        self._trades, self._sums = Trades(), Sums()
        self._trades.digits.update(digits)
        self._used: dict[str, int] = {}
        self._newest = deque[Result](maxlen=NEWEST)
        self.first: Proved | None = None
        self.last: Proved | None = None

    @property
    def digits(self) -> Mapping[str, int]:
        return self._trades.digits

    @property
    def stale(self) -> bool:
        """Whether a trade was counted with too few decimals."""
        return any(self.digits[symbol] != digits for symbol, digits in self._used.items())

    def take(self, proved: Proved) -> None:
        """Take the next entry."""
        self.first, self.last = self.first or proved, proved
        trades = self._trades
        trades.take(proved.entry)
        if not trades.closed:
            return
        for result in results(trades.closed, trades.digits, lambda symbol: None):
            self._sums.add(result)
            self._newest.append(result)
            symbol = result.trade.symbol
            if result.points is not None:
                self._used.setdefault(symbol, trades.digits.get(symbol, 0))
        trades.closed.clear()

    def row(self, channel: str) -> dict[str, Any]:
        """Return the record as JSON values, trades newest first; there was an entry."""
        assert self.first is not None
        assert self.last is not None
        return {
            **proof_row(channel, self.first, self.last),
            "open": len(self._trades.open),
            **self._sums.row(),
            "trades": [trade_row(each) for each in reversed(self._newest)],
        }
