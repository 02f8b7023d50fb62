"""
Rules of brokers' clocks, from the time of a terminal to UTC.

Pure. `UTC+2` is always two hours ahead; `NY+7` seven hours ahead of New York, so that a trading day
begins at midnight the whole year; `Europe/Athens` is a zone of the IANA database. Of an hour that
comes twice, when summer time ends, a time is in the first.
"""

import re
from collections.abc import Mapping
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

_RULE = re.compile(r"(UTC|NY)(?:([+-]\d{1,2})(?::(\d\d))?)?", re.ASCII)


class Rule:
    """
    The clock of a broker.

    Args:
        zone: of which it is so far ahead.
        ahead: milliseconds.
    """

    def __init__(self, zone: tzinfo, ahead: int) -> None:
        self._ahead = ahead

        @lru_cache(HOURS)
        def of_local(hour: int) -> int:
            return _offset(datetime.fromtimestamp(hour * HOUR / 1_000, UTC).replace(tzinfo=zone))

        self._of_local = of_local
        self._zone = zone

    def __call__(self, time: int) -> int:
        """Return milliseconds since the Unix epoch, UTC, for those of the clock."""
        local = time - self._ahead
        return local - self._of_local(local // HOUR)

    def local(self, utc: int) -> int:
        """Return milliseconds of the clock for those of UTC."""
        return utc + self._ahead + _offset(datetime.fromtimestamp(utc / 1_000, self._zone))


def _offset(moment: datetime) -> int:
    found = moment.utcoffset() or timedelta()
    return round(found.total_seconds() * 1_000)


def read_rule(text: str) -> Rule:
    """
    Return the clock of a rule.

    Raises:
        ConfigError: it is none.
    """
    found = _RULE.fullmatch(text)
    if found is None:
        return Rule(_zone(text, text), 0)
    hours, minutes = int(found[2] or 0), int(found[3] or 0)
    ahead = hours * HOUR + (-minutes if hours < 0 else minutes) * 60_000
    return Rule(UTC if found[1] == "UTC" else _zone("America/New_York", text), ahead)


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
        key = self._key(symbol, source)
        return key in self._rules and self._rules[key] is None

    def is_by_source(self, symbol: str) -> bool:
        """Return whether the clock of a symbol depends on who sent its ticks, or is measured."""
        has_sources = any(key.startswith(SOURCE) for key in self._rules)
        return has_sources or self.is_measured(symbol, "")

    def utc(self, symbol: str, source: str, time: int) -> int | None:
        """Return the UTC of a broker's time; None = its clock is measured, or has no rule."""
        rule = self.rule(symbol, source)
        return None if rule is None else rule(time)

    def rule(self, symbol: str, source: str = "") -> Rule | None:
        """Return the rule of a clock; None = it is measured, or has none."""
        return self._rules.get(self._key(symbol, source))

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
