"""
The periods of bars, and when a bar opens.

Pure. Times are milliseconds of the broker's clock. A day begins at its midnight, a week on Sunday
and a month on its first day, as in MetaTrader.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from mtnet.durations import DAY_MS

SECOND = 1_000
MINUTE = 60_000
"""Milliseconds."""
HOUR = 60 * MINUTE
WEEK = 7 * DAY_MS
SUNDAY = 3 * DAY_MS
"""The first Sunday after the epoch, 1970-01-04."""
MONTH = 31 * DAY_MS
"""The longest one."""
DIVISORS = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)
"""Minutes of MetaTrader's periods below an hour; periods below a minute have so many seconds."""


class Period(NamedTuple):
    """
    A period.

    Attributes:
        name: such as `M5`.
        length: milliseconds; of `MN1` the most.
        part: the longest period of a fixed length within a day that its bars are made of.
    """

    name: str
    length: int
    part: int

    @property
    def base(self) -> int:
        """The length of the bars in memory that its bars are made of: a second or a minute."""
        return SECOND if self.length < MINUTE else MINUTE

    def opening(self, time: int) -> int:
        """Return when the bar opens that a time lies in."""
        if self.length == MONTH:
            return _month(time // DAY_MS)
        start = SUNDAY if self.length == WEEK else 0
        return time - (time - start) % self.length

    def following(self, opening: int) -> int:
        """Return when the next bar opens."""
        return self.opening(opening + self.length)

    def ceiling(self, time: int) -> int:
        """Return the first opening that is not before a time."""
        opening = self.opening(time)
        return opening if opening == time else self.following(opening)


@lru_cache(64)
def _month(day: int) -> int:
    date = datetime.fromtimestamp(day * DAY_MS // 1_000, UTC)
    return (day - date.day + 1) * DAY_MS


def _period(name: str, length: int) -> tuple[str, Period]:
    return name, Period(name, length, min(length, DAY_MS))


PERIODS: Mapping[str, Period] = MappingProxyType(
    dict(
        [
            *(_period(f"S{count}", count * SECOND) for count in DIVISORS),
            *(_period(f"M{count}", count * MINUTE) for count in DIVISORS),
            *(_period(f"H{count}", count * HOUR) for count in (1, 2, 3, 4, 6, 8, 12)),
            _period("D1", DAY_MS),
            _period("W1", WEEK),
            _period("MN1", MONTH),
        ]
    )
)
"""The periods by name: those of MetaTrader, and seconds."""
BASES = {PERIODS[name].length: PERIODS[name] for name in ("S1", "M1")}
"""The periods of the bars in memory, by length."""
