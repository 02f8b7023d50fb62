"""
Rules of brokers' clocks, from the time of a terminal to UTC.

Pure. `UTC+2` is always two hours ahead; `NY+7` seven hours ahead of New York, so that a trading day
begins at midnight the whole year; `Europe/Athens` is a zone of the IANA database.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from mtnet.errors import ConfigError

HOUR = 3_600_000
"""Milliseconds; no zone changes within one."""
HOURS = 65_536
"""Hours whose offset is remembered: seven years."""

ToUtc = Callable[[int], int]
"""Returns milliseconds since the Unix epoch, UTC, for those of a broker's clock."""

_RULE = re.compile(r"(UTC|NY)(?:([+-]\d{1,2})(?::(\d\d))?)?", re.ASCII)


def read_rule(text: str) -> ToUtc:
    """
    Return the function of a rule.

    Raises:
        ConfigError: it is none.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        return _converter(_zone(text, text), 0)
    hours, minutes = int(found[2] or 0), int(found[3] or 0)
    ahead = hours * HOUR + (-minutes if hours < 0 else minutes) * 60_000
    return _converter(UTC if found[1] == "UTC" else _zone("America/New_York", text), ahead)


def _zone(name: str, text: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"Invalid clock {text!r}: expected UTC+2, NY+7 or a zone such as Europe/Athens."
        ) from error


def _converter(zone: tzinfo, ahead: int) -> ToUtc:
    @lru_cache(HOURS)
    def offset(hour: int) -> int:
        local = datetime.fromtimestamp(hour * HOUR / 1_000, UTC).replace(tzinfo=zone)
        found = local.utcoffset() or timedelta()
        return round(found.total_seconds() * 1_000)

    def convert(time: int) -> int:
        local = time - ahead
        return local - offset(local // HOUR)

    return convert
