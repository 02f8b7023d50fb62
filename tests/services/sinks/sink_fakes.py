"""A server that takes ticks, can be down, and can lose its answer."""

from mtnet.services.sinks.model import Taken
from mtnet.services.sinks.target import TAKEN, TargetError, Written


class FakeTarget:
    """A server that keeps rows by the name of the queue and their number."""

    label = "fake://server"

    def __init__(self):
        self.down = self.deaf = False
        self.largest = self.refuses = 0
        self.rows, self.writes, self.repeated = {}, 0, 0

    def write(self, origin, batch):
        self.writes += 1
        if self.down or len(batch.ticks) > (self.largest or 10**9):
            raise TargetError("it is down" if self.down else "it did not answer in time")
        for row in batch.rows():
            self.repeated += (origin, row.seq) in self.rows
            self.rows[origin, row.seq] = row
        if self.deaf:
            raise TargetError("the answer was lost")
        return Written(self.refuses, "too old") if self.refuses else TAKEN

    def check(self):
        if self.down:
            raise TargetError("it is down")

    def close(self):
        pass


def ticks(count, first=0, symbol=b"EURUSD"):
    """Return ticks whose volumes are their places."""
    return [
        Taken(symbol, b"1.1 1.2 - %d" % (first + at), 1_796_000_000_000 + first + at, "desk")
        for at in range(count)
    ]


def volumes(rows):
    """Return the places of rows, in the order in which they came."""
    return [int(row.volume) for row in rows]
