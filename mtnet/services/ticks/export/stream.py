"""
Exports of ticks as a stream of bytes, some milliseconds of work at a time.

Blocking, and of constant memory: for a thread, or for a command.
"""

from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from itertools import islice
from typing import Any, NamedTuple

from mtnet.callbacks import noop
from mtnet.errors import MissingPackageError
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.export.formats import PLAIN, Columns, text_format
from mtnet.services.ticks.export.frames import to_arrow
from mtnet.services.ticks.export.table import INSTALL, arrow, parsed
from mtnet.services.ticks.storage.reader import Stored, TickReader
from mtnet.services.ticks.wire import plain_symbol

TYPES = {
    "csv": "text/csv",
    "mt5": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""The formats, and their media types."""
ROWS = 1_000
"""Rows of text that are made at once: 5 ms."""
BATCH = 8_192
"""Rows of a record batch of Arrow."""

_NOTHING = Stored(0, b"0", 0, "")

Progress = Callable[[int], object]
"""Is called with the number of ticks that were written since."""


class Selection(NamedTuple):
    """
    The ticks of an export.

    Attributes:
        symbols: as on the wire; one after another.
        start, stop: order times; `start` is included, `stop` is not, None = without an end.
        limit: how many ticks, at most; None = all.
    """

    symbols: Sequence[bytes]
    start: int | None = None
    stop: int | None = None
    limit: int | None = None

    def ticks(self, reader: TickReader) -> Iterator[tuple[bytes, Iterator[Stored]]]:
        """Yield each symbol, and its ticks; they have to be read before the next symbol."""
        left = self.limit
        for symbol in self.symbols:
            found = reader.ticks(symbol, self.start, self.stop)
            if left is None:
                yield symbol, found
                continue
            counted = _Counted(islice(found, left))
            yield symbol, counted
            left -= counted.count


class _Counted(Iterator[Stored]):
    def __init__(self, ticks: Iterator[Stored]) -> None:
        self._ticks, self.count = ticks, 0

    def __next__(self) -> Stored:
        found = next(self._ticks)
        self.count += 1
        return found


def check_format(name: str) -> None:
    """
    Check that what a format needs is installed.

    Raises:
        MissingPackageError: it is not.
    """
    if name == "arrow" and arrow() is None:
        raise MissingPackageError(f"Arrow needs pyarrow: {INSTALL}.")
    if name == "parquet" and not parquet.available():
        raise MissingPackageError(f"Parquet files need DuckDB: {parquet.INSTALL}.")


def text(
    name: str,
    reader: TickReader,
    chosen: Selection,
    columns: Columns = PLAIN,
    progress: Progress = noop,
) -> Iterator[bytes]:
    """Yield the rows of `csv`, `mt5` or `jsonl`."""
    header, write = text_format(name, columns)
    if header:
        yield header
    for symbol, ticks in chosen.ticks(reader):
        spelt = symbol.decode()
        found = columns.ticks(spelt, ticks)
        while rows := [write(spelt, row) for row in islice(found, ROWS)]:
            progress(len(rows))
            yield b"".join(rows)


def arrow_stream(
    reader: TickReader, chosen: Selection, progress: Progress = noop
) -> Iterator[bytes]:
    """
    Yield a stream of Arrow (IPC): batches of the columns of a table, with `symbol` in front.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    check_format("arrow")
    from pyarrow import ipc

    sink = BytesIO()
    with ipc.new_stream(sink, _table(b"", [_NOTHING]).schema) as writer:
        for symbol, ticks in chosen.ticks(reader):
            while rows := list(islice(ticks, BATCH)):
                writer.write_table(_table(symbol, rows))
                progress(len(rows))
                yield take_written(sink)
    yield take_written(sink)


def _table(symbol: bytes, rows: list[Stored]) -> Any:
    import pyarrow as pa

    records, times = [row.rest for row in rows], [row.received for row in rows]
    found = to_arrow(parsed(records, times, [row.source for row in rows]))
    source = found["source"].cast(pa.string())
    names = pa.array([plain_symbol(symbol)] * len(rows), pa.string())
    found = found.set_column(found.column_names.index("source"), "source", source)
    return found.add_column(0, "symbol", names)


def take_written(sink: BytesIO) -> bytes:
    """Return what was written, and forget it."""
    data = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return data
