"""
A tick on its way to a database.

Pure.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec import Struct

ABSENT = b"-"


class Taken(Struct, frozen=True, array_like=True):
    """
    A tick as it was taken.

    Attributes:
        symbol, rest: see `ITickObserver`.
        when: of its receipt, milliseconds since the Unix epoch, UTC.
        source: the name of its sender.
    """

    symbol: bytes
    rest: bytes
    when: int
    source: str


class Batch(NamedTuple):
    """
    Ticks that follow each other in the queue of a sink.

    Attributes:
        first: the number of the first one; the numbers of a queue rise by 1, and are never used
            again.
    """

    first: int
    ticks: Sequence[Taken]

    @property
    def last(self) -> int:
        """The number of the last one."""
        return self.first + len(self.ticks) - 1

    def behind(self, number: int) -> "Batch":
        """Return the ticks behind a number."""
        skipped = max(0, number + 1 - self.first)
        return Batch(self.first + skipped, self.ticks[skipped:])

    def head(self, count: int) -> "Batch":
        """Return the first ticks."""
        return Batch(self.first, self.ticks[:count])

    def rows(self) -> "Iterator[Row]":
        """Yield the ticks as rows."""
        for number, each in enumerate(self.ticks, self.first):
            yield row(number, each)


class Row(NamedTuple):
    """
    A tick as a row of a database.

    Attributes:
        seq: the number in the queue of the sink.
        symbol: as its broker has it.
        received: milliseconds since the Unix epoch, UTC.
        time: the terminal's own clock, milliseconds; None = it was not sent.
        bid, ask, last, volume: the digits that were sent; None = they were not.
        flags: of `MqlTick`.
    """

    seq: int
    symbol: str
    source: str
    received: int
    time: int | None
    bid: str | None
    ask: str | None
    last: str | None
    volume: str | None
    flags: int | None


def row(number: int, tick: Taken) -> Row:
    """Return a tick as a row."""
    fields = [None if each == ABSENT else each.decode("ascii") for each in tick.rest.split(b" ")]
    bid, ask, last, volume, time, flags = fields + [None] * (6 - len(fields))
    return Row(
        number,
        unquote_to_bytes(tick.symbol).decode(),
        tick.source,
        tick.when,
        None if time is None else int(time),
        bid,
        ask,
        last,
        volume,
        None if flags is None else int(flags),
    )
