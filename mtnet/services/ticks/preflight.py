"""Checks of `[ticks]` beyond types."""

from typing import Any

from mtnet.errors import ConfigError, WireError
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.health.calendar import ALL, calendar_of
from mtnet.services.ticks.wire import encode_symbol, spaced_symbols_table


def check(section: Any) -> None:
    """
    Check the symbols, clocks and calendars that are named.

    Raises:
        ConfigError: one cannot be a symbol, or a rule cannot be read.
    """
    for name in ("spaced_symbols", "bars_of_last"):
        try:
            spaced_symbols_table(getattr(section, name))
        except WireError as error:
            raise ConfigError(f"ticks.{name}: {error}.") from error
    for symbol in section.retain:
        try:
            encode_symbol(symbol)
        except WireError as error:
            raise ConfigError(f"ticks.retain: {error}.") from error
    try:
        Clocks.read(section.clock)
        for symbol in {*section.sessions, *section.holidays}:
            name = symbol if symbol == ALL else encode_symbol(symbol).decode()
            calendar_of(name, section.sessions, section.holidays)
    except WireError as error:
        raise ConfigError(f"ticks.clock, ticks.sessions or ticks.holidays: {error}.") from error
