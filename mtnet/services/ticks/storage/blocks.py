"""
Ticks in memory, and blocks of them for the disk.

Pure. Ticks that came at one time from one source share a mark, so that the time and the source
of a tick cost next to nothing while many come.
"""

import re
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

BLOCK = 4_096
"""Ticks of a block, at most: a reader unpacks no more of them to find one."""
FULL = 512
"""Ticks from which on a block is large, and stays as it is: beyond, it takes hardly less space a
tick."""
RUN = struct.Struct("<qII")
"""A run: when its ticks came, the number of their source, how many there are."""

Mark = tuple[int, int]
"""When ticks came (milliseconds since the Unix epoch, UTC), and the number of their source."""

Run = tuple[int, int, int]
"""When ticks came, the number of their source, how many they are."""

_TIMES = re.compile(rb"^(?:[^ \n]+ ){4}([0-9]+)", re.MULTILINE)


class Block(NamedTuple):
    """
    Ticks of one symbol, in order of arrival.

    Attributes:
        symbol: as on the wire.
        ticks: how many.
        first, last: the lowest and highest of their times: TIME where it was sent, else when
            they came.
        runs: of ticks with one mark.
        data: the number of runs (32 bits), the runs, and what follows the symbol in each tick,
            joined by LF.
    """

    symbol: bytes
    ticks: int
    first: int
    last: int
    runs: list[Run]
    data: bytes

    @property
    def text(self) -> bytes:
        """The ticks, joined by LF."""
        return self.data[4 + RUN.size * len(self.runs) :]


@dataclass
class Reception:
    """
    Statistics of one symbol from one source.

    Attributes:
        ticks: how many.
        first, last: when the first and the last came.
        longest: milliseconds between two of them, at most.
    """

    ticks: int
    first: int
    last: int
    longest: int = 0

    def add(self, ticks: int, when: int) -> None:
        """Count ticks that came later."""
        self.ticks += ticks
        self.longest = max(self.longest, when - self.last)
        self.last = max(self.last, when)


@dataclass
class Series:
    """
    The ticks of one symbol that no block holds yet.

    Attributes:
        symbol: as on the wire.
        newest: the last tick of a block and when it came, once there was one.
        records: what followed the symbol in each tick.
        marks: of each tick.
    """

    symbol: bytes
    newest: tuple[bytes, int] | None = None
    records: list[bytes] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)

    def latest(self) -> tuple[bytes, int] | None:
        """Return the last tick and when it came."""
        return (self.records[-1], self.marks[-1][0]) if self.records else self.newest

    def pack(self) -> Iterator[Block]:
        """Take all ticks out, and yield them in blocks, packed one by one."""
        self.newest = self.latest()
        records, marks = self.records, self.marks
        self.records, self.marks = [], []
        for at in range(0, len(records), BLOCK):
            yield _block(self.symbol, records[at : at + BLOCK], marks[at : at + BLOCK])


class Memtable:
    """
    In-memory write buffer: the ticks of all symbols that no block holds yet.

    Args:
        newest: the symbols that the store has, each with its last tick and when it came.
        limit: how many symbols there may be.
    """

    def __init__(self, newest: Mapping[bytes, tuple[bytes, int] | None], limit: int) -> None:
        self._series = {symbol: Series(symbol, last) for symbol, last in newest.items()}
        self._limit = limit
        self._filled: list[Series] = []

    def __bool__(self) -> bool:
        return bool(self._filled)

    def __len__(self) -> int:
        return len(self._series)

    def __contains__(self, symbol: bytes) -> bool:
        return symbol in self._series

    def add(self, ticks: Mapping[bytes, Sequence[bytes]], mark: Mark) -> dict[bytes, int]:
        """
        Add ticks of one mark by symbol; return how many of each symbol one too many it rejects.
        """
        rejected: dict[bytes, int] = {}
        for symbol, rests in ticks.items():
            found = self._to_fill(symbol)
            if found is None:
                rejected[symbol] = len(rests)
            else:
                found.records += rests
                found.marks += [mark] * len(rests)
        return rejected

    def add_each(
        self, records: Iterable[tuple[bytes, bytes]], marks: Iterable[Mark]
    ) -> dict[bytes, int]:
        """Add (symbol, rest) records, each with a mark of its own, as `add` does."""
        rejected: dict[bytes, int] = {}
        for (symbol, rest), mark in zip(records, marks, strict=True):
            found = self._to_fill(symbol)
            if found is None:
                rejected[symbol] = rejected.get(symbol, 0) + 1
            else:
                found.records.append(rest)
                found.marks.append(mark)
        return rejected

    def last_tick(self, symbol: bytes) -> tuple[bytes, int] | None:
        """Return the last tick of a symbol, without the symbol, and when it came."""
        found = self._series.get(symbol)
        return None if found is None else found.latest()

    def symbols(self) -> Collection[bytes]:
        """Return the symbols of which there ever was a tick."""
        return self._series.keys()

    def take_filled(self) -> list[Series]:
        """Return the series that hold ticks; those filled from now on are returned next time."""
        filled, self._filled = self._filled, []
        return filled

    def _to_fill(self, symbol: bytes) -> Series | None:
        """Return the series of a symbol, which gets ticks now; None = it is one too many."""
        found = self._series.get(symbol)
        if found is None:
            if len(self._series) >= self._limit:
                return None
            found = self._series[symbol] = Series(symbol)
        if not found.records:
            self._filled.append(found)
        return found


