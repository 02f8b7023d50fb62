"""
Changes of the jobs on disk, and what each does in a transaction.

Blocking, for one thread at a time.
"""

import sqlite3
from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from mtnet.services.jobs.book import Job
from mtnet.services.jobs.wire import Ended
from mtnet.session.fields import MAX_NUMBER

OPEN = "SELECT queue, id, seq, data, replicas, tries, deadline, failures FROM jobs"
"""The columns of `Job`."""


class Numbers(NamedTuple):
    """
    The numbers of a queue.

    Attributes:
        offered: of its last job.
        ended: of its last result.
        dead: how many jobs are, or were.
    """

    offered: int
    ended: int
    dead: int


class Transaction:
    """
    Changes that are stored together.

    Attributes:
        numbers: of each queue, as they are to be.
    """

    def __init__(self, connection: sqlite3.Connection, numbers: Mapping[str, Numbers]) -> None:
        self.connection, self.numbers = connection, dict(numbers)
        self._changed: set[str] = set()

    def of(self, queue: str) -> Numbers:
        """Return the numbers of a queue; a new one begins above all that were forgotten."""
        found = self.numbers.get(queue)
        if found is None:
            (floor,) = self.connection.execute("SELECT floor FROM epoch").fetchone()
            found = Numbers(floor, floor, 0)
        return found

    def set(self, queue: str, numbers: Numbers) -> None:
        """Let a queue have other numbers."""
        self.numbers[queue] = numbers
        self._changed.add(queue)

    def forget(self, queue: str) -> None:
        """Forget a queue, and do not use its numbers again."""
        numbers = self.numbers.pop(queue)
        self._changed.discard(queue)
        last = max(numbers.offered, numbers.ended)
        self.connection.execute("UPDATE epoch SET floor = max(floor, ?)", (last,))
        self.connection.execute("DELETE FROM queues WHERE queue = ?", (queue,))

    def finish(self) -> None:
        """Store the numbers."""
        self.connection.executemany(
            "INSERT OR REPLACE INTO queues VALUES (?, ?, ?, ?)",
            [(queue, *self.numbers[queue]) for queue in self._changed],
        )


class NewJob(Struct, frozen=True):
    """Stores a job, unless its id is known."""

    queue: str
    id: str
    data: str
    replicas: int
    tries: int
    offered: int
    deadline: int

    def apply(self, transaction: Transaction) -> tuple[Job | None, int | None]:
        """
        Make the change.

        Returns:
            The job as it is stored, None = its data is another one; and the number of its result,
            None = it is open.
        """
        connection = transaction.connection
        where = (self.queue, self.id)
        found = connection.execute(
            "SELECT seq, data, replicas, tries, deadline, failures, ended FROM jobs "
            "WHERE queue = ? AND id = ?",
            where,
        ).fetchone()
        if found is not None:
            seq, data, *terms, ended = found
            return (Job(*where, seq, data, *terms) if data == self.data else None), ended
        numbers = transaction.of(self.queue)
        seq = numbers.offered + 1
        connection.execute(
            "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, NULL)",
            (*where, seq, self.data, self.replicas, self.tries, self.offered, self.deadline),
        )
        transaction.set(self.queue, numbers._replace(offered=seq))
        return Job(*where, seq, self.data, self.replicas, self.tries, self.deadline), None


class NewAnswer(Struct, frozen=True):
    """Stores a result that waits for an equal one."""

    queue: str
    id: str
    worker: str
    data: str

    def apply(self, transaction: Transaction) -> None:
        """Make the change."""
        transaction.connection.execute(
            "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)",
            (self.queue, self.id, self.worker, self.data),
        )


class Failures(Struct, frozen=True):
    """Stores how many tries of a job have failed."""

    queue: str
    id: str
    count: int

    def apply(self, transaction: Transaction) -> None:
        """Make the change."""
        transaction.connection.execute(
            "UPDATE jobs SET failures = ? WHERE queue = ? AND id = ?",
            (self.count, self.queue, self.id),
        )


