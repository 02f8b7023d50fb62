"""Formats what commands print: JSON, tables, times and lengths of time; and lets them end."""

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec


def print_json(value: object) -> None:
    """Print a value as one line of JSON."""
    print(msgspec.json.encode(value).decode(), flush=True)


def print_result(arguments: Namespace, value: object, text: str) -> None:
    """Print `value` as JSON where `--json` asks for it, else `text`."""
    if arguments.json:
        print_json(value)
    else:
        print(text, flush=True)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of a table whose columns are the keys, in order of appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[column.upper() for column in columns]]
    cells += [[show(row.get(column, "")) for column in columns] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for line in cells:
        yield "  ".join(map(str.ljust, line, widths)).rstrip()


def show(value: object) -> str:
    """Return a JSON value as people write it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, list):
        return ", ".join(map(show, value)) or "-"
    return str(value)


def pairs(found: Mapping[str, object]) -> str:
    """Return a mapping as words: `EURUSD 0.25 GBPUSD -1`."""
    return " ".join(f"{key} {value}" for key, value in found.items())


def duration(seconds: float) -> str:
    """Return a length of time as people write it: `3 min 20 s`."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")]
    return " ".join([f"{number} {unit}" for number, unit in parts if number][:2]) or "0 s"


def local_time(milliseconds: object) -> str:
    """Return a time since the Unix epoch on this machine's clock; empty when it is none."""
    if not isinstance(milliseconds, int):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


def utc_minute(milliseconds: int | None) -> str:
    """Return a time since the Unix epoch in UTC, to the minute; None = `never`."""
    if not milliseconds:
        return "never"
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M} UTC"


def utc_exact(milliseconds: int | None) -> str:
    """Return a time since the Unix epoch in UTC, to the millisecond; None = `-`."""
    if milliseconds is None:
        return "-"
    seconds, rest = divmod(milliseconds, 1_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S}.{rest:03}"


class ProgressBar(Protocol):
    """
    Progress of some work.

    Attributes:
        total: how much there is; None = it is not known.
    """

    total: Any

    def update(self, n: int = 1, /) -> object:
        """Add what was done meanwhile."""


class UnseenBar:
    """A progress bar where nobody looks."""

    total: int | None = None

    def update(self, n: int = 1, /) -> None:
        """Show nothing."""


@contextmanager
def progress_bar(unit: str, total: int | None = None) -> Iterator[ProgressBar]:
    """Show a progress bar in a terminal; elsewhere nothing is imported for it."""
    if not sys.stderr.isatty():
        yield UnseenBar()
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, unit_scale=True) as bar:
        yield bar


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does: what it wrote so far is removed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
