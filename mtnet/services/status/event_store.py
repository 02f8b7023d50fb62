"""
The events on disk.

Blocking, for one thread at a time.
"""

import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from mtnet.errors import JournalError, NotAskedError
from mtnet.services.status.event import Event
from mtnet.services.status.event_table import Changes
from mtnet.storage.sqlite import Database, wal_path

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
TABLES = """
CREATE TABLE event (
    number INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    kind TEXT NOT NULL,
    level TEXT NOT NULL,
    text TEXT NOT NULL,
    facts TEXT NOT NULL
) STRICT;
CREATE TABLE counter (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    next INTEGER NOT NULL,
    stopped INTEGER NOT NULL
) STRICT
"""
"""`time` in milliseconds since the Unix epoch, `facts` as JSON. `next`: the number of the first
event after a start; `stopped`: whether the daemon has stopped since it wrote last."""
RESERVED = 1_000
"""Numbers that are skipped after a kill: more than there are events in the second that it loses."""

_PUT = "REPLACE INTO event VALUES (?, ?, ?, ?, ?, ?)"
_DROP_BEFORE = "DELETE FROM event WHERE number < ?"
_DROP = "DELETE FROM event WHERE number = ?"
_COUNT = "REPLACE INTO counter VALUES (1, ?, ?)"


class Loaded(NamedTuple):
    """
    The content of the file.

    Attributes:
        events: oldest first.
        next: the number of the next event.
        killed: the daemon did not stop, but ended.
    """

    events: list[Event]
    next: int = 1
    killed: bool = False


class EventStore:
    """
    The file of events.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, SCHEMA, TABLES)

    def load(self, most: int) -> Loaded:
        """
        Return the newest events.

        Raises:
            JournalError: the file cannot be read.
        """
        if not self.path.exists():
            return Loaded([])
        return self._database.read(lambda connection: _load(connection, most))

    def write(self, changes: Changes, next: int, stopped: bool) -> None:
        """
        Make changes; they are on the platter when this returns.

        Args:
            next: the number of the next event.
            stopped: whether these are the last ones before a stop.

        Raises:
            JournalError: the disk fails; none of them is stored.
        """

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_PUT, map(_row, changes.events))
            connection.execute(_DROP_BEFORE, (changes.oldest,))
            connection.executemany(_DROP, [(number,) for number in changes.dropped])
            connection.execute(_COUNT, (next if stopped else next + RESERVED, stopped))

        self._database.transaction(write)

    def set_aside(self) -> Path:
        """Rename a file that cannot be read, so that a new one can be begun; return its name."""
        self._database.forget()
        aside = self.path.with_name(f"{self.path.name}.damaged")
        with suppress(OSError):
            self.path.replace(aside)
            for each in (wal_path(self.path), self.path.with_name(f"{self.path.name}-shm")):
                each.unlink(missing_ok=True)
        return aside

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def load_or_set_aside(store: EventStore, most: int) -> tuple[Loaded, str]:
    """
    Return what is stored, and why nothing is; no damage of this file keeps a daemon from starting.
    """
    try:
        return store.load(most), ""
    except NotAskedError as error:  # the disk is full
        return Loaded([]), str(error)
    except JournalError as error:
        return Loaded([]), f"{error} It is kept as {store.set_aside()}."
    finally:
        # Opened again by the thread that writes, behind the fork of a daemon.
        store.close()


def _load(connection: sqlite3.Connection, most: int) -> Loaded:
    newest = "SELECT * FROM event ORDER BY number DESC LIMIT ?"
    events = [_event(*row) for row in connection.execute(newest, (most,))][::-1]
    found = connection.execute("SELECT next, stopped FROM counter").fetchone()
    (next, stopped) = found or (1, True)
    return Loaded(events, max(next, events[-1].number + 1 if events else 1), not stopped)


def _row(event: Event) -> tuple[object, ...]:
    facts = msgspec.json.encode(event.facts).decode()
    return event.number, event.time, event.kind, event.level, event.text, facts


def _event(number: int, time: int, kind: str, level: str, text: str, facts: str) -> Event:
    return Event(number, time, kind, level, text, msgspec.json.decode(facts))
