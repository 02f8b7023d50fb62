"""A store of ticks with a cold store, for tests."""

import sqlite3
from contextlib import closing

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.durations import DAY_MS
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InlineWorker

DAY = 20_000
"""A day: 2024-10-04."""
MIDNIGHT = DAY * DAY_MS
EURUSD = b"EURUSD"


def result(work):
    """Return what a coroutine returns that never waits, or raise what it raises."""
    done = []
    Deferred.fromCoroutine(work).addBoth(done.append)
    assert done, "it waits"
    if isinstance(done[0], Failure):
        done[0].raiseException()
    return done[0]


class Both:
    """The two stores of a folder."""

    def __init__(self, folder):
        self.path = folder / "ticks.sqlite"
        self.open()
        self.store.commit(Commit(sources=[snapshot(Source("desk", 3))]))

    def open(self):
        self.store = Store(self.path)
        self.cold = ColdStore(self.store, InlineWorker(), InlineWorker(), noop)

    def add_source(self, name, number):
        self.store.commit(Commit(sources=[snapshot(Source(name, number))]))

    def put(self, *records, symbol=EURUSD, received=MIDNIGHT, token=0, source=()):
        """
        Store (time, price) pairs as a commit, or records as they are; `source` = that of each.
        """
        rests = [
            each if isinstance(each, bytes) else b"%b - - - %d" % each[::-1] for each in records
        ]
        commit = Commit(token=token)
        marks = [(received, number) for number in source or [3] * len(rests)]
        for block in Series(symbol, None, rests, marks).pack():
            commit.add(block, (rests[-1], received))
        self.store.commit(commit)
        return rests

    def join(self):
        age = True
        while self.store.join(age):
            age = False

    def compact(self, day=DAY + 1, most=None):
        return result(self.cold.compact(day, most))

    def delete(self, symbol=EURUSD, start=None, stop=None):
        return result(self.cold.delete(symbol, start, stop))

    def files(self):
        return sorted(self.path.parent.glob("ticks/**/*.parquet"))

    def told(self, symbol=EURUSD, *span):
        return [each.rest for each in TickReader(self.path).ticks(symbol, *span)]

    def ask(self, query, *values):
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(query, values).fetchall()
