"""`mtnet ticks`: values live, and read from and written into the data folder."""

import re
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from calendar import timegm
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.cli import local, parsers, remote, ticks_send
from mtnet.cli.output import print_json, print_result, table, utc_exact
from mtnet.client import Tick, subscribe
from mtnet.client.core.prices.ticks import wire_symbol
from mtnet.clock import system_time
from mtnet.daemon.datadir import make_folder
from mtnet.errors import ClientError
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.storage.reader import Stored, TickReader
from mtnet.services.ticks.wire import ABSENT, FIELDS, pad
from mtnet.storage.files import atomic_file

if TYPE_CHECKING:
    from mtnet.cli.parsers import Commands

SERVER = "tcp:127.0.0.1:8082"
"""The daemon's default endpoint."""
HOUR = 3_600_000
"""Milliseconds."""
CSV = "symbol,bid,ask,last,volume,time,flags,received,source\r\n"

_MOMENT = re.compile(
    r"(\d{4})[.-](\d\d)[.-](\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,3}))?)?)?", re.ASCII
)
_JSON_ZEROS = re.compile(r"^(-?)0+(?=\d)")

Writer = Callable[[str, Stored], bytes]


# Command line


def configure(parser: ArgumentParser) -> None:
    """Add the commands of `mtnet ticks`."""
    parser.description = "Sends and receives ticks, and reads and fills the store."
    ticks = parsers.group(parser)
    summary = "print ticks as they arrive, until Ctrl-C"
    tail = remote.add(ticks, "tail", tail_ticks, SERVER, summary, "EURUSD GBPUSD")
    tail.add_argument("symbols", metavar="SYMBOL", nargs="*", help="default: all of them")
    tail.add_argument(
        "--seconds", metavar="N", type=remote.seconds, help="stop after this many seconds"
    )
    ticks_send.configure(ticks, SERVER)
    _configure_export(ticks)
    _configure_import(ticks)
    parsers.add_json(local.add(ticks, "symbols", list_symbols, "list the stored symbols"))
    summary = "show what each source sent, and which ticks are missing"
    parsers.add_json(local.add(ticks, "report", report, summary, "--json"))


def _configure_export(commands: "Commands") -> None:
    summary, example = (
        "write the ticks of a symbol, in order",
        "EURUSD --from 2019.02.04 -o EURUSD.csv",
    )
    parser = local.add(commands, "export", export, summary, example)
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument(
        "--format", choices=sorted(FORMATS), default="mt5", help="default: as MetaTrader 5 exports"
    )
    moment = "a day such as 2019.02.04, optionally with ' 12:30:00.000', or milliseconds"
    parser.add_argument("--from", dest="start", metavar="T", type=_moment, help=moment)
    parser.add_argument("--to", dest="stop", metavar="T", type=_moment, help="up to, not with")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="the file to write")


def _configure_import(commands: "Commands") -> None:
    summary = "store the ticks of a file that MetaTrader 5 exported, each once"
    parser = local.add(commands, "import", import_ticks, summary, "EURUSD.csv --symbol EURUSD")
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="plain, gzip, or the only file in a zip archive"
    )
    parser.add_argument("--symbol", metavar="SYMBOL", required=True)
    parser.add_argument(
        "--shift-hours",
        dest="shift",
        metavar="N",
        type=_shift,
        default=0,
        help="hours to add to each time, for example -2 or 5.5",
    )


def _moment(text: str) -> int:
    """Read a moment as milliseconds."""
    if text.isascii() and text.isdigit() and len(text) > len("20190204"):
        return int(text)
    found = _MOMENT.fullmatch(text)
    try:
        if found is None:
            raise ValueError
        year, month, day, hour, minute, second = (int(each or 0) for each in found.groups()[:6])
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        raise ArgumentTypeError(
            f"invalid time {text}, expected one such as 2019.02.04 or '2019-02-04 12:30:00.000'"
        ) from None
    return timegm(moment.timetuple()) * 1_000 + int((found[7] or "").ljust(3, "0"))


def _shift(text: str) -> int:
    """Read hours as milliseconds."""
    hours = float(text)
    if not abs(hours) <= 24 * 366:
        raise ArgumentTypeError(f"invalid number of hours {text}, expected at most a year")
    return round(hours * HOUR)


# Commands


