"""Files of an older mtnet, which had no table of small blocks."""

import sqlite3
from contextlib import closing

STATEMENTS = """
DROP TRIGGER span_of_new;
DROP TRIGGER span_of_changed;
DROP TABLE span;
DROP VIEW block;
ALTER TABLE large_block RENAME TO block;
INSERT INTO block SELECT * FROM small_block;
DROP TABLE small_block;
DROP TABLE joins;
DROP TABLE cold_file;
ALTER TABLE symbol DROP COLUMN numbered;
ALTER TABLE symbol DROP COLUMN earliest;
ALTER TABLE symbol DROP COLUMN latest;
PRAGMA user_version = 1;
"""


def make_old(path):
    """Give a file the schema of an older mtnet; nobody has it open."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(STATEMENTS)
