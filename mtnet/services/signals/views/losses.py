"""
Loss limits of a view: what its follower may lose before nothing is opened for it any more.

Pure: judged by REPORTs, each with its time in milliseconds since the Unix epoch, UTC.
"""

from decimal import Decimal

from msgspec import Struct
from msgspec.structs import replace

from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.views.settings import Limit, ViewSettings

APART = 10_000
"""Milliseconds between two REPORTs that must both be beyond a limit: one may be a slip."""
DAY = 86_400_000
"""Milliseconds."""


class Bases(Struct, frozen=True):
    """
    Base values that losses are measured from.

    Attributes:
        account: account and server of the REPORTs.
        day: the follower's day, counted by its broker's clock; `start` is the equity at its begin.
        peak: the highest equity.
        balance, margin: of the last REPORT; a step of the balance that leaves the margin is money
            that was paid in or out.
        beyond: since when every REPORT is beyond a limit; None = the last one is not.
    """

    account: tuple[str, str]
    day: int
    start: Decimal
    peak: Decimal
    balance: Decimal
    margin: Decimal | None = None
    beyond: int | None = None


def judge(
    settings: ViewSettings, bases: Bases | None, reported: Reported
) -> tuple[Bases | None, str]:
    """
    Take a REPORT of the follower.

    Returns:
        The bases from now on, and why nothing may be opened any more; empty = a limit holds.
    """
    report, when = reported.report, reported.time
    if report.balance is None or report.balance <= 0 or report.equity is None:
        return bases, ""
    account, day = (report.account, report.server), (when + (report.offset or 0) * 1000) // DAY
    if bases is None:
        return _begin(account, day, report.equity, report), ""
    if account != bases.account:
        fresh = _begin(account, day, report.equity, report)
        return fresh, f"the follower's account is {'@'.join(account)} now"
    bases = _moved(bases, report)
    if day != bases.day:
        bases = replace(bases, day=day, start=report.equity, beyond=None)
    bases = replace(bases, peak=max(bases.peak, report.equity))
    why = _exceeded(settings, bases, report.equity)
    if not why:
        return replace(bases, beyond=None), ""
    if bases.beyond is None:
        return replace(bases, beyond=when), ""
    return bases, why if when - bases.beyond >= APART else ""


def _begin(account: tuple[str, str], day: int, equity: Decimal, report: Report) -> Bases:
    balance = report.balance or equity
    return Bases(account, day, equity, equity, balance, report.margin)


def _moved(bases: Bases, report: Report) -> Bases:
    """Move the bases by what was paid in or out."""
    balance = report.balance or bases.balance
    same = report.margin is not None and report.margin == bases.margin
    paid = balance - bases.balance if same else Decimal(0)
    return replace(
        bases,
        start=bases.start + paid,
        peak=bases.peak + paid,
        balance=balance,
        margin=report.margin,
    )


def _exceeded(settings: ViewSettings, bases: Bases, equity: Decimal) -> str:
    for name, base in (("daily_loss", bases.start), ("max_drawdown", bases.peak)):
        text = getattr(settings, name)
        if text and base - equity >= Limit.read(text).of(base):
            return f"`{name}` {text} was reached: {base:f} became {equity:f}"
    return ""
