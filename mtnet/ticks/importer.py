"""
Ticks from a file into the store, each of them once however often the file is imported.

Pure. Works beside a running daemon: SQLite lets one of the two write at a time, and a chunk
takes some milliseconds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mtnet.errors import ClientError
from mtnet.ticks.archive import Archive
from mtnet.ticks.commits import Commit
from mtnet.ticks.series import BLOCK, Heard, Series
from mtnet.ticks.store import Store
from mtnet.ticks.tables import IMPORTED
from mtnet.ticks.wire import pad

Row = tuple[int, int, bytes]
"""Line, order time, what follows the symbol on the wire."""


class Importer:
    """
    Stores the ticks of one symbol.

    Args:
        path: the file of the store; its folder exists.
        received: the time that imported ticks are given, milliseconds since the Unix epoch, UTC.

    Attributes:
        added: ticks that were stored.
        known: ticks that were there already, the same in each field, from whatever source.

    Raises:
        JournalError: the store is damaged, or refuses; of each method, too.
    """

    def __init__(self, path: Path, symbol: bytes, received: int) -> None:
        self._store, self._symbol, self._received = Store(path), symbol, received
        self._store.prepare()
        self._archive = Archive(path)
        self.added = self.known = 0

    def run(self, rows: Iterable[Row], progress: Callable[[int], object]) -> None:
        """
        Store the rows that are not there yet.

        Args:
            progress: is told how many rows were dealt with, again and again.

        Raises:
            ClientError: the rows go back in time; those before are stored.
        """
        for chunk in _chunks(rows):
            self._add(chunk)
            progress(len(chunk))
        self._store.close()

    def _add(self, chunk: list[Row]) -> None:
        new: list[bytes] = []

        def look() -> Commit:
            new.extend(self._missing(chunk))
            return self._commit(new)

        self._store.commit_after(look)
        self.added += len(new)
        self.known += len(chunk) - len(new)

    def _missing(self, chunk: list[Row]) -> Iterator[bytes]:
        stored = self._archive.ticks(self._symbol, chunk[0][1], chunk[-1][1] + 1)
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
        heard = Heard(len(records), self._received, self._received)
        heards = {(IMPORTED, self._symbol): heard}
        return Commit(blocks=blocks, heard=heards, imported=len(records))


def _chunks(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Cut rows into chunks that no two equal times lie across; they must not go back in time."""
    chunk: list[Row] = []
    for row in rows:
        line, time, _ = row
        if chunk and time < chunk[-1][1]:
            yield chunk
            raise ClientError(
                f"Line {line} goes back in time; what stands before it is stored. Sort the file "
                "by its first two columns."
            )
        if len(chunk) >= BLOCK and time > chunk[-1][1]:
            yield chunk
            chunk = []
        chunk.append(row)
    if chunk:
        yield chunk


def _key(time: int, rest: bytes) -> tuple[int, tuple[bytes, ...]]:
    return time, tuple(pad(rest))
