"""
Terms of the follower of a view: its money, and how its broker describes symbols.

Pure: `when` is milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, Protocol

from mtnet.services.signals.reports.registry import Described, Reported
from mtnet.services.signals.reports.wire import Report
from mtnet.services.signals.views.settings import MONEY, ViewSettings
from mtnet.services.signals.views.transform import Terms

FRESH = 60_000
"""Milliseconds for which a REPORT counts: terminals send one every few seconds."""
OF_REPORT = {"balance": "balance", "equity": "equity", "free_margin": "free"}
"""The field of REPORT that each size by money takes."""


class Known(Protocol):
    """Registry of terminals, see `mtnet.interfaces.IReports`."""

    def last_two(self, login: str, name: str) -> Sequence[Reported]:
        """Return the last REPORTs of a terminal, newest first."""

    def spec(self, login: str, name: str, symbol: str) -> Described | None:
        """Return the last SPEC of a symbol."""


def terms(settings: ViewSettings, reports: Known, symbols: Iterable[str], when: int) -> Terms:
    """
    Return what is known at one moment.

    Args:
        symbols: the source's, that may be opened.
    """
    if not settings.follower:
        return Terms(when)
    follower, provider = _terminal(settings.follower), _terminal(settings.provider)
    own = _counted(reports, follower, when)
    theirs = _counted(reports, provider, when) if settings.provider else None
    lots, contract, tick_value = {}, {}, {}
    for symbol in symbols:
        target = settings.target(symbol)
        spec = reports.spec(*follower, target)
        if spec is None:
            continue
        said = spec.spec
        lots[target] = said.min, said.max, said.step
        if said.tick and said.tickvalue:
            tick_value[target] = Fraction(said.tickvalue) / Fraction(said.tick)
        other = reports.spec(*provider, symbol) if settings.provider else None
        if other is not None and other.spec.contract and said.contract:
            contract[symbol] = Fraction(other.spec.contract) / Fraction(said.contract)
    return Terms(
        when,
        _unknown(settings, own),
        None if own is None or theirs is None else _ratio(settings, own, theirs),
        None if own is None else own.equity,
        lots,
        contract,
        tick_value,
    )


def _terminal(text: str) -> tuple[str, str]:
    login, _, name = text.partition("/")
    return login, name


def _counted(reports: Known, terminal: tuple[str, str], when: int) -> Report | None:
    """Return a REPORT that counts; one of another account than before does not."""
    found = reports.last_two(*terminal)
    if not found or not 0 <= when - found[0].time < FRESH:
        return None
    report = found[0].report
    if report.balance is None or report.balance <= 0:
        return None
    if len(found) > 1 and account(found[1].report) != account(report):
        return None
    return report


def account(report: Report) -> tuple[str, str]:
    """Return whose account a REPORT is about."""
    return report.account, report.server


def _unknown(settings: ViewSettings, own: Report | None) -> str:
    """Say why nothing may be opened; empty = it may."""
    needed = settings.size in MONEY or settings.max_drawdown or settings.daily_loss
    if own is None and needed:
        return f"{settings.follower} has sent no REPORT that counts within a minute"
    if own is not None and own.trading is False:
        return f"algorithmic trading is off in the terminal of {settings.follower}"
    return ""


def _ratio(settings: ViewSettings, own: Report, theirs: Report) -> Fraction | None:
    """Return the follower's money by the provider's, in one currency; None = not known."""
    field = OF_REPORT.get(settings.size)
    if field is None:
        return None
    ours, others = _money(own, field), _money(theirs, field)
    if ours is None or others is None:
        return None
    if own.currency == theirs.currency and own.currency:
        return Fraction(ours) / Fraction(others)
    if settings.rate is None:
        return None
    return Fraction(ours) / (Fraction(others) * Fraction(settings.rate))


def _money(report: Report, field: str) -> Decimal | None:
    found: Any = getattr(report, field)
    return found if found is not None and found > 0 else None
