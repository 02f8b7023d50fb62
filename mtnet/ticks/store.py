"""
The ticks on disk: SQLite, in blocks of one symbol each.

Blocking, for one thread at a time. A commit that returned is on the platter
(`synchronous=FULL`, write-ahead log). A block is written once and never changed; its number is
the order of arrival.

Every row that goes in shares a statement with many others: a statement of its own would hand
the interpreter back and forth with the reactor, up to 5 ms each time.
"""

import os
import shutil
import sqlite3
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field
from mmap import mmap
from pathlib import Path
from zlib import compress

from mtnet.database import Database
from mtnet.errors import JournalError
from mtnet.ticks.series import Block, Heard
from mtnet.ticks.sources import GAPS, SLOTS, Gap, Seen, Source
from mtnet.ticks.tables import IMPORTED, OTHERS, SCHEMA, TABLES, Row, insert

LEVEL = 1
"""Of zlib; 6 saves a tenth of the space and costs three times as much."""
SEEN = struct.Struct("<qIq")
"""A remembered batch: SEQ, records, digest."""


_UPSERT_SYMBOL = """
ON CONFLICT DO UPDATE SET ticks = ticks + excluded.ticks,
    record = coalesce(excluded.record, record), received = coalesce(excluded.received, received)
"""
_UPSERT_HEARD = """
ON CONFLICT DO UPDATE SET ticks = ticks + excluded.ticks, last = max(last, excluded.last),
    first = min(first, excluded.first),
    longest = max(longest, excluded.longest, excluded.first - last)
"""
_COUNTS = (
    "received", "refused", "dropped", "repeated", "repeats", "restarts", "disorder", "missing",
    "highest", "first", "last", "longest",
)  # fmt: skip
"""The columns of `source` that are attributes of `Source`."""
_SOURCE_COLUMNS = ("id", "name", *_COUNTS)
_UPSERT_SOURCE = "ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _COUNTS
)
_COUNT_IMPORTED = """
UPDATE source SET received = received + ?1,
    first = (SELECT min(first) FROM heard WHERE source = ?2),
    last = (SELECT max(last) FROM heard WHERE source = ?2)
WHERE id = ?2
"""
_PRUNE_SEEN = "DELETE FROM seen WHERE source = ? AND (run <> ? OR highest < ?)"
_PRUNE_GAPS = "DELETE FROM gap WHERE source = ? AND (run, first) < (?, ?)"


@dataclass
class Commit:
    """
    What is stored at once, or not at all.

    Attributes:
        blocks: ticks, in order of arrival.
        heard: by number of the source and symbol.
        newest: the last tick of each symbol and when it came.
        sources: those that were heard, as they were then; see `freeze`.
        totals: what is added to the totals.
        imported: how many of the ticks are from a file.
    """

    blocks: list[Block] = field(default_factory=list)
    heard: dict[tuple[int, bytes], Heard] = field(default_factory=dict)
    newest: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    sources: list["Frozen"] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    imported: int = 0

    @property
    def ticks(self) -> int:
        """How many ticks it holds."""
        return sum(block.ticks for block in self.blocks)


@dataclass(frozen=True)
class Frozen:
    """
    A source as it was when it was handed over.

    Attributes:
        row: of the table `source`.
        gaps: that are new or were filled since; rows.
        oldest: the first gap to keep, as (source, run, first), when there are too many.
        seen: its new batches.
        run: how often it has begun anew.
    """

    row: Row
    gaps: Sequence[Row]
    oldest: Row | None
    seen: list[Seen]
    run: int


@dataclass(frozen=True)
class Kept:
    """
    What the store knows when the daemon starts.

    Attributes:
        sources: those that were heard last.
        others: the one that senders beyond them are counted as.
        next: the number of the next new source.
        newest: the last tick of each symbol and when it came, or None.
        lost: ticks that were taken and never stored, since the last daemon was killed.
    """

    sources: list[Source]
    others: Source
    next: int
    newest: dict[bytes, tuple[bytes, int] | None]
    lost: int


def freeze(source: Source) -> Frozen:
    """Return what is to be stored of a source; what is new in it counts as known from now on."""
    row = (source.number, source.name, *(getattr(source, name) for name in _COUNTS))
    changed = source.take_changed()
    gaps = [(source.number, g.run, g.first, g.last, g.found, g.late) for g in changed]
    oldest = None
    if len(source.gaps) == GAPS:
        oldest = source.number, source.gaps[0].run, source.gaps[0].first
    return Frozen(row, gaps, oldest, source.take_fresh(), source.restarts)


class Tally:
    """
    The number of ticks taken so far, in a mapped file: what the kernel holds outlives a kill.

    Raises:
        OSError: the file cannot be made.
    """

    FORMAT = struct.Struct("<Q")

    def __init__(self, path: Path) -> None:
        with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(self.FORMAT.size)
            self._map = mmap(file.fileno(), self.FORMAT.size)
        (self.value,) = self.FORMAT.unpack_from(self._map)

    def set(self, value: int) -> None:
        """Note the number."""
        self.value = value
        self.FORMAT.pack_into(self._map, 0, value)


