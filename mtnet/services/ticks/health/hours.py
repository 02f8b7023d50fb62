"""
Trading hours: since when a symbol is traded, by its calendar and the clock of its broker.

Pure. Times are milliseconds.
"""

from collections.abc import Iterator

from mtnet.services.ticks.bars.series import MAX_AHEAD
from mtnet.services.ticks.clocks.measured import measured
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.health.calendar import ALL, ALWAYS, Calendar, calendar_of
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.wire import encode_symbol, time_of

LastTick = tuple[bytes, int]
"""What follows the symbol on the wire, and when it came."""


class TradingHours:
    """
    The trading hours of symbols, as `ticks.sessions`, `ticks.holidays` and `ticks.clock` say.

    A broker whose clock has no rule is as far ahead of UTC as it was at the last tick.
    """

    def __init__(self, settings: TickSettings) -> None:
        self._settings, self._clocks = settings, Clocks.read(settings.clock)
        self._calendars: dict[str, Calendar] = {}

    def opened(self, symbol: str, last: LastTick | None, now: int) -> int | None:
        """
        Return since when a symbol is traded now, UTC; None = it is not.

        Args:
            symbol: as on the wire; `*` = those without a setting of their own.
            last: its last tick.
            now: UTC.
        """
        rule = self._clocks.rule(symbol)
        ahead = 0 if last is None else _ahead(last)
        found = self._calendar(symbol).opened(now + ahead if rule is None else rule.local(now))
        if found is None or found == ALWAYS:
            return found
        return found - ahead if rule is None else rule(found)

    def named(self) -> Iterator[str]:
        """Yield the symbols that have a setting of their own, as on the wire."""
        settings = self._settings
        for name in {*settings.sessions, *settings.holidays, *settings.clock}:
            if name != ALL and not name.startswith("@@"):
                yield encode_symbol(name).decode()

    def _calendar(self, symbol: str) -> Calendar:
        found = self._calendars.get(symbol)
        if found is None:
            made = calendar_of(symbol, self._settings.sessions, self._settings.holidays)
            found = self._calendars[symbol] = made
        return found


def _ahead(last: LastTick) -> int:
    """Return how far the clock of a broker is ahead of UTC, by a tick."""
    rest, received = last
    time = time_of(rest)
    if time is None or abs(time - received) > MAX_AHEAD:
        return 0
    return -measured([received - time])
