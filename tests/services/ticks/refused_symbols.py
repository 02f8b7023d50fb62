"""Rows of one symbol that SQLite takes from nobody."""

import sqlite3
from contextlib import closing

CONDITIONS = {
    "symbol": "NEW.name = '{name}'",
    "small_block": "NEW.symbol = (SELECT id FROM symbol WHERE name = '{name}')",
}


def refuse_symbol(path, name, table="small_block"):
    """Let a table of the store have no row of one symbol: its name, or blocks of its ticks."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            f"CREATE TRIGGER refusal BEFORE INSERT ON {table} "
            f"WHEN {CONDITIONS[table].format(name=name)} "
            "BEGIN SELECT RAISE(ABORT, 'not this one'); END"
        )
