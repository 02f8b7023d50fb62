"""Conditions of alerts about the accounts of terminals: drawdown, and losses of a day."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import TypeAlias

from mtnet.clock import WallClock
from mtnet.conditions import Condition, Grammar, read_condition
from mtnet.services.signals.reports.equity import DAY, Bases
from mtnet.services.signals.reports.registry import Reports, Terminal

GRAMMAR: Grammar = {
    word: partial(
        read_condition, word, units=("", "%"), example=f"{word} > 10%, or {word} bob > 500"
    )
    for word in ("drawdown", "daily_loss")
}
"""The conditions about accounts."""

Check: TypeAlias = Callable[[], Mapping[str, str]]
"""Returns what holds now: a sentence by subject."""


class AccountConditions:
    """
    Conditions about what terminals reported.

    Args:
        reports: returns what they told.
        now: wall time, milliseconds since the Unix epoch, UTC.
    """

    def __init__(self, reports: Callable[[], Reports], now: WallClock) -> None:
        self._reports, self._now = reports, now

    def conditions(self) -> dict[str, Callable[[str], Check]]:
        """Return the words, see `mtnet.interfaces.IAlertConditions`."""
        return {word: partial(self._loss, word) for word in GRAMMAR}

    def _loss(self, word: str, text: str) -> Check:
        wanted = GRAMMAR[word](text)
        return lambda: dict(self._losses(word, wanted))

    def _losses(self, word: str, wanted: Condition) -> Iterator[tuple[str, str]]:
        now = self._now()
        for terminal in self._reports():
            name = "/".join(filter(None, (terminal.login, terminal.name)))
            base = _base(word, terminal, now)
            if base is None or wanted.subject not in ("", terminal.login, name):
                continue
            start, equity = base
            lost = start - equity
            if wanted.holds(lost * 100 / start if wanted.unit else lost):
                since = "today" if word == "daily_loss" else "from its peak"
                yield name, f"{name} has lost {lost:f} of {start:f} {since}."


def _base(word: str, terminal: Terminal, now: int) -> tuple[Decimal, Decimal] | None:
    """Return what a loss is measured from, and the equity; None = neither is known."""
    bases, last = terminal.bases, terminal.last
    if bases is None or last is None or last.report.equity is None:
        return None
    if word == "daily_loss" and not _is_today(bases, last.report.offset or 0, now):
        return None
    start = bases.start if word == "daily_loss" else bases.peak
    return (start, last.report.equity) if start > 0 else None


def _is_today(bases: Bases, offset: int, now: int) -> bool:
    return (now + offset * 1000) // DAY == bases.day
