"""Files of an older mtnet: without spans, without a log, without a table of small blocks."""

import sqlite3
from contextlib import closing
from pathlib import Path

NO_SPANS = """
DROP TRIGGER span_of_new;
DROP TRIGGER span_of_changed;
DROP TABLE span;
"""
NO_SMALL_BLOCKS = """
DROP VIEW block;
ALTER TABLE large_block RENAME TO block;
INSERT INTO block SELECT * FROM small_block;
DROP TABLE small_block;
DROP TABLE joins;
DROP TABLE cold_file;
ALTER TABLE symbol DROP COLUMN numbered;
ALTER TABLE symbol DROP COLUMN earliest;
ALTER TABLE symbol DROP COLUMN latest;
"""


def drop_spans(path: Path, schema: int) -> None:
    """Give a file an earlier schema whose tables lack the spans alone."""
    _change(path, f"{NO_SPANS} PRAGMA user_version = {schema};")


def make_old(path: Path) -> None:
    """Give a file the first schema; nobody has it open."""
    _change(path, f"{NO_SPANS} {NO_SMALL_BLOCKS} PRAGMA user_version = 1;")


def _change(path: Path, statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statements)
