"""
Merges: what the log holds becomes blocks.

Pure. Segments are read in steps, and become one commit with the number of the last of them:
whatever ends the process, a tick is stored once.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from mtnet.services.ticks.storage.blocks import BLOCK, Block, Run, block_of
from mtnet.services.ticks.storage.commits import Commit, SourceSnapshot, latest
from mtnet.services.ticks.storage.log_columns import Piece
from mtnet.services.ticks.storage.log_records import (
    BlockReader,
    Record,
    Scan,
    Summary,
    details,
    read_records,
    scan,
    sources,
)
from mtnet.services.ticks.storage.rows import MERGED

LEVEL = 6
"""Of zlib: a merged block is written once, and read often."""
STEP = 64
"""Records that one step reads: about 10 ms."""


class BlockBuilder:
    """Joins the ticks of one symbol, in order of arrival, into blocks."""

    def __init__(self, symbol: bytes) -> None:
        self._symbol = symbol
        self._runs: list[Run] = []
        self._records: list[bytes] = []
        self._blocks: list[Block] = []

    def add(self, piece: Piece) -> None:
        """Add ticks."""
        if self._records and len(self._records) + len(piece.records) > BLOCK:
            self._close()
        for run in piece.runs:
            if self._runs and self._runs[-1][:2] == run[:2]:
                run = (*run[:2], self._runs.pop()[2] + run[2])
            self._runs.append(run)
        self._records += piece.records

    def take(self) -> list[Block]:
        """Return the blocks."""
        if self._records:
            self._close()
        return self._blocks

    def _close(self) -> None:
        self._blocks.append(block_of(self._symbol, self._runs, b"\n".join(self._records)))
        self._runs, self._records = [], []


class Merge:
    """
    Makes one commit of some segments.

    Args:
        segments: by number.

    Attributes:
        numbers: of the segments, in order.
        damaged: the segments that are.
    """

    def __init__(self, segments: Mapping[int, bytes]) -> None:
        self.numbers = sorted(segments)
        scans = {number: scan(data) for number, data in segments.items()}
        self.damaged = frozenset(number for number, each in scans.items() if each.damaged)
        self._records = _all_records(segments, scans)
        self._reader = BlockReader()
        self._builders: dict[bytes, BlockBuilder] = {}
        self._snapshots: list[SourceSnapshot] = []
        # A token that no other commit has: those of the others are above 0.
        self._commit = Commit(level=LEVEL, token=-self.numbers[-1])

    def read(self) -> bool:
        """Read some records; return whether there are more."""
        records = 0
        for record in islice(self._records, STEP):
            records += 1
            found = details(record.text)
            self._snapshots += sources(found)
            for name, number in found.totals.items():
                self._commit.count(name, number)
            for piece in self._reader.pieces(record):
                builder = self._builders.get(piece.symbol)
                if builder is None:
                    builder = self._builders[piece.symbol] = BlockBuilder(piece.symbol)
                builder.add(piece)
        return records == STEP

    def commit(self) -> Commit:
        """Return the commit, once all is read."""
        commit = self._commit
        for builder in self._builders.values():
            for block in builder.take():
                commit.add(block, (block.text.rpartition(b"\n")[2], block.runs[-1][0]))
        self._builders = {}
        commit.sources = latest(self._snapshots)
        commit.totals[MERGED] = self.numbers[-1]
        return commit


def _all_records(segments: Mapping[int, bytes], scans: Mapping[int, Scan]) -> Iterator[Record]:
    for number, data in sorted(segments.items()):
        yield from read_records(data, scans[number].records)


def summary_of(segments: Iterable[bytes]) -> Commit:
    """Return the commit of segments in order; its blocks have no ticks, only their numbers."""
    commit = Commit()
    snapshots: list[SourceSnapshot] = []
    for data in segments:
        found = scan(data)
        begin = 0 if found.damaged else _last_chunk(found)
        summary, reader = Summary(), BlockReader()
        for at, record in enumerate(read_records(data, found.records)):
            read = details(record.text)
            snapshots += sources(read)
            for name, number in read.totals.items():
                commit.count(name, number)
            if at == begin and not found.damaged:
                summary.put(read)
            if at >= begin:
                for block in reader.blocks(record):
                    summary.add(block)
        summary.add_to(commit)
    commit.sources = latest(snapshots)
    return commit


def ticks_of(symbol: bytes, segments: Iterable[bytes], low: int, high: int) -> list[Block]:
    """
    Return the ticks of one symbol, in order of arrival, from segments in order.

    Args:
        low, high: order times: segments and blocks are left out that have none between.
    """
    builder, reader = BlockBuilder(symbol), BlockReader(symbol)
    for data in segments:
        found = scan(data)
        if found.damaged or _reaches(data, found, symbol, low, high):
            for record in read_records(data, found.records):
                for piece in reader.pieces(record):
                    builder.add(piece)
    return [each for each in builder.take() if each.last >= low and each.first < high]


def _last_chunk(found: Scan) -> int:
    """Return which record begins the last chunk."""
    return max((at for at, each in enumerate(found.records) if each.is_first), default=0)


def _reaches(data: bytes, found: Scan, symbol: bytes, low: int, high: int) -> bool:
    """Return whether a segment has ticks of a symbol between two order times: by its last chunk."""
    summary, reader = Summary(), BlockReader(symbol)
    for at, record in enumerate(read_records(data, found.records[_last_chunk(found) :])):
        if at == 0:
            summary.put(details(record.text))
        for block in reader.blocks(record):
            summary.add(block)
    times = summary.times(symbol)
    return times is not None and times[1] >= low and times[0] < high
