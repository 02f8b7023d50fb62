"""
The SQL schema of the ticks on disk.

`docs/reading-ticks.md` describes it for other tools.
"""

import sqlite3
from collections.abc import Sequence

SCHEMA = 5
"""`PRAGMA user_version` of the files that this code reads and writes."""
SMALL_BLOCKS_ARE_LARGE = 1
"""The schema of an older mtnet, which kept small blocks among the large ones for ever."""
ALL_IN_BLOCKS = 2
"""The schema of an older mtnet, which had no cold store."""
NO_LOG = 3
"""The schema of an older mtnet, which had no log before the blocks: it would not see it."""
NO_SPANS = 4
"""The schema of an older mtnet, which looked for the blocks of an hour from the first one on."""
UNBOUNDED = 2**62
"""Milliseconds that no block spans."""
ROWS = 256
"""Rows of one statement; SQLite takes 32,766 values in one."""
IMPORTED, OTHERS = 1, 2
"""The numbers of two sources that no sender can be: imported ticks, and all senders beyond
`ticks.max_sources`."""
IMPORT = "(import)"
"""The name of the first of them."""

Row = Sequence[object]

_TABLES = """
CREATE TABLE symbol (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ticks INTEGER NOT NULL DEFAULT 0,
    record TEXT,
    received INTEGER,
    earliest INTEGER,
    latest INTEGER
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
CREATE TABLE large_block (
    id INTEGER PRIMARY KEY,
    symbol INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE INDEX block_in_order ON large_block (symbol, first, last);
CREATE TABLE total (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO source (id, name) VALUES (1, '(import)'), (2, '(others)');
"""
_SMALL_BLOCKS = """
CREATE TABLE small_block (
    id INTEGER PRIMARY KEY,
    symbol INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    data BLOB NOT NULL
) STRICT;
CREATE VIEW block AS SELECT * FROM large_block UNION ALL SELECT * FROM small_block;
CREATE TABLE joins (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    count INTEGER NOT NULL,
    done INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;
INSERT INTO joins SELECT 1, 0, 0, coalesce(max(id), 0) FROM large_block;
"""
_COLD_FILES = """
ALTER TABLE symbol ADD COLUMN numbered INTEGER NOT NULL DEFAULT 0;
CREATE TABLE cold_file (
    id INTEGER PRIMARY KEY,
    symbol INTEGER NOT NULL,
    day INTEGER NOT NULL,
    part INTEGER NOT NULL,
    state INTEGER NOT NULL,
    ticks INTEGER NOT NULL,
    untimed INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    UNIQUE (symbol, day, part)
) STRICT;
"""
_SPANS = (
    """
    CREATE TABLE IF NOT EXISTS span (
        symbol INTEGER PRIMARY KEY, longest INTEGER NOT NULL
    ) STRICT
    """,
    *(
        f"""
        CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON large_block BEGIN
            INSERT INTO span VALUES (NEW.symbol, NEW.last - NEW.first)
            ON CONFLICT DO UPDATE SET longest = max(longest, excluded.longest);
        END
        """
        for name, event in (
            ("span_of_new", "INSERT"),
            ("span_of_changed", "UPDATE OF symbol, first, last"),
        )
    ),
)
"""The milliseconds from first to last that a large block of a symbol has, at most: a block that
begins earlier does not reach into an hour. Triggers keep it, whoever writes a block."""
_FILL_SPANS = """
INSERT OR REPLACE INTO span SELECT symbol, max(last - first) FROM large_block GROUP BY symbol
"""
_FILL_UNBOUNDED = f"INSERT OR REPLACE INTO span SELECT id, {UNBOUNDED} FROM symbol"
"""For a file with many small blocks among the large ones."""
_UPGRADE = """
ALTER TABLE block RENAME TO large_block;
ALTER TABLE symbol ADD COLUMN earliest INTEGER;
ALTER TABLE symbol ADD COLUMN latest INTEGER;
UPDATE symbol SET
    earliest = (SELECT min(first) FROM large_block WHERE symbol = symbol.id),
    latest = (SELECT max(last) FROM (
        SELECT last FROM large_block WHERE symbol = symbol.id ORDER BY first DESC LIMIT 1000
    ));
"""
"""The latest times are exact once the blocks that were there are joined: all of them are read then.
To read them here would take minutes after some years."""


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[Row], tail: str = "") -> None:
    """Insert rows, many with each statement."""
    for at in range(0, len(rows), ROWS):
        part = rows[at : at + ROWS]
        one = f"({', '.join('?' * len(part[0]))})"
        values = [value for row in part for value in row]
        connection.execute(
            f"INSERT INTO {into} VALUES {', '.join([one] * len(part))} {tail}", values
        )


def make_tables(connection: sqlite3.Connection, version: int) -> None:
    """Make the tables of a new file (version 0), or upgrade those of an older mtnet."""
    first = _TABLES if version == 0 else _UPGRADE
    small = "" if version >= ALL_IN_BLOCKS else first + _SMALL_BLOCKS
    cold = "" if version >= NO_LOG else _COLD_FILES
    for statement in (small + cold).split(";"):
        connection.execute(statement)
    fill = _FILL_UNBOUNDED if version == SMALL_BLOCKS_ARE_LARGE else _FILL_SPANS
    for statement in (*_SPANS, fill):
        connection.execute(statement)
