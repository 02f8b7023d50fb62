"""
The queue of a sink on disk.

Blocking, for one thread at a time.
"""

import secrets
import sqlite3
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from mtnet.errors import JournalError
from mtnet.services.sinks.model import Batch, Taken
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE batch (
    first INTEGER PRIMARY KEY,
    ticks INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE TABLE state (
    origin TEXT NOT NULL,
    next INTEGER NOT NULL,
    dropped INTEGER NOT NULL
) STRICT
"""
"""`data`: ticks as MessagePack, compressed by zlib. `next`: the number of the next tick."""
LEVEL = 1
"""Of zlib: three quarters of what level 6 saves, in a quarter of its time."""


class Waiting(NamedTuple):
    """
    The length of a queue.

    Attributes:
        ticks, bytes: that wait.
        dropped: ticks that were dropped since the queue was made.
    """

    ticks: int = 0
    bytes: int = 0
    dropped: int = 0


class QueueStore:
    """
    The file of the ticks that a sink has not got yet, in order.

    Args:
        path: the file; its folder exists.
        limit: bytes of the ticks in it; see `sinks.queue`.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._database, self._path, self._limit = Database(path, SCHEMA, TABLES), path, limit
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(list[Taken])
        self._waiting = Waiting()
        self.origin = ""

    def open(self) -> Waiting:
        """
        Make the file, or read how much waits; `origin` names the queue from now on.

        Raises:
            JournalError: the file cannot be read.
        """

        def work(connection: sqlite3.Connection) -> tuple[str, Waiting]:
            state = connection.execute("SELECT origin, dropped FROM state").fetchone()
            if state is None:
                state = secrets.token_hex(8), 0
                connection.execute("INSERT INTO state VALUES (?, 1, 0)", state[:1])
            sums = "SELECT COALESCE(SUM(ticks), 0), COALESCE(SUM(LENGTH(data)), 0) FROM batch"
            ticks, size = connection.execute(sums).fetchone()
            return state[0], Waiting(ticks, size, state[1])

        self.origin, self._waiting = self._database.transaction(work)
        return self._waiting

    def add(self, ticks: Sequence[Taken]) -> Waiting:
        """
        Append ticks; they are on the platter when this returns. When there are too many, the
        oldest are dropped.

        Raises:
            JournalError: the disk fails; nothing is stored.
        """
        data = zlib.compress(self._encoder.encode(ticks), LEVEL)

        def work(connection: sqlite3.Connection) -> Waiting:
            waiting = self._waiting
            first = connection.execute("SELECT next FROM state").fetchone()[0]
            connection.execute("INSERT INTO batch VALUES (?, ?, ?)", (first, len(ticks), data))
            waiting = Waiting(
                waiting.ticks + len(ticks), waiting.bytes + len(data), waiting.dropped
            )
            oldest = "SELECT first, ticks, LENGTH(data) FROM batch ORDER BY first"
            removed = []
            for number, count, size in connection.execute(oldest):
                if waiting.bytes <= self._limit:
                    break
                removed.append((number,))
                waiting = Waiting(
                    waiting.ticks - count, waiting.bytes - size, waiting.dropped + count
                )
            connection.executemany("DELETE FROM batch WHERE first = ?", removed)
            state = first + len(ticks), waiting.dropped
            connection.execute("UPDATE state SET next = ?, dropped = ?", state)
            return waiting

        self._waiting = self._database.transaction(work)
        return self._waiting

    def next(self, limit: int) -> Batch | None:
        """
        Return the oldest ticks; None = none wait.

        Args:
            limit: ticks from which on no more are added to what is returned.

        Raises:
            JournalError: the file is damaged.
        """

        def work(connection: sqlite3.Connection) -> Batch | None:
            first, ticks = 0, list[Taken]()
            rows = "SELECT first, data FROM batch ORDER BY first"
            for number, data in connection.execute(rows):
                # Numbers may jump where the oldest were dropped.
                if ticks and (len(ticks) >= limit or number != first + len(ticks)):
                    break
                first = first or number
                ticks += self._decode(number, data)
            return Batch(first, ticks) if ticks else None

        return self._database.read(work)

    def remove(self, last: int) -> Waiting:
        """
        Remove the ticks up to a number, which ends a batch.

        Raises:
            JournalError: the disk fails; nothing is removed.
        """

        def work(connection: sqlite3.Connection) -> Waiting:
            removed = connection.execute(
                "DELETE FROM batch WHERE first <= ? RETURNING ticks, LENGTH(data)", (last,)
            ).fetchall()
            ticks, size, dropped = self._waiting
            return Waiting(
                ticks - sum(count for count, _ in removed),
                size - sum(length for _, length in removed),
                dropped,
            )

        self._waiting = self._database.transaction(work)
        return self._waiting

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _decode(self, number: int, data: bytes) -> list[Taken]:
        try:
            return self._decoder.decode(zlib.decompress(data))
        except (zlib.error, msgspec.MsgspecError) as error:
            raise JournalError(
                f"{self._path}: the ticks from number {number} are damaged: {error}. Move the file "
                "away; what is in it is in the store of ticks, too."
            ) from error