async def tail_ticks(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Print ticks until the time is over or stdout is closed."""
    ended: Deferred[None] = Deferred()
    watch = remote.StreamReporter(ended, arguments.server)
    service = subscribe(
        server,
        arguments.symbols or ["*"],
        lambda tick: watch.emit(lambda: _print(tick, arguments.json)),
        clock,
        on_connected=watch.connected,
        on_lost=watch.lost,
        on_error=lambda text: _refused(watch, text),
        login=arguments.account,
    )
    await remote.run_until(service, ended, watch, clock, arguments.seconds)


def _refused(watch: remote.StreamReporter, text: str) -> None:
    code, _, sentence = text.partition(" ")
    if code == "denied" and not watch.answered:  # nothing is subscribed: there will be no tick
        watch.fail(f"{sentence}.")
    else:
        watch.refused(text)


def export(arguments: Namespace) -> None:
    """
    Write the ticks of one symbol.

    Raises:
        ClientError: there are none of that symbol, or the file cannot be written.
        JournalError: the store is damaged.
    """
    archive, symbol = TickReader(_store(arguments)), wire_symbol(arguments.symbol).decode()
    known = [row["symbol"] for row in archive.symbols()]
    if symbol not in known:
        near = ", ".join(get_close_matches(symbol, known)) or "`mtnet ticks symbols` lists them"
        raise ClientError(f"There are no ticks of {symbol}. Stored symbols: {near}.")
    header, write = FORMATS[arguments.format]
    with _output(arguments.output) as file:
        file.write(header)
        for tick in archive.ticks(symbol.encode(), arguments.start, arguments.stop):
            file.write(write(symbol, tick))


def import_ticks(arguments: Namespace) -> None:
    """
    Store the ticks of a file.

    Raises:
        ClientError: a line of it cannot be read.
        JournalError: the store is damaged, or takes nothing.
    """
    path = _store(arguments)
    make_folder(path.parent)
    symbol = wire_symbol(arguments.symbol)
    importer = Importer(path, symbol, system_time())
    whole = False
    try:
        with _progress() as progress:
            importer.run(lambda: mt5.rows(arguments.file, arguments.shift), progress)
        whole = True
    finally:
        if whole or importer.added or importer.known:
            _print_counts(importer)


def _print_counts(importer: Importer) -> None:
    total = importer.added + importer.known
    print(f"{total} ticks, {importer.added} new, {importer.known} there already.", flush=True)
    if importer.unsorted is not None:
        print(f"Line {importer.unsorted} goes back in time: the ticks were sorted.", flush=True)


def list_symbols(arguments: Namespace) -> None:
    """Print the stored symbols."""
    found = TickReader(_store(arguments)).symbols()
    rows = _readable(found, DATES)
    print_result(arguments, found, "\n".join(table(rows)) if rows else "No tick is stored.")


def report(arguments: Namespace) -> None:
    """Print what each source sent, and which ticks are missing."""
    found = TickReader(_store(arguments)).report()
    print_result(arguments, found, "\n".join(_describe(found)))


def _describe(found: dict[str, Any]) -> Iterator[str]:
    for name, dates in (("sources", DATES), ("symbols", DATES), ("gaps", ("found",))):
        if found[name]:
            yield f"{name}:"
            yield from (f"  {line}" for line in table(_readable(found[name], dates)))
    totals = found["totals"]
    yield (
        f"{totals['stored']} ticks taken and stored, {totals['lost']} lost when the daemon was "
        f"killed, {totals['kernel drops']} datagrams dropped by the kernel."
    )


DATES = ("first", "last")
"""The columns that hold times; those of gaps are numbers."""


def _readable(rows: Iterable[dict[str, Any]], dates: tuple[str, ...]) -> list[dict[str, Any]]:
    shown = []
    for row in rows:
        values = {key: utc_exact(value) if key in dates else value for key, value in row.items()}
        if "silence" in values:
            values["silence"] = f"{row['silence'] / 1_000:.3f} s"
        shown.append(values)
    return shown


# Formats


def _csv(symbol: str, tick: Stored) -> bytes:
    values = ["" if each == ABSENT else each.decode() for each in pad(tick.rest)]
    # Stored symbols have no comma, but may have a quotation mark.
    name = '"{}"'.format(symbol.replace('"', '""')) if '"' in symbol else symbol
    return f"{','.join([name, *values, str(tick.received), tick.source])}\r\n".encode()


def _jsonl(symbol: str, tick: Stored) -> bytes:
    values = [_json_number(each.decode()) for each in pad(tick.rest)]
    row = {"symbol": symbol, **dict(zip(FIELDS, values, strict=True))}
    return msgspec.json.encode({**row, "received": tick.received, "source": tick.source}) + b"\n"


def _json_number(text: str | None) -> msgspec.Raw | None:
    """Return a number as JSON writes it, with the digits that were sent."""
    if text is None or text == ABSENT.decode():
        return None
    return msgspec.Raw(_JSON_ZEROS.sub(r"\1", text).encode())


FORMATS: dict[str, tuple[bytes, Writer]] = {
    "mt5": (mt5.HEADER, lambda symbol, tick: mt5.format_row(tick.time, tick.rest)),
    "csv": (CSV.encode(), _csv),
    "jsonl": (b"", _jsonl),
}


def _print(tick: Tick, as_json: bool) -> None:
    if as_json:
        numbers = {name: _json_number(getattr(tick, name)) for name in FIELDS[:4]}
        print_json({**tick._asdict(), **numbers})
        return
    values = ["-" if each is None else str(each) for each in tick[1:7]]
    skipped = f" ({tick.skipped} skipped)" if tick.skipped else ""
    print(f"{utc_exact(tick.received)} {tick.symbol} {' '.join(values)}{skipped}", flush=True)


# Files


def _store(arguments: Namespace) -> Path:
    return local.folder(arguments) / "ticks.sqlite"


@contextmanager
def _output(path: Path | None) -> Iterator[BinaryIO]:
    """Open standard output, or a file that is there once it is whole."""
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with _in_place(path) as file:
            yield file
    except OSError as error:
        raise ClientError(f"{path} cannot be written: {error.strerror}.") from error


@contextmanager
def _in_place(path: Path) -> Iterator[BinaryIO]:
    if path.exists() and not path.is_file():
        # A device or a pipe must not be replaced.
        with path.open("wb") as file:
            yield file
        return
    with atomic_file(path.resolve(), 0o666) as file:
        yield file


@contextmanager
def _progress() -> Iterator[Callable[[int], object]]:
    """Show a progress bar in a terminal."""
    from tqdm import tqdm

    with tqdm(unit=" ticks", unit_scale=True, disable=not sys.stderr.isatty()) as bar:
        yield bar.update
