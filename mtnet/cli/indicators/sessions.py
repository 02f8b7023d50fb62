"""`mtnet indicators tail` and `mtnet indicators export`."""

import csv
import sys
from argparse import Namespace
from io import StringIO
from pathlib import Path

from msgspec import json

from mtnet.cli import remote
from mtnet.cli.output import print_json, utc_exact
from mtnet.client.core.tasks.indicators import (
    Fetching,
    Following,
    History,
    IndicatorCore,
)
from mtnet.errors import ClientError
from mtnet.services.indicators.wire import Series, Value
from mtnet.storage.files import atomic_file

TIMEOUT = 60.0
"""Seconds until all values must have come: 5,000 bars are 1 MB."""


def tail(arguments: Namespace) -> None:
    """Print values until the time is over or stdout is closed."""
    watch = remote.StreamReporter(arguments.server)
    handle = remote.reported(
        watch, {Value: lambda value: watch.emit(lambda: _print(value, arguments.json))}
    )
    core = IndicatorCore(Following(_series(arguments), arguments.bars), arguments.account)
    remote.stream(arguments, core, watch, handle)


def export(arguments: Namespace) -> None:
    """
    Write the last values.

    Raises:
        ClientError: they are refused, there are none, or the file cannot be written.
    """
    series = _series(arguments)
    core = IndicatorCore(Fetching(series, arguments.bars), arguments.account)
    late = f"Not answered within {TIMEOUT:g} s."
    found = remote.ask(arguments, core, History, TIMEOUT, late)
    if not found.values:
        raise ClientError(f"There are no values of {series}; `mtnet indicators list` lists them.")
    form = _csv if arguments.format == "csv" else _lines
    _write(form(found.values), arguments.output)


def _series(arguments: Namespace) -> Series:
    return Series(arguments.name, arguments.symbol, arguments.period)


def _print(value: Value, as_json: bool) -> None:
    if as_json:
        print_json(_row(value))
        return
    items = " ".join(item or "-" for item in value.values)
    print(f"{_time(value)} {items}{' (open)' if value.open else ''}", flush=True)


def _row(value: Value) -> dict[str, object]:
    return {"bar": value.bar, "values": [item or None for item in value.values], "open": value.open}


def _time(value: Value) -> str:
    """Return the opening of the bar by the broker's clock."""
    return utc_exact(value.bar)[:19]


def _csv(values: list[Value]) -> str:
    buffers = max(len(each.values) for each in values)
    text = StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["bar", "time", "open", *(f"buffer{number}" for number in range(buffers))])
    for each in values:
        rows.writerow([each.bar, _time(each), int(each.open), *each.values])
    return text.getvalue()


def _lines(values: list[Value]) -> str:
    return "".join(f"{json.encode(_row(each)).decode()}\n" for each in values)


def _write(text: str, path: Path | None) -> None:
    """Write to standard output, or into a file that is there once it is whole."""
    if path is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        with atomic_file(path.resolve(), 0o666) as file:
            file.write(text.encode())
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}.") from error
