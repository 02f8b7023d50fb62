"""
The SQL schema of the ticks on disk.

`docs/reading-ticks.md` describes it for other tools.
"""

import sqlite3
from collections.abc import Sequence

SCHEMA = 1
"""`PRAGMA user_version` of the files that this code reads and writes."""
ROWS = 256
"""Rows of one statement; SQLite takes 32,766 values in one."""
IMPORTED, OTHERS = 1, 2
"""The numbers of two sources that no sender can be: imported ticks, and all senders beyond
`ticks.max_sources`."""

Row = Sequence[object]

TABLES = """
CREATE TABLE symbol (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ticks INTEGER NOT NULL DEFAULT 0,
    record TEXT,
    received INTEGER
) STRICT;
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    received INTEGER NOT NULL DEFAULT 0,
    refused INTEGER NOT NULL DEFAULT 0,
    dropped INTEGER NOT NULL DEFAULT 0,
    repeated INTEGER NOT NULL DEFAULT 0,
    repeats INTEGER NOT NULL DEFAULT 0,
    restarts INTEGER NOT NULL DEFAULT 0,
    disorder INTEGER NOT NULL DEFAULT 0,
    missing INTEGER NOT NULL DEFAULT 0,
    highest INTEGER,
    first INTEGER,
    last INTEGER,
    longest INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE heard (
    source INTEGER NOT NULL,
    symbol INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    longest INTEGER NOT NULL,
    PRIMARY KEY (source, symbol)
) STRICT, WITHOUT ROWID;
CREATE TABLE gap (
    source INTEGER NOT NULL,
    run INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    found INTEGER NOT NULL,
    late INTEGER NOT NULL,
    PRIMARY KEY (source, run, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE seen (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    run INTEGER NOT NULL,
    highest INTEGER NOT NULL,
    batches BLOB NOT NULL
) STRICT;
CREATE INDEX seen_of_source ON seen (source);
CREATE TABLE block (
    id INTEGER PRIMARY KEY,
    symbol INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX block_in_order ON block (symbol, first, last);
CREATE TABLE total (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO source (id, name) VALUES (1, '(import)'), (2, '(others)');
"""


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Row], tail: str = "") -> None:
    """Insert rows, many with each statement."""
    for at in range(0, len(rows), ROWS):
        part = rows[at : at + ROWS]
        one = f"({', '.join('?' * len(part[0]))})"
        values = [value for row in part for value in row]
        connection.execute(
            f"INSERT INTO {into} VALUES {', '.join([one] * len(part))} {tail}", values
        )
