"""
Rows of a commit: what it adds to the tables, within a transaction.

Pure. Every row that goes in shares a statement with many others: a statement of its own would hand
the interpreter back and forth with the reactor, up to 5 ms each time.
"""

import sqlite3
import struct
from collections.abc import Sequence
from dataclasses import astuple
from zlib import compress

from mtnet.services.ticks.model import SLOTS
from mtnet.services.ticks.storage.blocks import FULL
from mtnet.services.ticks.storage.commits import COUNTS, Commit, SourceSnapshot
from mtnet.services.ticks.storage.schema import Row, insert

SEEN = struct.Struct("<qIq")
"""A remembered batch: SEQ, records, digest."""
LAST = "commit"
"""A total that is not a sum: the token of the last commit that had one."""
MERGED = "log"
"""The other one: the number of the last segment of the log whose ticks are in blocks."""
SOURCE_COLUMNS = ("id", "name", *COUNTS)
"""Of the table `source`."""
UPSERT_HEARD = """
ON CONFLICT DO UPDATE SET ticks = ticks + excluded.ticks, last = max(last, excluded.last),
    first = min(first, excluded.first),
    longest = max(longest, excluded.longest, excluded.first - last)
"""
"""Statistics of one symbol from one source, joined with later ones."""

_UPSERT_SYMBOL = """
ON CONFLICT DO UPDATE SET ticks = ticks + excluded.ticks,
    record = coalesce(excluded.record, record), received = coalesce(excluded.received, received),
    earliest = min(coalesce(earliest, excluded.earliest), excluded.earliest),
    latest = max(coalesce(latest, excluded.latest), excluded.latest)
"""
_UPSERT_SOURCE = "ON CONFLICT DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in COUNTS
)
_UPSERT_TOTAL = f"""
ON CONFLICT DO UPDATE SET value = excluded.value
    + CASE WHEN name IN ('{LAST}', '{MERGED}') THEN 0 ELSE value END
"""
_NEWEST_BLOCK = """
SELECT max(coalesce((SELECT max(id) FROM large_block), 0),
    coalesce((SELECT max(id) FROM small_block), 0))
"""
_BLOCK_COLUMNS = "(id, symbol, first, last, ticks, data)"
_PRUNE_SEEN = "DELETE FROM seen WHERE source = ? AND (run <> ? OR highest < ?)"
_PRUNE_GAPS = "DELETE FROM gap WHERE source = ? AND (run, first) < (?, ?)"


class RowWriter:
    """Puts the rows of commits into a file; it remembers the numbers of symbols."""

    def __init__(self) -> None:
        self._symbols: dict[bytes, int] = {}

    def forget(self) -> None:
        """Forget the numbers of symbols: a row that was rolled back has none any more."""
        self._symbols = {}

    def put(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Put all rows of a commit but its totals."""
        self._put_symbols(connection, commit)
        (newest,) = connection.execute(_NEWEST_BLOCK).fetchone()
        large: list[Row] = []
        small: list[Row] = []
        for number, b in enumerate(commit.blocks, newest + 1):
            data = compress(b.data, commit.level)
            row = number, self._symbols[b.symbol], b.first, b.last, b.ticks, data
            (large if b.ticks >= FULL else small).append(row)
        insert(connection, f"large_block {_BLOCK_COLUMNS}", large)
        insert(connection, f"small_block {_BLOCK_COLUMNS}", small)
        heard = [(n, self._symbols[s], *astuple(h)) for (n, s), h in commit.heard.items()]
        into = "heard (source, symbol, ticks, first, last, longest)"
        insert(connection, into, heard, UPSERT_HEARD)
        _put_sources(connection, commit.sources)

    def _put_symbols(self, connection: sqlite3.Connection, commit: Commit) -> None:
        ticks: dict[bytes, list[int]] = {}
        for block in commit.blocks:
            found = ticks.setdefault(block.symbol, [0, block.first, block.last])
            found[0] += block.ticks
            found[1:] = min(found[1], block.first), max(found[2], block.last)
        rows = []
        for symbol, (count, first, last) in ticks.items():
            record, received = commit.newest.get(symbol, (None, None))
            text = None if record is None else record.decode()
            rows.append((symbol.decode(), count, text, received, first, last))
        into = "symbol (name, ticks, record, received, earliest, latest)"
        insert(connection, into, rows, _UPSERT_SYMBOL)
        if not ticks.keys() <= self._symbols.keys():
            names = connection.execute("SELECT name, id FROM symbol")
            self._symbols = {name.encode(): number for name, number in names}


def merged_segment(connection: sqlite3.Connection) -> int:
    """Return the number of the last segment of the log whose ticks are in blocks."""
    found = connection.execute("SELECT value FROM total WHERE name = ?", (MERGED,)).fetchone()
    return 0 if found is None else int(found[0])


def add_totals(connection: sqlite3.Connection, totals: dict[str, int]) -> None:
    """Add to the totals."""
    insert(connection, "total (name, value)", list(totals.items()), _UPSERT_TOTAL)


def _put_sources(connection: sqlite3.Connection, sources: Sequence[SourceSnapshot]) -> None:
    columns = f"source ({', '.join(SOURCE_COLUMNS)})"
    insert(connection, columns, [source.row for source in sources], _UPSERT_SOURCE)
    gaps = [gap for source in sources for gap in source.gaps]
    tail = "ON CONFLICT DO UPDATE SET late = excluded.late"
    insert(connection, "gap (source, run, first, last, found, late)", gaps, tail)
    for source in sources:
        if source.seen:
            _put_seen(connection, source)
        if source.oldest:
            connection.execute(_PRUNE_GAPS, source.oldest)


def _put_seen(connection: sqlite3.Connection, source: SourceSnapshot) -> None:
    highest = max(each.number for each in source.seen)
    batches = b"".join(SEEN.pack(*each) for each in sorted(source.seen)[-SLOTS:])
    row = (source.row[0], source.run, highest, batches)
    insert(connection, "seen (source, run, highest, batches)", [row])
    connection.execute(_PRUNE_SEEN, (source.row[0], source.run, highest - SLOTS))
