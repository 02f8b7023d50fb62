"""
Trading calendars: when a symbol is traded, by the clock of its broker.

Pure. Times are milliseconds. A calendar is a list of weekly sessions, and holidays on which none
opens.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from typing import NamedTuple

from mtnet.durations import DAY_MS
from mtnet.errors import ConfigError
from mtnet.services.ticks.wire import encode_symbol

ALL = "*"
"""Stands for all symbols that are not named."""
SESSIONS = "Mon-Fri 00:00-24:00"
"""The sessions of symbols without a setting: those of currencies, on a clock such as `NY+7`."""
HOLIDAYS = "01-01 12-25"
"""The holidays of symbols without a setting."""
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MINUTE = 60_000
LOOK = 7 * DAY_MS
"""For how long trading is looked back at."""
ALWAYS = -(2**62)
"""A time before all others."""

_SESSION = re.compile(
    r"(\w{3})(?:-(\w{3}))? ([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)", re.ASCII
)
_HOLIDAY = re.compile(r"(?:(\d{4})-)?(\d\d)-(\d\d)", re.ASCII)


class TradingSession(NamedTuple):
    """A session: its days (0 is Monday), its begin and its end from midnight; may end next day."""

    days: frozenset[int]
    begin: int
    end: int


class Calendar:
    """
    The trading calendar of a symbol.

    Args:
        sessions: such as `Mon-Fri 00:00-24:00`, or several with commas between.
        holidays: such as `12-25` for each year and `2026-04-03`, with blanks between.

    Raises:
        ConfigError: one cannot be read.
    """

    def __init__(self, sessions: str = SESSIONS, holidays: str = HOLIDAYS) -> None:
        self._sessions = [_session(text.strip()) for text in sessions.split(",")]
        self._holidays = frozenset(map(_holiday, holidays.split()))

    def trading(self, start: int, stop: int, utc: Callable[[int], int] = int) -> int:
        """
        Return for how long there was trading in a span.

        Args:
            utc: returns the UTC of a time: when summer time begins, there is an hour that the
                clock leaves out.
        """
        spans = self._spans(start, stop)
        return sum(max(0, utc(end) - utc(begin)) for begin, end in spans)

    def opened(self, time: int) -> int | None:
        """
        Return since when there is trading at a time, over sessions that adjoin; None = there is
        none; `ALWAYS` = for a week and longer.
        """
        start = time - LOOK
        begin, end = (self._spans(start, time + 1) or [(start, start)])[-1]
        if end <= time:
            return None
        return ALWAYS if begin == start else begin

    def _spans(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return when there is trading in a span; sessions that overlap or adjoin are one."""
        found: list[tuple[int, int]] = []
        for begin, end in sorted(self._cut_sessions(start, stop)):
            if found and begin <= found[-1][1]:
                begin, last = found.pop()
                end = max(end, last)
            found.append((begin, end))
        return found

    def _cut_sessions(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Yield the sessions of a span, each cut to it."""
        for day in range(start // DAY_MS - 1, stop // DAY_MS + 1):
            midnight = day * DAY_MS
            if self._is_holiday(day):
                continue
            for session in self._sessions:
                begin = max(start, midnight + session.begin)
                end = min(stop, midnight + session.end)
                if (day + 3) % 7 in session.days and begin < end:  # 1970-01-01 was a Thursday
                    yield begin, end

    def _is_holiday(self, day: int) -> bool:
        shown = datetime.fromtimestamp(day * DAY_MS // 1_000, UTC).date().isoformat()
        return shown in self._holidays or shown[5:] in self._holidays


def calendar_of(symbol: str, sessions: Mapping[str, str], holidays: Mapping[str, str]) -> Calendar:
    """
    Return the calendar of a symbol, which is spelt as on the wire, by `ticks.sessions` and
    `ticks.holidays`.

    Raises:
        ConfigError: it cannot be read.
    """
    return Calendar(
        _chosen(symbol, sessions, SESSIONS),
        _chosen(symbol, holidays, HOLIDAYS),
    )


def _chosen(symbol: str, settings: Mapping[str, str], default: str) -> str:
    named = {encode_symbol(name).decode(): text for name, text in settings.items() if name != ALL}
    return named.get(symbol, settings.get(ALL, default))


def _session(text: str) -> TradingSession:
    found = _SESSION.fullmatch(text)
    names = () if found is None else (found[1], found[2] or found[1])
    if found is None or not set(names) <= set(WEEKDAYS):
        raise ConfigError(
            f"Invalid session {text!r}: expected days and hours. Example: Mon-Fri 00:00-24:00."
        )
    first, last = map(WEEKDAYS.index, names)
    days = frozenset((first + each) % 7 for each in range((last - first) % 7 + 1))
    begin = (int(found[3]) * 60 + int(found[4])) * MINUTE
    end = DAY_MS if found[5] is None else (int(found[5]) * 60 + int(found[6])) * MINUTE
    return TradingSession(days, begin, end if end > begin else end + DAY_MS)


def _holiday(text: str) -> str:
    found = _HOLIDAY.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        date(int(found[1] or 2_000), int(found[2]), int(found[3]))
    except ValueError:
        raise ConfigError(
            f"Invalid holiday {text!r}: expected a day such as 12-25 or 2026-04-03."
        ) from None
    return text
