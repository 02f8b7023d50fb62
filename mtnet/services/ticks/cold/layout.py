"""
Where the files of the cold store lie: the layout of Hive, which DuckDB, pyarrow and polars know.

Pure. `DATA/ticks/symbol=EURUSD/date=2026-11-27/part-1.parquet`; a day is that of the broker's
clock, as the number of days since 1970-01-01.
"""

from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from mtnet.durations import DAY_MS
from mtnet.services.ticks.wire import plain_symbol

FOLDER = "ticks"
"""In the data folder."""
STAGING = "compact.new"
"""Within that: what is being written. The name is that of no symbol, and no file in it ends in
`.parquet`."""

LONGEST = 255
"""Bytes of a name that file systems take. A symbol of 32 Chinese characters has more as `%XX`."""


def day_of(time: int) -> int:
    """Return the day of an order time, milliseconds."""
    return time // DAY_MS


def date_of(day: int) -> str:
    """Return the date of a day, such as `2026-11-27`."""
    return datetime.fromtimestamp(day * DAY_MS // 1_000, UTC).date().isoformat()


def part_path(root: Path, symbol: bytes, day: int, part: int) -> Path:
    """
    Return the path of a file.

    Args:
        root: the folder of the cold store.
        symbol: as on the wire.
        part: 1 is what the day had when it was compacted; ticks that came later make others.
    """
    return root / _folder(plain_symbol(symbol)) / f"date={date_of(day)}" / f"part-{part}.parquet"


def _folder(symbol: str) -> str:
    # Every character that a file system or a URL reads in its own way; DuckDB decodes it.
    name = f"symbol={quote(symbol, safe='')}"
    if len(name) > LONGEST:
        letters = (quote(each, safe="") if each.isascii() else each for each in symbol)
        name = f"symbol={''.join(letters)}"
    return name