def _block(symbol: bytes, records: list[bytes], marks: list[Mark]) -> Block:
    runs = [(*mark, len(list(same))) for mark, same in groupby(marks)]
    return block_of(symbol, runs, b"\n".join(records))


def block_of(symbol: bytes, runs: list[Run], text: bytes) -> Block:
    """Return a block of ticks that are joined by LF."""
    ticks = count_ticks(text)
    times = [int(time) for time in _TIMES.findall(text)] if b" " in text else []
    if len(times) < ticks:
        times += [received for received, _, _ in runs]
    return Block(symbol, ticks, min(times), max(times), runs, _data(runs, text))


def count_ticks(text: bytes) -> int:
    """Return how many ticks are joined by LF."""
    return text.count(b"\n") + 1


def _data(runs: list[Run], text: bytes) -> bytes:
    return len(runs).to_bytes(4, "little") + b"".join([RUN.pack(*run) for run in runs]) + text


def unpack(data: bytes) -> tuple[list[Run], list[bytes]]:
    """Return the runs and the records of a block's `data`."""
    runs, text = unpack_text(data)
    return runs, text.split(b"\n")


def unpack_text(data: bytes) -> tuple[list[Run], bytes]:
    """Return the runs of a block's `data`, and its records, joined by LF."""
    runs, text = split(data)
    return list(RUN.iter_unpack(runs)), text


def split(data: bytes) -> tuple[bytes, bytes]:
    """Return the runs of a block's `data`, packed, and its records, joined by LF."""
    end = 4 + RUN.size * int.from_bytes(data[:4], "little")
    return data[4:end], data[end:]


class JoinedBlock:
    """
    Blocks of one symbol that become one, in their order.

    Attributes:
        number: of the last of them, which becomes that of the whole.
        blocks: how many they are.
        ticks: how many they hold.
        first, last: the lowest and highest of their order times.
    """

    def __init__(self) -> None:
        self.number = self.blocks = self.ticks = 0
        self.first, self.last = 2**63 - 1, -(2**63)
        self._runs: list[Run] = []
        self._texts: list[bytes] = []

    def add(self, number: int, ticks: int, first: int, last: int, data: bytes) -> None:
        """
        Add a block.

        Raises:
            ValueError: its data is damaged; nothing is added.
        """
        end = 4 + RUN.size * int.from_bytes(data[:4], "little")
        runs, text = list(RUN.iter_unpack(data[4:end])), data[end:]
        if not ticks == sum(run[2] for run in runs) == text.count(b"\n") + 1:
            raise ValueError(f"{ticks} ticks were expected")
        for run in runs:
            if self._runs and self._runs[-1][:2] == run[:2]:
                run = (*run[:2], self._runs.pop()[2] + run[2])
            self._runs.append(run)
        self._texts.append(text)
        self.number, self.blocks, self.ticks = number, self.blocks + 1, self.ticks + ticks
        self.first, self.last = min(self.first, first), max(self.last, last)

    def data(self) -> bytes:
        """Return the data of the whole."""
        return _data(self._runs, b"\n".join(self._texts))
