"""
Equity of a terminal's account: what losses are measured from.

Pure: REPORTs with their times in milliseconds since the Unix epoch, UTC.
"""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from mtnet.services.signals.reports.wire import Report

DAY = 86_400_000
"""Milliseconds."""


class Bases(Struct, frozen=True):
    """
    Base values that losses are measured from.

    Attributes:
        account: account and server of the REPORTs.
        day: of the account, counted by its broker's clock; `start` is the equity at its begin.
        peak: the highest equity.
        balance, margin: of the last REPORT; a step of the balance that leaves the margin is money
            that was paid in or out, unless the account may have traded meanwhile.
        moves: what it had been asked to trade by then; None = that is not known.
        beyond: since when every REPORT is beyond a limit; None = the last one is not.
    """

    account: tuple[str, str]
    day: int
    start: Decimal
    peak: Decimal
    balance: Decimal
    margin: Decimal | None = None
    beyond: int | None = None
    moves: tuple[int, int] | None = None


def track(
    bases: Bases | None, report: Report, when: int, moves: tuple[int, int] | None = None
) -> Bases | None:
    """
    Return the bases behind a REPORT; another account begins anew.

    A REPORT without balance and equity changes nothing.

    Args:
        moves: what the account was asked to trade until now, in counts that only grow. While they
            grow, a step of the balance is no payment: a loss may have been opened and closed.
    """
    if report.balance is None or report.balance <= 0 or report.equity is None:
        return bases
    account, day = (report.account, report.server), (when + (report.offset or 0) * 1000) // DAY
    if bases is None or account != bases.account:
        equity = report.equity
        return Bases(account, day, equity, equity, report.balance, report.margin, moves=moves)
    bases = _moved(bases, report, moves)
    if day != bases.day:
        bases = replace(bases, day=day, start=report.equity, beyond=None)
    return replace(bases, peak=max(bases.peak, report.equity))


def _moved(bases: Bases, report: Report, moves: tuple[int, int] | None) -> Bases:
    """Move the bases by what was paid in or out."""
    balance = report.balance or bases.balance
    same = report.margin is not None and (report.margin, moves) == (bases.margin, bases.moves)
    paid = balance - bases.balance if same else Decimal(0)
    return replace(
        bases,
        start=bases.start + paid,
        peak=bases.peak + paid,
        balance=balance,
        margin=report.margin,
        moves=moves,
    )
