"""
Reads the ticks on disk, also while a daemon runs.

Pure: no Twisted, no clock. Order time is TIME where it was sent, else the time of receipt; both
are milliseconds. Of equal order times, the tick of a source that came first is first; of several
sources, that which was in blocks first, as the ticks of an import, which pass the log.

Closed days are in Parquet files, the newest ticks in a log, and both are read with the blocks as
one. Each page of blocks is a snapshot of its own. Blocks may be joined or compacted between two
pages, which changes no tick and no order: the reader then goes on behind the last tick that it
yielded.
"""

import sqlite3
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from heapq import merge
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from mtnet.errors import ClientError, JournalError
from mtnet.services.ticks.cold.catalog import STORED, ColdFile, files_of
from mtnet.services.ticks.cold.catalog import files as stored_files
from mtnet.services.ticks.cold.layout import FOLDER
from mtnet.services.ticks.cold.reading import merged, read_files
from mtnet.services.ticks.storage.blocks import unpack
from mtnet.services.ticks.storage.commits import UNSTORED, unstored_of
from mtnet.services.ticks.storage.merge import ticks_of
from mtnet.services.ticks.storage.overlay import hot_blocks, read_segments, show, snapshot_with_log
from mtnet.services.ticks.storage.schema import (
    SCHEMA,
    SMALL_BLOCKS_ARE_LARGE,
    UNBOUNDED,
)
from mtnet.services.ticks.storage.snapshot import StaleSnapshotError, snapshot
from mtnet.services.ticks.wire import time_of

PAGE = 64
"""Blocks that are read at once: during a read the write-ahead log can only grow."""

Facts = dict[str, Any]
Tick = tuple[int, bytes, int, str, int | None]
"""Order time, rest, receipt, the name of the source, `seq`."""
Row = TypeVar("Row")
PendingTick = tuple[int, int, int, bytes, int, int]
"""Order time, number of the block, place in it, then the tick: rest, receipt, source."""

_SYMBOLS = """
SELECT name AS symbol, ticks, earliest AS first, latest AS last, coalesce(sources, 0) AS sources
FROM symbol LEFT JOIN (SELECT symbol, count(*) AS sources FROM heard GROUP BY symbol) AS heard
    ON heard.symbol = symbol.id
WHERE ticks > 0 ORDER BY name
"""
_EXTENT = "SELECT ticks, earliest, latest FROM symbol WHERE name = :name AND ticks > 0"
_SYMBOL = """
SELECT id AS symbol, (SELECT count FROM joins) AS joins,
    (SELECT longest FROM span WHERE span.symbol = one.id) AS longest,
    max(coalesce((SELECT max(id) FROM large_block), 0),
        coalesce((SELECT max(id) FROM small_block), 0)) AS newest
FROM symbol AS one WHERE name = :name
"""
_BOUNDS = """
SELECT first, last FROM block JOIN symbol ON symbol.id = block.symbol
WHERE name = ? AND last >= ? AND first < ?
"""
_NUMBERED = "SELECT numbered FROM symbol WHERE name = ?"
_SMALL = """
SELECT id, first, data FROM small_block
WHERE symbol = :symbol AND last >= :start AND first < :stop ORDER BY first, id
"""
_PAGE = """
SELECT id, first, data FROM large_block
WHERE symbol = :symbol AND id <= :newest AND last >= :start AND first < :stop
    AND (first, id) > (:first, :id)
ORDER BY first, id LIMIT :page
"""
_SOURCES = f"""
SELECT name AS source, received,
    (SELECT coalesce(sum(ticks), 0) FROM heard WHERE heard.source = source.id) AS stored,
    dropped + coalesce(
        (SELECT value FROM total WHERE total.name = '{unstored_of("")}' || source.id), 0
    ) AS dropped, refused, repeated, repeats, restarts, disorder AS late,
    (SELECT count(*) FROM gap WHERE gap.source = source.id) AS gaps, missing,
    first, last, longest AS silence
FROM source WHERE received > 0 ORDER BY source.id
"""
_HEARD = """
SELECT source.name AS source, symbol.name AS symbol, heard.ticks AS stored, heard.first,
    heard.last, heard.longest AS silence
FROM heard JOIN source ON source.id = heard.source JOIN symbol ON symbol.id = heard.symbol
ORDER BY source.id, symbol.name
"""
_GAPS = """
SELECT source.name AS source, gap.found, gap.first, gap.last,
    gap.last - gap.first + 1 - gap.late AS missing, gap.late
FROM gap JOIN source ON source.id = gap.source ORDER BY gap.found, source.id
"""
EARLIEST, LATEST = -(2**62), 2**62
"""Order times, milliseconds, of no tick."""
LAST_NUMBER = 2**63 - 1
"""A number of a block behind all others."""


class Stored(NamedTuple):
    """
    A tick.

    Attributes:
        time: order time.
        rest: what follows the symbol on the wire.
        received: when it came, milliseconds since the Unix epoch, UTC.
        source: who sent it.
        seq: its number among the ticks of the symbol that went into files; None = it did not yet.
    """

    time: int
    rest: bytes
    received: int
    source: str
    seq: int | None = None


