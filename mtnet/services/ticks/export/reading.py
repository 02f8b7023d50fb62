"""Reads both stores into columns of numbers: blocks and Parquet files, in one snapshot."""

from pathlib import Path

from mtnet.errors import JournalError
from mtnet.services.ticks.cold.catalog import ColdFile, files_of
from mtnet.services.ticks.cold.layout import FOLDER
from mtnet.services.ticks.export.parquet_reader import Part, tables_of_files
from mtnet.services.ticks.export.table import Table, joined, table_of_blocks
from mtnet.services.ticks.storage.overlay import hot_blocks, show, snapshot_with_log
from mtnet.services.ticks.storage.reader import EARLIEST, LATEST
from mtnet.services.ticks.storage.snapshot import snapshot

_BLOCKS = """
SELECT block.id, data FROM block JOIN symbol ON symbol.id = block.symbol
WHERE name = ? AND block.last >= ? AND block.first < ? ORDER BY block.id
"""


def read_table(
    path: Path, symbol: bytes, start: int | None = None, stop: int | None = None
) -> Table:
    """
    Return the ticks of a symbol that are stored now, in order.

    Args:
        path: the file of SQLite.
        start, stop: order times; `start` is included, `stop` is not.

    Raises:
        JournalError: NumPy is not installed, or a store is damaged.
    """
    low, high = EARLIEST if start is None else start, LATEST if stop is None else stop
    asked = (symbol.decode(), low, high)
    while True:
        with snapshot_with_log(path) as (connection, segments):
            blocks = connection.execute(_BLOCKS, asked).fetchall()
            files = files_of(connection, *asked)
            show(connection, segments)
            names = dict(connection.execute("SELECT id, name FROM source").fetchall())
        blocks += [(number, data) for number, _, data in hot_blocks(symbol, segments, low, high)]
        try:
            tables = tables_of_files(_parts(path, files), low, high)
        except FileNotFoundError as error:
            with snapshot(path) as connection:
                if files_of(connection, *asked) == files:
                    raise JournalError(f"{error.filename} is gone: ticks are missing.") from error
            continue
        return joined(tables + table_of_blocks(map(tuple, blocks), names), low, high)


def _parts(path: Path, files: list[ColdFile]) -> list[Part]:
    return [Part(each.path(path.parent / FOLDER), not each.untimed) for each in files]
