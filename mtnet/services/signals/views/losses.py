"""
Loss limits of a view: what its follower may lose before nothing is opened for it any more.

Pure: judged by REPORTs, each with its time in milliseconds since the Unix epoch, UTC.
"""

from decimal import Decimal

from msgspec.structs import replace

from mtnet.services.signals.reports.equity import Bases, track
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.views.settings import Limit, ViewSettings

APART = 10_000
"""Milliseconds between two REPORTs that must both be beyond a limit: one may be a slip."""


def judge(
    settings: ViewSettings,
    bases: Bases | None,
    reported: Reported,
    moves: tuple[int, int] | None = None,
) -> tuple[Bases | None, str]:
    """
    Take a REPORT of the follower.

    Args:
        moves: what the view had told it, and what it had acknowledged, by then; see `track`.

    Returns:
        The bases from now on, and why nothing may be opened any more; empty = a limit holds.
    """
    report, when = reported.report, reported.time
    now = track(bases, report, when, moves)
    if now is None or now is bases or report.equity is None:
        return bases, ""
    if bases is not None and now.account != bases.account:
        return now, f"the follower's account is {'@'.join(now.account)} now"
    why = "" if bases is None else _exceeded(settings, now, report.equity)
    if not why:
        return replace(now, beyond=None), ""
    if now.beyond is None:
        return replace(now, beyond=when), ""
    return now, why if when - now.beyond >= APART else ""


def _exceeded(settings: ViewSettings, bases: Bases, equity: Decimal) -> str:
    for name, base in (("daily_loss", bases.start), ("max_drawdown", bases.peak)):
        text = getattr(settings, name)
        if text and base - equity >= Limit.read(text).of(base):
            return f"`{name}` {text} was reached: {base:f} became {equity:f}"
    return ""
