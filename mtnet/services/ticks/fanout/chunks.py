"""
Ticks on their way to the subscribers: in chunks, each encoded once for all who are sent the same.

Pure.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from mtnet.services.ticks.wire import Record, encode_tick

Encode = Callable[[bytes, bytes, int, int], bytes]
"""Makes the bytes of a tick: of its symbol, the rest of its record, when it came, and how many
older ones were skipped. The same object for all subscribers that are sent the same."""
CHUNK = 512
"""Ticks of a chunk: some 40 kB. A subscriber whose socket is full after one gets no next one."""
MAX_WAITING = 4_096
"""Ticks that wait for the fan-out one by one. When more wait, it is behind, and the newest of each
symbol replaces the older ones: for all subscribers at once."""


class Tick(NamedTuple):
    """
    A tick for subscribers.

    Attributes:
        symbol: as on the wire.
        rest: what follows it in the record.
        when: when it came, milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that it replaces.
    """

    symbol: bytes
    rest: bytes
    when: int
    skipped: int


class Conflation:
    """
    Ticks that wait: the newest of each symbol, and how many older ones it replaces.

    Args:
        encode: the form in which they leave.
    """

    def __init__(self, encode: Encode = encode_tick) -> None:
        self._encode = encode
        self._waiting: dict[bytes, tuple[bytes, int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, symbol: bytes) -> bool:
        return symbol in self._waiting

    def offer(self, symbol: bytes, rest: bytes, when: int, skipped: int = 0) -> None:
        """Take a tick; an older one of its symbol is skipped, and counted."""
        found = self._waiting.get(symbol)
        if found is not None:
            skipped += found[2] + 1
        self._waiting[symbol] = rest, when, skipped

    def take(self, budget: int) -> bytes:
        """Return the lines of the symbols that wait longest, of about `budget` bytes."""
        lines, size = [], 0
        for symbol in list(self._waiting):
            if size >= budget:
                break
            lines.append(self._encode(symbol, *self._waiting.pop(symbol)))
            size += len(lines[-1])
        return b"".join(lines)

    def take_all(self) -> list[Tick]:
        """Return all ticks, and hold none."""
        waiting, self._waiting = self._waiting, {}
        return [Tick(symbol, *tick) for symbol, tick in waiting.items()]

    def keep(self, symbols: Collection[bytes]) -> None:
        """Drop the ticks of all other symbols: nobody waits for them any more."""
        self._waiting = {
            symbol: tick for symbol, tick in self._waiting.items() if symbol in symbols
        }


class Waiting:
    """
    The ticks that wait for the fan-out: one by one while they are few, conflated when it is behind.

    Attributes:
        ticks: how many wait one by one.
    """

    def __init__(self) -> None:
        self._conflated = Conflation()
        self._bursts: list[tuple[list[Record], int]] = []
        self.ticks = 0

    def __bool__(self) -> bool:
        return bool(self._bursts or self._conflated)

    def add(self, records: list[Record], when: int) -> None:
        """Take ticks that came at `when`."""
        self._bursts.append((records, when))
        self.ticks += len(records)
        if self.ticks > MAX_WAITING:
            for tick in self._take_bursts():
                self._conflated.offer(*tick)

    def take(self) -> list[Tick]:
        """Return all ticks, in the order in which those of each symbol came; hold none."""
        return [*self._conflated.take_all(), *self._take_bursts()]

    def _take_bursts(self) -> Iterator[Tick]:
        bursts, self._bursts = self._bursts, []
        self.ticks = 0
        for records, when in bursts:
            for symbol, rest in records:
                yield Tick(symbol, rest, when, 0)


class Chunk:
    """
    Consecutive ticks, and what was made of them for some subscribers: it serves the others, too.

    Args:
        number: rises with each chunk.

    Attributes:
        ticks: in order.
        extracts: what was made of it, by the group of subscribers.
    """

    def __init__(self, number: int, ticks: list[Tick]) -> None:
        self.number, self.ticks = number, ticks
        self.extracts: dict[object, Extract] = {}
        self._lines: dict[Encode, list[bytes | None]] = {}

    @cached_property
    def index(self) -> dict[bytes, list[int]]:
        """The places of the ticks of each symbol."""
        found: dict[bytes, list[int]] = {}
        for at, tick in enumerate(self.ticks):
            found.setdefault(tick[0], []).append(at)
        return found

    def lines(self, encode: Encode, places: Iterable[int]) -> Iterator[bytes]:
        """Yield the lines of the ticks at some places, each encoded once."""
        lines = self._lines.get(encode)
        if lines is None:
            lines = self._lines[encode] = [None] * len(self.ticks)
        for at in places:
            line = lines[at]
            if line is None:
                line = lines[at] = encode(*self.ticks[at])
            yield line


class Extract:
    """
    The ticks of a chunk that a group of subscribers wants.

    Args:
        places: of these ticks in the chunk.
    """

    def __init__(self, chunk: Chunk, encode: Encode, places: Sequence[int]) -> None:
        self._chunk, self._encode, self._places = chunk, encode, places

    @cached_property
    def data(self) -> bytes:
        """Their bytes."""
        return b"".join(self._chunk.lines(self._encode, self._places))

    @cached_property
    def newest(self) -> list[Tick]:
        """The newest of each symbol, with how many it replaces."""
        conflated = Conflation()
        for at in self._places:
            conflated.offer(*self._chunk.ticks[at])
        return conflated.take_all()


def cut(ticks: list[Tick], number: int) -> list[Chunk]:
    """Return ticks as chunks, numbered from `number` on."""
    starts = range(0, len(ticks), CHUNK)
    return [Chunk(number + at, ticks[start : start + CHUNK]) for at, start in enumerate(starts)]
