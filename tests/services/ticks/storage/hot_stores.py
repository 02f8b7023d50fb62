"""Stores of ticks with a log, what is committed to them, and what their files hold."""

import sqlite3
from contextlib import closing

from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage import log
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.tally import Tally

EURUSD, GBPUSD = b"EURUSD", b"GBPUSD"
NOON = 1_549_281_600_000
DESK = Source("desk", 3)


def tick(number):
    return b"1.%05d 1.2 - - %d 6" % (number, NOON + number)


def commit_of(ticks, source=DESK, when=NOON, forced=False):
    """Return a commit of ticks by symbol."""
    commit = Commit(sources=[snapshot(source)], token=1, forced=forced)
    for symbol, records in ticks.items():
        for block in Series(symbol, None, records, [(when, source.number)] * len(records)).pack():
            commit.add(block, (records[-1], when))
    commit.totals["stored"] = commit.ticks
    return commit


def segment(store, number=1):
    return store.path.parent / log.FOLDER / str(number)


def got(path, symbol=EURUSD):
    return [each.rest for each in TickReader(path).ticks(symbol)]


def in_blocks(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT coalesce(sum(ticks), 0) FROM block").fetchone()[0]


def again(store):
    """Open the files that a killed process has left."""
    store.close()
    found = HotStore(store.path)
    state = found.load(Tally(store.path.parent / "ticks.taken"), 10)
    return found, state
