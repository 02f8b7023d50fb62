"""Checks of `[ticks]` beyond types."""

from typing import Any

from mtnet.errors import ConfigError, WireError
from mtnet.services.ticks.wire import encode_symbol, spaced_symbols_table


def check(section: Any) -> None:
    """
    Check the symbols that are named.

    Raises:
        ConfigError: one cannot be a symbol.
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
