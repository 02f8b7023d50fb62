"""
Parts of a track record as JSON values: its proof, and its trades.

Pure. Times are milliseconds since the Unix epoch, UTC; prices, volumes and money are texts.
"""

from typing import Any

from mtnet.services.signals.journal.export import Proved
from mtnet.services.signals.record.summary import Result


def proof_row(channel: str, first: Proved, last: Proved) -> dict[str, Any]:
    """Return what anybody needs to check a record against an export: `--format chain`."""
    return {
        "channel": channel,
        "epoch": last.epoch,
        "first": first.entry.seq,
        "last": last.entry.seq,
        "before": first.before.hex(),
        "hash": last.hash.hex(),
        "from": first.entry.when,
        "to": last.entry.when,
        "complete": first.entry.seq == 1,
    }


def trade_row(result: Result) -> dict[str, Any]:
    """Return a trade and its result."""
    trade = result.trade
    texts = {"opening": trade.opening, "closing": trade.closing}
    return {
        "symbol": trade.symbol,
        "ticket": trade.ticket,
        "side": trade.side,
        "volume": f"{trade.volume:f}",
        "opened": trade.opened,
        "closed": trade.closed,
        **{name: None if price is None else f"{price:.10g}" for name, price in texts.items()},
        "points": None if result.points is None else f"{result.points:f}",
        "money": None if result.money is None else f"{result.money:f}",
        "parts": trade.parts,
        "first": trade.first or None,
        "last": trade.last,
    }
