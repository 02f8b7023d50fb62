"""
The jobs on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex

from mtnet.services.jobs.book import Job
from mtnet.services.jobs.changes import OPEN, Change, Numbers, Transaction
from mtnet.services.jobs.wire import Ended
from mtnet.storage.sqlite import Database

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE epoch (
    name TEXT NOT NULL,
    floor INTEGER NOT NULL
) STRICT;
CREATE TABLE queues (
    queue TEXT PRIMARY KEY,
    offered INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    dead INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE jobs (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    data TEXT NOT NULL,
    replicas INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    offered INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    ended INTEGER,
    PRIMARY KEY (queue, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_jobs ON jobs (queue, seq) WHERE ended IS NULL;
CREATE TABLE answers (
    queue TEXT NOT NULL,
    id TEXT NOT NULL,
    worker TEXT NOT NULL,
    data TEXT NOT NULL,
    PRIMARY KEY (queue, id, worker)
) STRICT, WITHOUT ROWID;
CREATE TABLE results (
    queue TEXT NOT NULL,
    seq INTEGER NOT NULL,
    id TEXT NOT NULL,
    dead INTEGER NOT NULL,
    text TEXT NOT NULL,
    worker TEXT NOT NULL,
    took INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (queue, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX results_by_time ON results (time)
"""
"""
`offered`, `deadline` and `time` in milliseconds since the Unix epoch, `took` in milliseconds.
`jobs.ended` is the number of the result; NULL = the job is open. `floor` is no lower than any
number of a queue that was forgotten.
"""
_RESULT = "SELECT queue, id, seq, dead, text, worker, took FROM results"


class JobStore:
    """
    The file of jobs.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path, SCHEMA, TABLES, _begin_epoch)
        self._numbers: dict[str, Numbers] | None = None

    def epoch(self) -> str:
        """
        Return the name of the numbers.

        Raises:
            JournalError: the file cannot be read; as all methods.
        """
        (name,) = self._database.read(
            lambda connection: connection.execute("SELECT name FROM epoch").fetchone()
        )
        return str(name)

    def queues(self) -> dict[str, Numbers]:
        """Return the numbers of each queue."""
        return self._database.read(_read_numbers)

    def count(self) -> int:
        """Return how many ended jobs there are."""
        (count,) = self._database.read(
            lambda connection: connection.execute("SELECT count(*) FROM results").fetchone()
        )
        return int(count)

    def open_jobs(self) -> list[Job]:
        """Return the open jobs, in the order of their queues."""

        def read(connection: sqlite3.Connection) -> list[Job]:
            rows = connection.execute(f"{OPEN} WHERE ended IS NULL ORDER BY queue, seq")
            jobs = {row[:2]: Job(*row) for row in rows}
            for queue, id, worker, data in connection.execute("SELECT * FROM answers"):
                if (queue, id) in jobs:
                    jobs[queue, id].answers[worker] = data
            return list(jobs.values())

        return self._database.read(read)

    def apply(self, changes: Sequence[Change]) -> list[object]:
        """
        Make changes in one transaction; they are on the platter when this returns.

        Returns:
            What each `apply` has returned.

        Raises:
            JournalError: the disk fails; nothing is stored, or it is not known.
        """

        known, self._numbers = self._numbers, None  # after an error they are read again

        def write(connection: sqlite3.Connection) -> tuple[list[object], dict[str, Numbers]]:
            numbers = _read_numbers(connection) if known is None else known
            transaction = Transaction(connection, numbers)
            outcomes: list[object] = [each.apply(transaction) for each in changes]
            transaction.finish()
            return outcomes, transaction.numbers

        outcomes, self._numbers = self._database.transaction(write)
        return outcomes

    def results(self, queue: str, after: int, limit: int) -> list[Ended]:
        """Return the results of a queue behind a number, oldest first, so many at most."""
        return self._results("queue = ? AND seq > ? ORDER BY seq LIMIT ?", queue, after, limit)

    def newest(self, queue: str, limit: int) -> list[Ended]:
        """Return the last results of a queue, newest first."""
        return self._results("queue = ? ORDER BY seq DESC LIMIT ?", queue, limit)

    def oldest(self, queue: str) -> int | None:
        """Return the number of the first result that is still there."""
        found = self.results(queue, -1, 1)
        return found[0].seq if found else None

    def job(self, queue: str, id: str) -> tuple[str, Ended | None] | None:
        """Return the data of a job and its result, None = it is open; None = there is none."""

        def read(connection: sqlite3.Connection) -> tuple[str, Ended | None] | None:
            found = connection.execute(
                "SELECT data, ended FROM jobs WHERE queue = ? AND id = ?", (queue, id)
            ).fetchone()
            if found is None:
                return None
            row = connection.execute(
                f"{_RESULT} WHERE queue = ? AND seq = ?", (queue, found[1])
            ).fetchone()
            return found[0], None if row is None else _ended(row)

        return self._database.read(read)

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _results(self, condition: str, *values: str | int) -> list[Ended]:
        def read(connection: sqlite3.Connection) -> list[Ended]:
            rows = connection.execute(f"{_RESULT} WHERE {condition}", values)
            return [_ended(row) for row in rows]

        return self._database.read(read)


def renew(path: Path) -> None:
    """
    Begin a new epoch in a restored file: results that were told since the backup are not in it.

    Raises:
        JournalError: the file is damaged.
    """
    database = Database(path, SCHEMA, TABLES, _begin_epoch)
    try:
        database.transaction(
            lambda connection: connection.execute("UPDATE epoch SET name = ?", (token_hex(8),))
        )
        database.checkpoint()
    finally:
        database.close()


def _begin_epoch(connection: sqlite3.Connection, _: int) -> None:
    connection.execute("INSERT INTO epoch VALUES (?, 0)", (token_hex(8),))


def _read_numbers(connection: sqlite3.Connection) -> dict[str, Numbers]:
    rows = connection.execute("SELECT queue, offered, ended, dead FROM queues")
    return {queue: Numbers(*numbers) for queue, *numbers in rows}


def _ended(row: tuple[str, str, int, int, str, str, int]) -> Ended:
    queue, id, seq, dead, text, worker, took = row
    return Ended(queue, id, seq, bool(dead), text, worker, took)
