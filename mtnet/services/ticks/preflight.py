"""Checks of `[ticks]` beyond types."""

from typing import Any

from mtnet.errors import ConfigError, WireError
from mtnet.services.ticks.wire import spaced_symbols_table


def check(section: Any) -> None:
    """
    Check the symbols that contain blanks.

    Raises:
        ConfigError: one cannot be a symbol.
    """
    try:
        spaced_symbols_table(section.spaced_symbols)
    except WireError as error:
        raise ConfigError(f"ticks.spaced_symbols: {error}.") from error
