"""Explanation of the volumes of a view, in sentences. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime

from mtnet.services.signals.views.ledger import Key, Row
from mtnet.services.signals.views.transform import View


def explain(view: View, rows: Mapping[Key, Row], symbol: str) -> list[str]:
    """
    Explain every copy of a symbol, by the source's name for it or the view's.

    Returns:
        A sentence for each; one that says that there is none.
    """
    names = {number: source for source, number in view.numbers.items()}
    found = [
        _sentence(names.get(key.source, str(key.source)), key, row)
        for key, row in sorted(rows.items())
        if symbol in (key.symbol, row.target.symbol)
    ]
    return found or [f"No source of {view.name} holds {symbol}."]


def _sentence(source: str, key: Key, row: Row) -> str:
    ticket = f", ticket {key.ticket}" if key.ticket else ""
    start = f"{source} holds {row.volume:f} {key.symbol}{ticket}"
    if row.waits:
        return f"{start}: its size waits for a stop loss."
    if row.size is None:
        return f"{start}: nothing is copied, because {row.skipped}."
    size, lots = row.size, row.copied * row.size.k
    opened = datetime.fromtimestamp(row.opened / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    cut = "" if row.copied == abs(row.volume) else f", of which {float(row.copied):.10g} count"
    steps = f"{float(lots):.10g}, rounded toward zero to steps of {size.step:f}"
    least = f"; less than {size.min:f} is {'that' if size.force_min else 'nothing'}"
    return (
        f"{start}{cut} × {float(size.k):.10g}, decided at its opening {opened}, = {steps}"
        f"{least if size.min else ''} → {row.shown:f} {row.target.symbol}."
    )
