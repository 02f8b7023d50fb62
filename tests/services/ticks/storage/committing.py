"""Commits of ticks, and what a file holds, for the tests of the store."""

import sqlite3
from contextlib import closing

from mtnet.services.ticks.model import Batch
from mtnet.services.ticks.storage.blocks import Reception, Series
from mtnet.services.ticks.storage.commits import Commit

ONE, OTHER = b"EURUSD 1.1\n", b"EURUSD 1.2\n"
TABLES = ("symbol", "source", "heard", "gap", "seen", "small_block", "total")
COUNTS = (
    "name", "number", "received", "refused", "dropped", "repeated", "repeats", "restarts",
    "disorder", "missing", "highest", "first", "last", "longest",
)  # fmt: skip


def batch(number, text=ONE):
    return Batch(number, text).seen()


def commit_of(symbol, *records, when=17, source=3):
    """Return a commit of the ticks of one symbol."""
    blocks = list(Series(symbol, None, list(records), [(when, source)] * len(records)).pack())
    heard = {(source, symbol): Reception(len(records), when, when)}
    return Commit(blocks, heard, {symbol: (records[-1], when)}, [], {"stored": len(records)})


def ask(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def change(path, *statements):
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def everything(path):
    return {table: ask(path, f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}
