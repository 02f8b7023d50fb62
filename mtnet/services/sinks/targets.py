"""Targets by the URLs of the configuration."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mtnet.errors import ConfigError
from mtnet.services.sinks.influx import InfluxTarget
from mtnet.services.sinks.postgres import EXAMPLE, PostgresTarget
from mtnet.services.sinks.settings import SinkSettings
from mtnet.services.sinks.target import Target

_TABLE = re.compile(r"(?:[a-z_][a-z0-9_]{0,62}\.)?[a-z_][a-z0-9_]{0,62}", re.ASCII)
"""A name that SQL takes as it is, without quotes."""


def open_target(name: str, sink: SinkSettings, timeout: float) -> Target:
    """
    Return the target of a sink; nothing is connected.

    Raises:
        ConfigError: no kind of server has such a URL, the table has no valid name, or a package
            is missing.
    """
    where = f"sinks.{name}.url"
    if not _TABLE.fullmatch(sink.table):
        raise ConfigError(
            f"sinks.{name}.table is {sink.table!r}: expected a-z, 0-9 and _, with a schema and a "
            "point before it or without. Example: market.ticks"
        )
    try:
        scheme = urlsplit(sink.url).scheme
    except ValueError as error:
        raise ConfigError(f"{where} is no URL: {error}. Example: {EXAMPLE}") from error
    if scheme in ("postgresql", "postgres"):
        return PostgresTarget(where, sink.url, sink.table, timeout)
    if scheme in ("http", "https"):
        return InfluxTarget(where, sink.url, _token(name, sink), sink.table, timeout)
    raise ConfigError(
        f"{where} begins with {scheme!r}: expected postgresql, http or https. Example: {EXAMPLE}"
    )


def _token(name: str, sink: SinkSettings) -> str:
    if not sink.token_file:
        return sink.token
    try:
        return Path(sink.token_file).read_text("utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeError) as error:
        reason: Any = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"sinks.{name}.token_file: {sink.token_file} cannot be read: {reason}."
        ) from error
