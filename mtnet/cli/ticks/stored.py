"""The commands of `mtnet ticks` on the stored ticks."""

import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from mtnet.cli import local
from mtnet.cli.output import print_result, table, utc_exact
from mtnet.cli.ticks.formats import FORMATS
from mtnet.errors import ClientError
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.storage.files import atomic_file

if TYPE_CHECKING:
    from mtnet.services.ticks.files.importer import Importer


def export(arguments: Namespace) -> None:
    """
    Write the ticks of one symbol.

    Raises:
        ClientError: there are none of that symbol, or the file cannot be written.
        JournalError: the store is damaged.
    """
    from mtnet.client.core.prices.ticks import wire_symbol

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
    from mtnet.client.core.prices.ticks import wire_symbol
    from mtnet.clock import system_time
    from mtnet.daemon.datadir import make_folder
    from mtnet.services.ticks.files import mt5
    from mtnet.services.ticks.files.importer import Importer

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


def _print_counts(importer: "Importer") -> None:
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
