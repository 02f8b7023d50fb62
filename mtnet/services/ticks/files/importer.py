"""
Idempotent import: ticks of a file go into the store once, however often it is imported.

Pure. Works beside a running daemon: SQLite lets one of the two write at a time, and a chunk
takes some milliseconds.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from mtnet.errors import ClientError, JournalError
from mtnet.services.ticks.bars.series import MAX_AHEAD
from mtnet.services.ticks.files.mt5 import format_time
from mtnet.services.ticks.storage.blocks import BLOCK, Reception, Series
from mtnet.services.ticks.storage.commits import Commit
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.schema import IMPORTED
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.wire import key_of

Row = tuple[int, int, bytes]
"""Line, order time, what follows the symbol on the wire."""


class UnsortedError(ClientError):
    """
    Rows go back in time.

    Attributes:
        line: the first that does.
    """

    def __init__(self, line: int, before: int, time: int) -> None:
        super().__init__(
            f"Line {line} goes back in time, from {_shown(before)} to {_shown(time)}: ticks are "
            "imported in the order in which they came. Rows that are whole, and only in another "
            "order, are sorted with --sort."
        )
        self.line = line


class Importer:
    """
    Stores the ticks of one symbol.

    Args:
        path: the file of the store; its folder exists.
        received: the time that imported ticks are given, milliseconds since the Unix epoch, UTC.

    Attributes:
        added: ticks that were stored.
        known: ticks that were there already, equal by value, from any source.
        unsorted: the first line that goes back in time, or None.

    Raises:
        JournalError: the store is damaged, or refuses; of each method, too.
    """

    def __init__(self, path: Path, symbol: bytes, received: int) -> None:
        self._store, self._symbol, self._received = Store(path), symbol, received
        self._store.prepare()
        self._reader = TickReader(path)
        self.added = self.known = 0
        self.unsorted: int | None = None

    def run(
        self,
        read: Callable[[], Iterable[Row]],
        progress: Callable[[int], object],
        sort: bool = False,
    ) -> None:
        """
        Store the rows that are not there yet.

        Args:
            read: returns the rows, from the first one on; it is called again to sort them.
            progress: called with the number of rows of each chunk.
            sort: sorts rows that go back in time.

        Raises:
            ClientError: a row cannot be read, or goes back in time; some of those before it may be
                stored.
        """
        try:
            self._run(read(), progress)
        except UnsortedError as error:
            if not sort:
                raise
            self.unsorted = error.line
            done, self.known = self.added, 0
            # What is stored of them already is found there.
            self._run(in_order(read()), lambda rows: progress(0))
            self.known -= done
        self._store.close()

    def _run(self, rows: Iterable[Row], progress: Callable[[int], object]) -> None:
        for chunk in _chunks(rows):
            self._check(chunk)
            self._add(chunk)
            progress(len(chunk))

    def _check(self, chunk: list[Row]) -> None:
        latest = self._received + MAX_AHEAD
        if chunk[-1][1] <= latest:
            return
        line, time = next((line, time) for line, time, _ in chunk if time > latest)
        raise ClientError(
            f"Line {line} lies in the future, at {_shown(time)}: on this machine it is "
            f"{_shown(self._received)}, UTC."
        )

    def _add(self, chunk: list[Row]) -> None:
        new: list[bytes] = []

        def look() -> Commit:
            new.extend(self._missing(chunk))
            return self._commit(new)

        self._store.commit_after(look)
        self.added += len(new)
        self.known += len(chunk) - len(new)

    def _missing(self, chunk: list[Row]) -> Iterator[bytes]:
        stored = self._reader.ticks(self._symbol, chunk[0][1], chunk[-1][1] + 1)
        there = Counter(_key(tick.time, tick.rest) for tick in stored)
        for _, time, rest in chunk:
            key = _key(time, rest)
            if there[key] > 0:
                there[key] -= 1
            else:
                yield rest

    def _commit(self, records: list[bytes]) -> Commit:
        if not records:
            return Commit()
        marks = [(self._received, IMPORTED)] * len(records)
        blocks = list(Series(self._symbol, None, records, marks).pack())
        heard = Reception(len(records), self._received, self._received)
        heards = {(IMPORTED, self._symbol): heard}
        return Commit(blocks=blocks, heard=heards, imported=len(records))


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into chunks that no two equal times lie across; they must not go back in time."""
    chunk: list[Row] = []
    for row in rows:
        line, time, _ = row
        if chunk and time < chunk[-1][1]:
            raise UnsortedError(line, chunk[-1][1], time)
        if len(chunk) >= BLOCK and time > chunk[-1][1]:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _shown(time: int) -> str:
    return format_time(time // 1_000).decode().replace("\t", " ") + f".{time % 1_000:03}"


def _key(time: int, rest: bytes) -> tuple[object, ...]:
    return time, *key_of(rest)


def in_order(rows: Iterable[Row]) -> Iterator[Row]:
    """
    Return rows in the order of their times, and those of one time in that of their lines.

    Raises:
        JournalError: there is no room to sort them.
    """
    try:
        with closing(sqlite3.connect("")) as sorting:  # a file of its own, once it is large
            sorting.execute("CREATE TABLE row (line INTEGER, time INTEGER, rest BLOB)")
            sorting.executemany("INSERT INTO row VALUES (?, ?, ?)", rows)
            yield from sorting.execute("SELECT line, time, rest FROM row ORDER BY time, line")
    except sqlite3.Error as error:
        raise JournalError(f"The ticks cannot be sorted: {error}.") from error
