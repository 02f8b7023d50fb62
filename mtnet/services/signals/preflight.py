"""Checks of `[signals]` that its types cannot express."""

from collections.abc import Sequence
from typing import Any

from twisted.internet.endpoints import clientFromString

from mtnet.errors import ConfigError

ASCII = "".join(map(chr, range(32, 127)))


def check(section: Any, endpoints: Sequence[str], reactor: Any) -> None:
    """
    Check the code page, the endpoints of sources, and that each of `[signals.ports]` is listened
    on: a typing error would put positions into the wrong channel.

    Raises:
        ConfigError: one of them is wrong.
    """
    if not _is_codepage(section.codepage):
        raise ConfigError(
            f"Invalid signals.codepage {section.codepage!r}: expected a text encoding that "
            "contains ASCII. Example: cp1252"
        )
    for name, source in section.sources.items():
        _check_source(name, source.connect, reactor)
    for endpoint in section.ports:
        if endpoint not in endpoints:
            raise ConfigError(
                f'signals.ports."{endpoint}" is an endpoint of neither signals nor any; listen '
                f"names {', '.join(endpoints) or 'none'}, and the texts must be the same."
            )


def _check_source(name: str, text: str, reactor: Any) -> None:
    try:
        clientFromString(reactor, text)
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise ConfigError(
            f"Invalid signals.sources.{name}.connect {text!r}: expected a client endpoint "
            f"({error}). Example: tcp:192.0.2.7:8081"
        ) from error


def _is_codepage(name: str) -> bool:
    """Return whether a text encoding keeps ASCII, the marks of frames, as it is."""
    try:
        return ASCII.encode(name) == ASCII.encode() and ASCII.encode().decode(name) == ASCII
    except (LookupError, UnicodeError):
        return False
