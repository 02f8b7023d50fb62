"""`mtnet ticks export`: stored ticks as text, Parquet or Arrow."""

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from mtnet.callbacks import noop
from mtnet.cli.output import terminable
from mtnet.cli.ticks.stored import check_span, chosen_symbols, progress_bar, store_path
from mtnet.errors import ClientError
from mtnet.services.ticks.clocks.rules import ALL, CONFIGURED, Clocks
from mtnet.services.ticks.export import stream
from mtnet.services.ticks.export.formats import Columns
from mtnet.services.ticks.export.parquet_stream import parquet_stream
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.storage.files import atomic_file

if TYPE_CHECKING:
    from mtnet.services.ticks.settings import TickSettings

EXTRA = ("csv", "jsonl")
"""The formats that can have more columns."""


def export(arguments: Namespace) -> None:
    """
    Write the ticks of some symbols, one symbol after another.

    Raises:
        ClientError: there are none of a symbol, the format cannot hold what is asked for, or the
            file cannot be written.
        ConfigError: `--utc` is no rule of a clock.
        JournalError: the store is damaged, or the format needs a package that is not installed.
    """
    reader = TickReader(store_path(arguments))
    known = {row["symbol"]: row["ticks"] for row in reader.symbols()}
    names = chosen_symbols(arguments.symbols, known)
    check_options(arguments, names)
    span = arguments.start, arguments.stop
    chosen = Selection([name.encode() for name in names], *span, arguments.limit)
    total = sum(known[name] for name in names) if span == (None, None) else None
    with progress_bar(total) as progress:
        write(_pieces(arguments, reader, chosen, progress), arguments.output)


def check_options(arguments: Namespace, names: list[str]) -> None:
    """
    Check that the format can hold what is asked for, and that there is a time of which it is.

    Raises:
        ClientError: that is not so.
        JournalError: the format needs a package that is not installed.
    """
    check_span(arguments)
    name = arguments.format
    if name == "mt5" and len(names) > 1:
        raise ClientError(
            f"A file of MetaTrader 5 has one symbol, not {len(names)}: export them one by one, or "
            "with --format csv."
        )
    options = [each for each in ("utc", "order", "iso") if hasattr(arguments, each)]
    if name not in EXTRA and any(getattr(arguments, each) for each in options):
        *most, last = (f"--{each}" for each in options)
        raise ClientError(
            f"{', '.join(most)} and {last} are for {' and '.join(EXTRA)}: {name} has columns of "
            "its own."
        )
    stream.check_format(name)


def _pieces(
    arguments: Namespace,
    reader: TickReader,
    chosen: Selection,
    progress: Callable[[int], object],
) -> Iterator[bytes]:
    if arguments.format == "arrow":
        return stream.arrow_stream(reader, chosen, progress)
    if arguments.format == "parquet":
        return parquet_stream(reader, chosen, working_folder, progress)
    clocks = clocks_of(arguments)
    columns = Columns(clocks, arguments.order, arguments.iso)
    return stream.text(arguments.format, reader, chosen, columns, progress)


def clocks_of(arguments: Namespace) -> Clocks | None:
    """
    Return the clocks that `--utc` asks for; without a rule, those of the configuration.

    Raises:
        ConfigError: it is no rule, or the configuration cannot be read.
    """
    if arguments.utc != CONFIGURED:
        return None if arguments.utc is None else Clocks({ALL: arguments.utc})
    return Clocks.read(settings_of(arguments).clock)


def settings_of(arguments: Namespace) -> "TickSettings":
    """
    Return the section [ticks].

    Raises:
        ConfigError: it is wrong.
    """
    from mtnet.config.loader import load_section
    from mtnet.services.ticks.settings import TickSettings

    found = load_section("ticks", TickSettings, arguments.config, os.environ, arguments.data)
    section: TickSettings = found.section("ticks")
    return section


def write(pieces: Iterator[bytes], path: Path | None) -> None:
    """
    Write to a file, or to standard output; a signal leaves neither a file nor the work of `pieces`.

    Raises:
        ClientError: the file cannot be written.
    """
    with terminable(), _output(path) as file:
        try:
            for piece in pieces:
                file.write(piece)
        finally:
            getattr(pieces, "close", noop)()


def working_folder() -> Path:
    """Make a folder for what an export as Parquet holds back: some megabytes."""
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="mtnet-"))


# Files


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