class Store:
    """
    What survives a crash.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, SCHEMA, TABLES)
        self._symbols: dict[bytes, int] = {}

    def load(self, tally: Tally, sources: int) -> Kept:
        """
        Return what is known, and count what was taken and never stored.

        Args:
            sources: how many are returned, at most.

        Raises:
            JournalError: the file is damaged, unreadable, or of a newer mtnet.
        """

        def read(connection: sqlite3.Connection) -> Kept:
            totals = dict(connection.execute("SELECT name, value FROM total"))
            stored, lost = totals.get("stored", 0), totals.get("lost", 0)
            new = max(0, tally.value - stored - lost)
            _add(connection, {"lost": new})
            tally.set(stored + lost + new)
            (highest,) = connection.execute("SELECT max(id) FROM source").fetchone()
            return Kept(
                list(_sources(connection, f"id > {OTHERS}", sources)),
                next(_sources(connection, f"id = {OTHERS}", 1)),
                highest + 1,
                dict(_newest(connection)),
                new,
            )

        return self._database.run(read)

    def prepare(self) -> None:
        """
        Make the file where there is none.

        Raises:
            JournalError: it is damaged, unreadable, or of a newer mtnet.
        """
        self._database.run(lambda connection: None)

    def commit(self, commit: Commit) -> None:
        """
        Store all of it, or nothing.

        Raises:
            JournalError: the disk is full or failed; nothing was stored.
        """
        self.commit_after(lambda: commit)

    def commit_after(self, look: Callable[[], Commit]) -> None:
        """
        Store what `look` returns, or nothing; nobody else stores anything while it looks.

        Raises:
            JournalError: as above, or raised by `look`.
        """

        def write(connection: sqlite3.Connection) -> None:
            commit = look()
            self._put_symbols(connection, commit)
            blocks = [
                (self._symbols[b.symbol], b.first, b.last, b.ticks, compress(b.data, LEVEL))
                for b in commit.blocks
            ]
            insert(connection, "block (symbol, first, last, ticks, data)", blocks)
            heard = [(n, self._symbols[s], *astuple(h)) for (n, s), h in commit.heard.items()]
            into = "heard (source, symbol, ticks, first, last, longest)"
            insert(connection, into, heard, _UPSERT_HEARD)
            _put_sources(connection, commit.sources)
            if commit.imported:
                connection.execute(_COUNT_IMPORTED, (commit.imported, IMPORTED))
            _add(connection, commit.totals)

        try:
            self._database.run(write)
        except JournalError:
            self._symbols = {}  # one whose row was rolled back has no number any more
            raise

    def free(self) -> int:
        """
        Return the bytes that are free where the file lies.

        Raises:
            JournalError: the disk does not tell.
        """
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise JournalError(f"{self.path.parent} cannot be asked: {error}.") from error

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()

    def _put_symbols(self, connection: sqlite3.Connection, commit: Commit) -> None:
        ticks: dict[bytes, int] = {}
        for block in commit.blocks:
            ticks[block.symbol] = ticks.get(block.symbol, 0) + block.ticks
        rows = []
        for symbol, count in ticks.items():
            record, received = commit.newest.get(symbol, (None, None))
            rows.append((symbol.decode(), count, record and record.decode(), received))
        insert(connection, "symbol (name, ticks, record, received)", rows, _UPSERT_SYMBOL)
        if not ticks.keys() <= self._symbols.keys():
            names = connection.execute("SELECT name, id FROM symbol")
            self._symbols = {name.encode(): number for name, number in names}


def _add(connection: sqlite3.Connection, totals: dict[str, int]) -> None:
    tail = "ON CONFLICT DO UPDATE SET value = value + excluded.value"
    insert(connection, "total (name, value)", list(totals.items()), tail)


def _put_sources(connection: sqlite3.Connection, sources: Sequence[Frozen]) -> None:
    columns = f"source ({', '.join(_SOURCE_COLUMNS)})"
    insert(connection, columns, [source.row for source in sources], _UPSERT_SOURCE)
    gaps = [gap for source in sources for gap in source.gaps]
    tail = "ON CONFLICT DO UPDATE SET late = excluded.late"
    insert(connection, "gap (source, run, first, last, found, late)", gaps, tail)
    for source in sources:
        if source.seen:
            _put_seen(connection, source)
        if source.oldest:
            connection.execute(_PRUNE_GAPS, source.oldest)


def _put_seen(connection: sqlite3.Connection, source: Frozen) -> None:
    highest = max(each.number for each in source.seen)
    batches = b"".join(SEEN.pack(*each) for each in sorted(source.seen)[-SLOTS:])
    row = (source.row[0], source.run, highest, batches)
    insert(connection, "seen (source, run, highest, batches)", [row])
    connection.execute(_PRUNE_SEEN, (source.row[0], source.run, highest - SLOTS))


def _sources(connection: sqlite3.Connection, which: str, most: int) -> Iterator[Source]:
    columns = ", ".join(_SOURCE_COLUMNS)
    rows = connection.execute(
        f"SELECT {columns} FROM source WHERE {which} ORDER BY last DESC NULLS LAST LIMIT {most}"
    ).fetchall()
    for number, name, *counts in rows:
        source = Source(name, number, **dict(zip(_COUNTS, counts, strict=True)))
        gaps = connection.execute(
            "SELECT first, last, found, run, late FROM gap WHERE source = ? ORDER BY run, first",
            (number,),
        )
        source.gaps.extend(Gap(*gap) for gap in gaps)
        blobs = connection.execute(
            "SELECT batches FROM seen WHERE source = ? AND run = ? ORDER BY id",
            (number, source.restarts),
        )
        for (batches,) in blobs:
            source.restore(Seen(*each) for each in SEEN.iter_unpack(batches))
        yield source


def _newest(
    connection: sqlite3.Connection,
) -> Iterator[tuple[bytes, tuple[bytes, int] | None]]:
    with closing(connection.execute("SELECT name, record, received FROM symbol")) as rows:
        for name, record, received in rows:
            yield name.encode(), None if record is None else (record.encode(), received)
