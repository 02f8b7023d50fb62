"""
The tables of the journal.

`entry` is the log, `position` the state that it led to, `known` the ids that were taken, and
`channel` what proves the other three. `view` has the settings of derived channels, `ledger` what
was decided about each opening of their sources, and `alias`, in one row, who means which of them
by `main`. Bodies are JSON, for people with a SQLite shell.
"""

import sqlite3
from collections import defaultdict
from typing import Any, TypeAlias

from mtnet.errors import DamageError, JournalError

SCHEMA = 4
"""`PRAGMA user_version` of the files that this code reads and writes."""

WITHOUT_VIEWS = 2
"""The schema before there were views; it, and any later one, becomes the present one when a daemon
opens it: there are new tables, which are empty."""

TABLES = """
CREATE TABLE IF NOT EXISTS channel (
    name TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entry (
    channel TEXT NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (channel, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (
    channel TEXT NOT NULL,
    symbol TEXT NOT NULL,
    ticket TEXT NOT NULL,
    link BLOB NOT NULL,
    body BLOB NOT NULL,
    hash BLOB NOT NULL,
    PRIMARY KEY (channel, symbol, ticket)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS known (
    channel TEXT NOT NULL,
    id TEXT NOT NULL,
    seq INTEGER NOT NULL,
    proof BLOB NOT NULL,
    PRIMARY KEY (channel, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS known_by_seq ON known (channel, seq);
CREATE TABLE IF NOT EXISTS view (
    name TEXT NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ledger (
    view TEXT NOT NULL,
    source INTEGER NOT NULL,
    symbol TEXT NOT NULL,
    ticket TEXT NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (view, source, symbol, ticket)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alias (
    part INTEGER NOT NULL PRIMARY KEY,
    body BLOB NOT NULL,
    digest BLOB NOT NULL
) STRICT
"""
BACKUP = "CREATE TABLE heads (data BLOB NOT NULL) STRICT"
"""What a backup has besides: the checkpoint file."""
# SQLite keeps a statement without these words.
_EXPECTED = {" ".join(each.replace("IF NOT EXISTS ", "").split()) for each in TABLES.split(";")}
_NEWER = [
    {each for each in _EXPECTED if each.startswith(tables)}
    for tables in (
        (),
        ("CREATE TABLE alias",),
        ("CREATE TABLE alias", "CREATE TABLE view", "CREATE TABLE ledger"),
    )
]
"""The tables that files of this schema, and of the ones before it, have not."""

Rows: TypeAlias = list[tuple[Any, ...]]
Writes: TypeAlias = defaultdict[str, Rows]
"""Rows by the statement that writes them; the first value of each is its channel or view."""


def fetch(connection: sqlite3.Connection, statement: str, *values: object) -> Rows:
    """Return all rows; no cursor stays open, which would keep its transaction alive."""
    return connection.execute(statement, values).fetchall()


def rows(
    connection: sqlite3.Connection, shape: tuple[type, ...], statement: str, *values: object
) -> Rows:
    """
    Return all rows, of the types in `shape`.

    Raises:
        sqlite3.DatabaseError: they are of others: a damaged file gives rows of another table.
    """
    return shaped(connection.execute(statement, values).fetchall(), shape)


def shaped(found: Rows, shape: tuple[type, ...]) -> Rows:
    """Return `found`, if it is what `rows` may return."""
    for row in found:
        if tuple(map(type, row)) != shape:
            raise sqlite3.DatabaseError("a row is not of its table")
    return found


def write_apart(connection: sqlite3.Connection, writes: Writes) -> None:
    """
    Execute statements row by row.

    Raises:
        DamageError: a page is damaged; it names the channel whose row belongs there.
    """
    for statement, values in writes.items():
        for row in values:
            try:
                connection.execute(statement, row)
            except sqlite3.DatabaseError as error:
                raise blame(row[0], error) from error


def check_structure(connection: sqlite3.Connection) -> None:
    """
    Look at what SQLite believes without proof.

    Raises:
        JournalError: the tables or the form of the file are not those of a journal.
    """
    tables = rows(connection, (str,), "SELECT sql FROM sqlite_schema")
    found = {" ".join(sql.split()) for (sql,) in tables}
    ((vacuum,),) = fetch(connection, "PRAGMA auto_vacuum")
    # With the wrong form SQLite would keep its own notes on pages that hold rows.
    if found - {BACKUP} not in [_EXPECTED - newer for newer in _NEWER] or vacuum:
        raise JournalError("The tables are not those of a journal of signals")


def blame(channel: str, error: Exception) -> DamageError:
    """Return what is wrong with a channel, or raise what is wrong with the disk."""
    if isinstance(error, DamageError):
        return error
    # What has no code is text that is no UTF-8, or a row of another table.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_CONSTRAINT):
        raise error
    return DamageError(channel, f"channel {channel}: {error}")