class Stretches(NamedTuple):
    """
    Where the ticks of a symbol lie in a span of order times.

    Attributes:
        files: by day and part.
        blocks: the lowest and highest order time of each, in no order.
        numbered: ticks of the symbol that went into files.
    """

    files: list[ColdFile]
    blocks: list[tuple[int, int]]
    numbered: int


class Extent(NamedTuple):
    """
    The stored ticks of a symbol.

    Attributes:
        ticks: how many.
        earliest, latest: their lowest and highest order times.
    """

    ticks: int
    earliest: int
    latest: int


class TickReader:
    """
    Reads one file, and the files of the cold store beside it.

    Attributes:
        root: the folder of the cold store.

    Raises:
        ClientError: the file does not exist.
        JournalError: it is damaged, or of a newer mtnet; of each method, too.
    """

    def __init__(self, path: Path) -> None:
        self._path, self.root = path, path.parent / FOLDER
        if not path.exists() or not path.stat().st_size:
            raise ClientError(f"There are no ticks in {path.parent}: {path.name} is not there.")
        version = self._rows("SELECT user_version AS version FROM pragma_user_version")
        if not SMALL_BLOCKS_ARE_LARGE <= version[0]["version"] <= SCHEMA:
            raise JournalError(
                f"{path} has schema {version[0]['version']} of another mtnet; this one reads "
                f"{SMALL_BLOCKS_ARE_LARGE} to {SCHEMA}."
            )

    def symbols(self) -> list[Facts]:
        """Return each symbol with the number of its ticks and sources, and its order times."""
        with self._all() as connection:
            return _facts(connection, _SYMBOLS)

    def extent(self, symbol: bytes) -> Extent | None:
        """Return how many ticks of a symbol there are, and their order times; None = none."""
        with self._all() as connection:
            row = connection.execute(_EXTENT, {"name": symbol.decode()}).fetchone()
        return None if row is None else Extent(*row)

    def report(self) -> dict[str, list[Facts] | Facts]:
        """Return what each source sent, and its gaps; times in milliseconds, UTC."""
        names = ("stored", "lost", UNSTORED, "kernel drops")
        with self._all() as connection:
            totals = dict(map(tuple, connection.execute("SELECT name, value FROM total")))
            return {
                "sources": _facts(connection, _SOURCES),
                "symbols": _facts(connection, _HEARD),
                "gaps": _facts(connection, _GAPS),
                "totals": {name: totals.get(name, 0) for name in names},
            }

    def ticks(
        self, symbol: bytes, start: int | None = None, stop: int | None = None
    ) -> Iterator[Stored]:
        """
        Yield the ticks of a symbol in order, those that are stored now.

        Args:
            start, stop: order times; `start` is included, `stop` is not.
        """
        high = LATEST if stop is None else stop
        at, passed = EARLIEST if start is None else start, 0
        names = _Names(self._sources)
        while True:
            begin, behind = at, passed
            try:
                for time, rest, received, source, seq in self._both(symbol, begin, high, names):
                    if not begin <= time < high:
                        continue
                    if behind and time == begin:
                        behind -= 1
                        continue
                    if time == at:
                        passed += 1
                    else:
                        at, passed = time, 1
                    yield Stored(time, rest, received, source, seq)
                return
            except StaleSnapshotError:
                continue

    def _both(self, symbol: bytes, low: int, high: int, names: "_Names") -> Iterator[Tick]:
        """Yield what is stored in files and blocks; of one time, what is in files came first."""
        files, blocks = self.stores(symbol, low, high)
        hot = ((time, rest, came, names[source], None) for time, rest, came, source in blocks)
        cold = self.guarded(files, read_files(self.root, files, low, high))
        return merged(cold, hot) if files else hot

    def stretches(self, symbol: bytes, low: int, high: int) -> Stretches:
        """Return where the ticks of a span of order times lie now; `high` is not included."""
        asked = (symbol.decode(), low, high)
        with snapshot_with_log(self._path) as (connection, segments):
            files = files_of(connection, *asked)
            blocks = [(row[0], row[1]) for row in connection.execute(_BOUNDS, asked)]
            found = connection.execute(_NUMBERED, asked[:1]).fetchone()
        newest = [(each.first, each.last) for each in ticks_of(symbol, segments, low, high)]
        return Stretches(files, blocks + newest, found[0] if found else 0)

    def stores(
        self, symbol: bytes, low: int, high: int
    ) -> tuple[list[ColdFile], Iterator[tuple[int, bytes, int, int]]]:
        """
        Return the files of a symbol that hold order times of a span, by day and part, and the
        ticks of its blocks: order time, rest, receipt, number of the source.

        Blocks hold some ticks before `low` and after `high`, too. The iterator raises
        `StaleSnapshotError` when the two stores have changed: begin again.
        """
        with self._snapshot() as connection:
            query = "SELECT count FROM joins"
            (count,) = connection.execute(query).fetchone()
            files = files_of(connection, symbol.decode(), low, high)
        return files, self._in_order(self._blocks(symbol, low, high, count))

    def guarded(self, files: list[ColdFile], rows: Iterator[Row]) -> Iterator[Row]:
        """Yield what is read from files; raises `StaleSnapshotError` when one was replaced."""
        try:
            yield from rows
        except FileNotFoundError as error:
            with self._snapshot() as connection:
                there = {each.id for each in stored_files(connection, (STORED,))}
            if not there.issuperset(each.id for each in files):
                raise StaleSnapshotError from error
            raise JournalError(f"{error.filename} is gone: ticks are missing.") from error

    def _in_order(
        self, blocks: Iterable[tuple[int, int, bytes]]
    ) -> Iterator[tuple[int, bytes, int, int]]:
        """
        Merge blocks that come by lowest time, then by number: ticks below the next block go out.

        Held ticks are sorted only when as many new ones have come: a block that overlaps many
        others would otherwise be sorted again with each of them.
        """
        held: list[PendingTick] = []
        fresh: list[PendingTick] = []
        for number, first, data in blocks:
            if len(fresh) > len(held):
                held = sorted(held + fresh)
                fresh = []
                at = bisect_left(held, (first, number))
                yield from (_tick(each) for each in held[:at])
                del held[:at]
            fresh += self._open(number, data)
        yield from (_tick(each) for each in sorted(held + fresh))

    def _blocks(
        self, symbol: bytes, low: int, high: int, count: int
    ) -> Iterator[tuple[int, int, bytes]]:
        asked: dict[str, Any] = {"name": symbol.decode(), "start": low, "stop": high}
        with self._snapshot() as connection:
            segments = read_segments(self._path, connection)
            hot = sorted(hot_blocks(symbol, segments, low, high), key=lambda row: (row[1], row[0]))
            found = connection.execute(_SYMBOL, asked).fetchone()
            if found is None:
                yield from hot
                return
            asked |= dict(found)
            if asked["joins"] != count:
                raise StaleSnapshotError
            small = map(tuple, connection.execute(_SMALL, asked).fetchall())
        longest = UNBOUNDED if asked["longest"] is None else int(asked["longest"])
        large = self._large(asked, max(low - longest, EARLIEST))
        yield from merge(small, large, hot, key=lambda row: (row[1], row[0]))

    def _large(self, asked: dict[str, Any], since: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield large blocks that begin at `since` or behind: none before reaches the span."""
        at: dict[str, object] = {"first": since - 1, "id": LAST_NUMBER, "page": PAGE}
        while True:
            with self._snapshot() as connection:
                (joins,) = connection.execute("SELECT count FROM joins").fetchone()
                if joins != asked["joins"]:
                    raise StaleSnapshotError
                page = read_page(connection, {**asked, **at})
            yield from map(tuple, page)
            if len(page) < PAGE:
                break
            at |= {"first": page[-1]["first"], "id": page[-1]["id"]}

    def _open(self, number: int, data: bytes) -> list[PendingTick]:
        try:
            return list(_unpack(number, data))
        except (zlib.error, struct.error, ValueError) as error:
            raise JournalError(f"Block {number} of {self._path} is damaged: {error}.") from error

    def _rows(self, query: str, values: Mapping[str, object] | None = None) -> list[Facts]:
        with self._snapshot() as connection:
            return [dict(row) for row in connection.execute(query, values or {})]

    def _sources(self) -> list[Facts]:
        with self._all() as connection:
            return _facts(connection, "SELECT id, name FROM source")

    @contextmanager
    def _all(self) -> Iterator[sqlite3.Connection]:
        """Open a snapshot with what the log adds to the tables."""
        with snapshot_with_log(self._path) as (connection, segments):
            show(connection, segments)
            yield connection

    def _snapshot(self) -> AbstractContextManager[sqlite3.Connection]:
        return snapshot(self._path)


def read_page(connection: sqlite3.Connection, asked: Mapping[str, Any]) -> list[sqlite3.Row]:
    """Return the large blocks that come next: number, lowest time, data."""
    return connection.execute(_PAGE, asked).fetchall()


class _Names(dict[int, str]):
    """The names of sources; a running daemon may add some meanwhile."""

    def __init__(self, sources: Callable[[], list[Facts]]) -> None:
        super().__init__()
        self._sources = sources

    def __missing__(self, number: int) -> str:
        self.update({row["id"]: row["name"] for row in self._sources()})
        return self.setdefault(number, f"({number})")


def _facts(connection: sqlite3.Connection, query: str) -> list[Facts]:
    return [dict(row) for row in connection.execute(query)]


def _unpack(number: int, data: bytes) -> Iterator[PendingTick]:
    runs, records = unpack(zlib.decompress(data))
    marks = [(received, source) for received, source, ticks in runs for _ in range(ticks)]
    for at, (rest, (received, source)) in enumerate(zip(records, marks, strict=True)):
        time = time_of(rest)
        yield received if time is None else time, number, at, rest, received, source


def _tick(held: PendingTick) -> tuple[int, bytes, int, int]:
    time, _, _, rest, received, source = held
    return time, rest, received, source
