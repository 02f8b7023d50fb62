"""
Rules of brokers' clocks, from the time of a terminal to UTC.

Pure. `UTC+2` is always two hours ahead; `NY+7` seven hours ahead of New York, so that a trading day
begins at midnight the whole year; `Europe/Athens` is a zone of the IANA database. Of an hour that
comes twice, when summer time ends, a time is in the first.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from mtnet.errors import ConfigError
from mtnet.services.ticks.wire import encode_symbol

HOUR = 3_600_000
"""Milliseconds; no zone changes within one."""
HOURS = 65_536
"""Hours whose offset is remembered: seven years."""

MEASURED = "measured"
"""The rule of a clock that is measured by the times of receipt."""
ALL = "*"
"""Stands for all symbols that have no rule of their own."""
CONFIGURED = "configured"
"""Stands for the rules of `ticks.clock` where one is asked for."""
SOURCE = "@@"
"""The beginning of a key that names a source, as in a header of ticks."""

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
        if not available_timezones():
            raise ConfigError(
                f"The clock {text!r} needs a database of time zones, which this machine lacks: "
                "pip install tzdata."
            ) from error
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


class Clocks:
    """
    The rules of the clocks of symbols and sources.

    Args:
        rules: by symbol as on the wire, by `@@SOURCE`, which goes before, or by `*`.

    Attributes:
        measures: whether a clock is measured.

    Raises:
        ConfigError: one is no rule.
    """

    def __init__(self, rules: Mapping[str, str]) -> None:
        self._rules = {
            key: None if text == MEASURED else read_rule(text) for key, text in rules.items()
        }
        self.measures = None in self._rules.values()

    def is_measured(self, symbol: str, source: str) -> bool:
        """Return whether the clock of a tick is measured."""
        return self._rules.get(self._key(symbol, source), _unknown) is None

    def utc(self, symbol: str, source: str, time: int) -> int | None:
        """Return the UTC of a broker's time; None = its clock is measured, or has no rule."""
        rule = self._rules.get(self._key(symbol, source))
        return None if rule is None else rule(time)

    @classmethod
    def read(cls, rules: Mapping[str, str]) -> "Clocks":
        """
        Return those of `ticks.clock`, whose symbols are written as their brokers write them.

        Raises:
            ConfigError: one is no rule.
            WireError: a symbol cannot be one.
        """
        return cls(
            {
                key if key == ALL or key.startswith(SOURCE) else encode_symbol(key).decode(): text
                for key, text in rules.items()
            }
        )

    def _key(self, symbol: str, source: str) -> str:
        named = SOURCE + source
        if named in self._rules:
            return named
        return symbol if symbol in self._rules else ALL


def _unknown(time: int) -> int:
    return time