class Ending(Struct, frozen=True):
    """Stores that a job is done or dead, unless it is stored already."""

    queue: str
    id: str
    dead: bool
    text: str
    by: str
    took: int
    time: int

    def apply(self, transaction: Transaction) -> Ended | None:
        """Make the change; return the result, None = another one was stored before."""
        connection, where = transaction.connection, (self.queue, self.id)
        numbers = transaction.of(self.queue)
        seq = numbers.ended + 1
        changed = connection.execute(
            "UPDATE jobs SET ended = ? WHERE queue = ? AND id = ? AND ended IS NULL", (seq, *where)
        )
        if not changed.rowcount:
            return None
        connection.execute(
            "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (self.queue, seq, self.id, self.dead, self.text, self.by, self.took, self.time),
        )
        connection.execute("DELETE FROM answers WHERE queue = ? AND id = ?", where)
        dead = numbers.dead + self.dead
        transaction.set(self.queue, numbers._replace(ended=seq, dead=dead))
        return Ended(*where, seq, self.dead, self.text, self.by, self.took)


class Reopening(Struct, frozen=True):
    """Offers dead jobs again: one, or all of a queue; as if their ids had not ended."""

    queue: str
    id: str | None
    now: int

    def apply(self, transaction: Transaction) -> list[Job]:
        """Make the change; return the jobs."""
        connection = transaction.connection
        dead = connection.execute(
            "SELECT seq, id FROM results WHERE queue = ? AND dead = 1 AND id = ifnull(?, id) "
            "ORDER BY seq",
            (self.queue, self.id),
        ).fetchall()
        for seq, id in dead:
            connection.execute(
                "UPDATE jobs SET ended = NULL, failures = 0, deadline = ? + deadline - offered, "
                "offered = ? WHERE queue = ? AND id = ?",
                (self.now, self.now, self.queue, id),
            )
            connection.execute("DELETE FROM results WHERE queue = ? AND seq = ?", (self.queue, seq))
        if dead:
            numbers = transaction.of(self.queue)
            transaction.set(self.queue, numbers._replace(dead=numbers.dead - len(dead)))
        one = f"{OPEN} WHERE queue = ? AND id = ?"
        return [Job(*connection.execute(one, (self.queue, id)).fetchone()) for _, id in dead]


class Removal(Struct, frozen=True):
    """
    Removes ended jobs, and with them their ids: the oldest ones, so many at most.

    Attributes:
        queue: whose they are; None = of all queues.
        before: milliseconds since the Unix epoch before which they had ended, of all queues.
    """

    most: int
    queue: str | None = None
    before: int = MAX_NUMBER - 1

    def apply(self, transaction: Transaction) -> int:
        """Make the change; return how many there were."""
        connection = transaction.connection
        condition = "time < ? ORDER BY time"
        values: tuple[object, ...] = (self.before, self.most)
        if self.queue is not None:
            condition, values = "queue = ? ORDER BY seq", (self.queue, self.most)
        rows = connection.execute(
            f"SELECT queue, seq, id FROM results WHERE {condition} LIMIT ?", values
        ).fetchall()
        for queue, seq, id in rows:
            connection.execute("DELETE FROM results WHERE queue = ? AND seq = ?", (queue, seq))
            connection.execute("DELETE FROM jobs WHERE queue = ? AND id = ?", (queue, id))
        return len(rows)


class Forgetting(Struct, frozen=True):
    """Forgets queues that have no jobs, but for some."""

    in_use: frozenset[str]

    def apply(self, transaction: Transaction) -> list[str]:
        """Make the change; return the names of the queues."""
        rows = transaction.connection.execute(
            "SELECT queue FROM queues WHERE NOT EXISTS "
            "(SELECT 1 FROM jobs WHERE jobs.queue = queues.queue)"
        ).fetchall()
        unused = [queue for (queue,) in rows if queue not in self.in_use]
        for queue in unused:
            transaction.forget(queue)
        return unused


Change = NewJob | NewAnswer | Failures | Ending | Reopening | Removal | Forgetting
