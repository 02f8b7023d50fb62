"""A collector with a disk and a clock of its own."""

import sqlite3
from contextlib import closing
from zlib import decompress

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock

from mtnet.errors import JournalError
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.blocks import unpack
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally

EURUSD, GBPUSD = b"EURUSD", b"GBPUSD"


class FailingStore(Store):
    """A disk that can be made to refuse, to fill up, and not to tell."""

    broken, room, commits = False, 2**40, 0

    def commit(self, commit):
        self.commits += 1
        if self.broken:
            raise JournalError("The disk is full.")
        super().commit(commit)

    def free(self):
        return self.room


class Harness:
    """A collector with a disk and a clock of its own."""

    def __init__(self, folder, clock=None, in_thread=maybeDeferred, reserve=0, room=2**40, **sets):
        self.folder, self.clock = folder, clock or Clock()
        self.disk = FailingStore(folder / "ticks.sqlite")
        self.disk.room = room
        self.settings = TickSettings(**sets)
        tally = Tally(folder / "ticks.taken")
        self.collector = Collector(self.settings, reserve, self.disk, tally, self.clock, in_thread)
        self.collector.open()
        self.taken = 0

    def now(self):
        return 10**12 + int(self.clock.seconds() * 1000)

    def take(self, records=1, symbol=EURUSD, source="desk"):
        """Take records that no other one is like."""
        batch = [(symbol, b"%d" % (self.taken + at)) for at in range(records)]
        self.taken += records
        source = self.collector.source(source)
        return self.collector.take(source, batch, self.now())

    def flush(self):
        self.clock.advance(self.settings.flush)

    def kill(self):
        """Let go of the file; nobody tells the collector."""
        self.disk.close()

    def close(self):
        outcome = []
        self.collector.close().addBoth(outcome.append)
        return outcome

    @property
    def health(self):
        return self.collector.health()

    def stored(self, symbol=EURUSD):
        """Return what is on disk of a symbol, in order."""
        rows = self.rows(
            "SELECT data FROM block JOIN symbol ON symbol.id = block.symbol "
            "WHERE symbol.name = ? ORDER BY block.id",
            symbol.decode(),
        )
        return [int(rest) for (data,) in rows for rest in unpack(decompress(data))[1]]

    def rows(self, query, *values):
        with closing(sqlite3.connect(self.folder / "ticks.sqlite")) as connection:
            return connection.execute(query, values).fetchall()
