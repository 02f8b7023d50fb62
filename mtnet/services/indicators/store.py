"""
The values of indicators on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct

from mtnet.services.indicators.wire import Series, Value
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    symbol TEXT NOT NULL,
    period TEXT NOT NULL,
    changed INTEGER NOT NULL,
    UNIQUE (name, symbol, period)
) STRICT;
CREATE TABLE bars (
    series INTEGER NOT NULL,
    bar INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    open INTEGER NOT NULL,
    items TEXT NOT NULL,
    PRIMARY KEY (series, bar)
) STRICT, WITHOUT ROWID
"""
"""`changed` in milliseconds since the Unix epoch; `items` as they stand in a frame."""
TOO_OLD = 0
"""The number of values that are not stored: their bar is older than all that are kept."""


class Change(Struct, frozen=True):
    """Values to store, which came at a time in milliseconds since the Unix epoch, UTC."""

    value: Value
    when: int


class Row(Struct, frozen=True):
    """Values that are stored; `seq` counts the changes of the file."""

    value: Value
    seq: int


class Summary(Struct, frozen=True):
    """A series, how many bars it has, and from which to which; `changed` as of `Change.when`."""

    series: Series
    bars: int
    oldest: int
    newest: int
    changed: int


class Size(Struct):
    """How many bars a series has, and the oldest one."""

    number: int
    bars: int = 0
    oldest: int = 0


class IndicatorStore:
    """
    The file of values.

    Args:
        path: the file; its folder exists.
        keep: bars of each series that are kept.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._database, self._keep = Database(path, SCHEMA, TABLES), keep
        self._sizes: dict[Series, Size] = {}
        self._seq = 0

    def open(self) -> list[Series]:
        """
        Drop what is more than is kept now; return the series that there are.

        Raises:
            JournalError: the file cannot be read.
        """

        def drop(connection: sqlite3.Connection) -> None:
            full = connection.execute(
                "SELECT series FROM bars GROUP BY series HAVING COUNT(*) > ?", (self._keep,)
            )
            for (number,) in full.fetchall():
                connection.execute(
                    "DELETE FROM bars WHERE series = ? AND bar <= (SELECT bar FROM bars"
                    " WHERE series = ? ORDER BY bar DESC LIMIT 1 OFFSET ?)",
                    (number, number, self._keep),
                )

        self._database.transaction(drop)
        self._sizes, self._seq = self._database.read(_read_sizes)
        return [*self._sizes]

    def store(self, changes: Sequence[Change]) -> list[int]:
        """
        Store values; they are on the platter when this returns.

        Returns:
            The number of each change, or `TOO_OLD`.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """
        concerned = {each.value.series for each in changes}
        sizes = {
            series: Size(known.number, known.bars, known.oldest)
            for series in concerned
            if (known := self._sizes.get(series)) is not None
        }

        def write(connection: sqlite3.Connection) -> list[int]:
            seq, numbers = self._seq, []
            for change in changes:
                size = sizes.get(change.value.series)
                if size is None:
                    size = sizes[change.value.series] = _add(connection, change)
                stored = self._put(connection, size, change.value, seq + 1)
                seq += stored
                numbers.append(seq if stored else TOO_OLD)
            connection.executemany(
                "UPDATE series SET changed = ? WHERE id = ?",
                [(each.when, sizes[each.value.series].number) for each in changes],
            )
            return numbers

        numbers = self._database.transaction(write)
        self._sizes.update(sizes)
        self._seq = max(self._seq, *numbers)
        return numbers

    def last(self, series: Series, count: int, after: int = 0) -> list[Row]:
        """
        Return values of the last bars, the oldest first.

        Args:
            after: the number of a change; only what has changed behind it.

        Raises:
            JournalError: the file cannot be read.
        """
        size = self._sizes.get(series)
        if size is None:
            return []
        asked = (size.number, count)

        def read(connection: sqlite3.Connection) -> list[Row]:
            found = connection.execute(
                "SELECT bar, seq, open, items FROM bars WHERE series = ? ORDER BY bar DESC LIMIT ?",
                asked,
            )
            return [
                Row(Value(series, bar, tuple(items.split(",")), bool(opened)), seq)
                for bar, seq, opened, items in found
                if seq > after
            ][::-1]

        return self._database.read(read)

    def summaries(self) -> list[Summary]:
        """
        Return all series, sorted.

        Raises:
            JournalError: the file cannot be read.
        """

        def read(connection: sqlite3.Connection) -> list[Summary]:
            found = connection.execute(
                "SELECT name, symbol, period, COUNT(*), MIN(bar), MAX(bar), changed"
                " FROM series JOIN bars ON bars.series = series.id"
                " GROUP BY series.id ORDER BY name, symbol, period"
            )
            return [Summary(Series(*each[:3]), *each[3:]) for each in found]

        return self._database.read(read)

    def expire(self, before: int) -> list[Series]:
        """
        Remove the series that have not changed since a time; return them.

        Raises:
            JournalError: the disk fails; nothing is removed.
        """

        def write(connection: sqlite3.Connection) -> list[Series]:
            found = connection.execute(
                "SELECT id, name, symbol, period FROM series WHERE changed < ?", (before,)
            ).fetchall()
            for number, *_ in found:
                connection.execute("DELETE FROM bars WHERE series = ?", (number,))
                connection.execute("DELETE FROM series WHERE id = ?", (number,))
            return [Series(*each[1:]) for each in found]

        removed = self._database.transaction(write)
        for series in removed:
            del self._sizes[series]
        return removed

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _put(self, connection: sqlite3.Connection, size: Size, value: Value, seq: int) -> bool:
        """Store the values of a bar; return whether it is not older than all that are kept."""
        full = size.bars >= self._keep
        if full and value.bar < size.oldest:
            return False
        given = (seq, value.open, ",".join(value.values), size.number, value.bar)
        changed = connection.execute(
            "UPDATE bars SET seq = ?, open = ?, items = ? WHERE series = ? AND bar = ?", given
        )
        if changed.rowcount:
            return True
        connection.execute(
            "INSERT INTO bars (seq, open, items, series, bar) VALUES (?, ?, ?, ?, ?)", given
        )
        size.bars += 1
        if full:
            where = (size.number, size.oldest)
            connection.execute("DELETE FROM bars WHERE series = ? AND bar = ?", where)
            size.bars -= 1
        oldest = "SELECT MIN(bar) FROM bars WHERE series = ?"
        (size.oldest,) = connection.execute(oldest, (size.number,)).fetchone()
        return True


def _add(connection: sqlite3.Connection, change: Change) -> Size:
    series = change.value.series
    made = connection.execute(
        "INSERT INTO series (name, symbol, period, changed) VALUES (?, ?, ?, ?)",
        (series.name, series.symbol, series.period, change.when),
    )
    return Size(made.lastrowid or 0)


def _read_sizes(connection: sqlite3.Connection) -> tuple[dict[Series, Size], int]:
    rows: Iterable[tuple[str, str, str, int, int, int | None]] = connection.execute(
        "SELECT name, symbol, period, id, COUNT(bar), MIN(bar)"
        " FROM series LEFT JOIN bars ON bars.series = series.id GROUP BY series.id"
    )
    sizes = {
        Series(name, symbol, period): Size(number, bars, oldest or 0)
        for name, symbol, period, number, bars, oldest in rows
    }
    (seq,) = connection.execute("SELECT COALESCE(MAX(seq), 0) FROM bars").fetchone()
    return sizes, seq
