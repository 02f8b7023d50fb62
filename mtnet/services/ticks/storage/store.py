"""
The ticks on disk: SQLite, in blocks of one symbol each.

Blocking, for one thread at a time. A commit that returned is on the platter
(`synchronous=FULL`, write-ahead log). The number of a block is the order of arrival. Small blocks
lie apart, without an index, so that a commit writes few pages; `BlockJoiner` makes large ones of
them. `HotStore` has a log before it, for what would become many of them.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from mtnet.errors import JournalError, WireError
from mtnet.services.ticks.model import Gap, Seen, Source
from mtnet.services.ticks.storage.commits import (
    COUNTS,
    UNSTORED,
    Commit,
    Part,
    Refusal,
    joined,
    refusal,
    unstored_of,
)
from mtnet.services.ticks.storage.joiner import BlockJoiner
from mtnet.services.ticks.storage.log import FOLDER, TickLog
from mtnet.services.ticks.storage.log_records import check_form
from mtnet.services.ticks.storage.rows import (
    LAST,
    SEEN,
    SOURCE_COLUMNS,
    UPSERT_HEARD,
    RowWriter,
    add_totals,
    merged_segment,
)
from mtnet.services.ticks.storage.schema import IMPORTED, OTHERS, SCHEMA, make_tables
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.wire import encode_symbol
from mtnet.storage.sqlite import Database, has_free_space

T = TypeVar("T")

_JOIN_SYMBOLS = (
    "UPDATE large_block SET symbol = :other WHERE symbol = :one",
    "UPDATE small_block SET symbol = :other WHERE symbol = :one",
    f"""
    INSERT INTO heard SELECT source, :other, ticks, first, last, longest FROM heard
    WHERE symbol = :one {UPSERT_HEARD}
    """,
    "DELETE FROM heard WHERE symbol = :one",
    """
    UPDATE symbol SET ticks = symbol.ticks + one.ticks,
        record = CASE WHEN newer THEN one.record ELSE symbol.record END,
        received = CASE WHEN newer THEN one.received ELSE symbol.received END,
        earliest = min(coalesce(symbol.earliest, one.earliest),
            coalesce(one.earliest, symbol.earliest)),
        latest = max(coalesce(symbol.latest, one.latest), coalesce(one.latest, symbol.latest))
    FROM (SELECT *, received > coalesce((SELECT received FROM symbol WHERE id = :other), 0)
        AS newer FROM symbol WHERE id = :one) AS one
    WHERE symbol.id = :other
    """,
    "DELETE FROM symbol WHERE id = :one",
)
_LATEST = "SELECT name, latest FROM symbol WHERE latest IS NOT NULL"
_COUNT_IMPORTED = """
UPDATE source SET received = received + ?1,
    first = (SELECT min(first) FROM heard WHERE source = ?2),
    last = (SELECT max(last) FROM heard WHERE source = ?2)
WHERE id = ?2
"""
_ROW_ERRORS = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
"""Errors of SQLite and its module for invalid rows, independent of the disk."""


@dataclass(frozen=True)
class StoredState:
    """
    The state that the store has when the daemon starts.

    Attributes:
        sources: those that sent last.
        others: the source that stands for senders beyond the limit.
        next: the number of the next new source.
        newest: the last tick of each symbol and when it came, or None.
        lost: ticks that were taken and never stored, since the last daemon was killed.
        unknown: whether their number is unknown.
        notes: sentences: what was found damaged.
        latest: the highest order time of each symbol.
    """

    sources: list[Source]
    others: Source
    next: int
    newest: dict[bytes, tuple[bytes, int] | None]
    lost: int
    unknown: bool = False
    notes: Sequence[str] = ()
    latest: Mapping[bytes, int] = field(default_factory=dict)


class Store:
    """
    The file of ticks, sources and gaps; it survives a crash.

    Args:
        path: the file; its folder exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, SCHEMA, "", self._upgrade)
        self._joiner = BlockJoiner(self._database)
        self._rows = RowWriter()
        self._unsure = self._join_failed = False

    def _upgrade(self, connection: sqlite3.Connection, version: int) -> None:
        """Make or upgrade the tables, unless the log beside them needs the version before this."""
        merged = merged_segment(connection) if version else 0
        # That version does not open a file of a newer schema, even to make blocks of its log.
        for _, data in TickLog(self.path.parent / FOLDER).pending(merged):
            check_form(data)
        make_tables(connection, version)

    def load(self, tally: Tally, sources: int, hot: Commit | None = None) -> StoredState:
        """
        Return the stored state, and count ticks that were taken and never stored.

        Args:
            sources: how many are returned, at most.
            hot: what is stored elsewhere, and comes here later.

        Raises:
            JournalError: the file is damaged, unreadable, or of a newer mtnet.
        """

        def read(connection: sqlite3.Connection) -> StoredState:
            _merge_spellings(connection)
            with self._shown(connection, hot):
                totals = dict(connection.execute("SELECT name, value FROM total"))
                known = sum(totals.get(name, 0) for name in ("stored", "lost", UNSTORED))
                new = max(0, tally.value - known)
                unknown = known > 0 and not tally.whole
                state = _stored_state(connection, sources, new, unknown)
            add_totals(connection, {"lost": new})
            tally.set(known + new)
            return state

        def only_read(connection: sqlite3.Connection) -> StoredState:
            with self._shown(connection, hot):
                return _stored_state(connection, sources)

        try:
            return self._database.transaction(read)
        except JournalError:
            if has_free_space(self.path.parent):
                raise
        # What was lost is counted at the next start, when there is room to write it down.
        return self._database.read(only_read)

    @contextmanager
    def _shown(self, connection: sqlite3.Connection, hot: Commit | None) -> Iterator[None]:
        """Show what is stored elsewhere as if it were here."""
        if hot is None:
            yield
            return
        connection.execute("SAVEPOINT hot")
        try:
            self._rows.put(connection, hot)
            add_totals(connection, hot.totals)
            yield
        finally:
            connection.execute("ROLLBACK TO hot")
            connection.execute("RELEASE hot")
            self._rows.forget()

    def prepare(self) -> None:
        """
        Make the file if it does not exist.

        Raises:
            JournalError: it is damaged, unreadable, or of a newer mtnet.
        """
        self._database.transaction(lambda connection: None)

    def commit(self, commit: Commit) -> None:
        """
        Store all of it, or nothing; after a failure the same commit comes again, before any other.

        Invalid rows are left out, so that one sender never blocks the others; `commit.refusals`
        names them.

        Raises:
            JournalError: the disk is full or failed. The next call with the same commit finds out
                whether it was stored all the same.
        """
        if self._unsure and self._is_stored(commit):
            self._unsure = False
            return
        try:
            self._write(lambda connection: self._put_all(connection, commit, self._rows.put))
        except Exception as error:
            if not _is_row_error(error):
                raise
            self._write(lambda connection: self._put_all(connection, commit, self._put_acceptable))

    def _put_all(
        self,
        connection: sqlite3.Connection,
        commit: Commit,
        put: Callable[[sqlite3.Connection, Commit], None],
    ) -> None:
        commit.refusals = []
        put(connection, commit)
        add_totals(connection, _totals(commit))

    def commit_after(self, look: Callable[[], Commit]) -> None:
        """
        Store what `look` returns, or nothing; no other transaction runs while it looks.

        Raises:
            JournalError: the disk is full or failed, or the rows are invalid; or raised by
                `look`.
        """

        def write(connection: sqlite3.Connection) -> None:
            commit = look()
            self._rows.put(connection, commit)
            if commit.imported:
                connection.execute(_COUNT_IMPORTED, (commit.imported, IMPORTED))
            add_totals(connection, commit.totals)

        self._write(write)

    def _write(self, write: Callable[[sqlite3.Connection], None]) -> None:
        try:
            self._database.transaction(write)
        except BaseException:
            self._rows.forget()
            self._unsure, self._join_failed = True, False
            raise
        self._unsure = False

    def join(self, age: bool) -> bool:
        """
        Join small blocks: one step of some milliseconds, or the transaction behind many steps.

        Args:
            age: join all small blocks, however few they are.

        Returns:
            Whether the next step has work.

        Raises:
            JournalError: the disk is full or failed; the blocks are as before, or joined.
        """
        return self._maintain(lambda: self._joiner.step(age)) or False

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """
        Run a transaction that stores no tick, and return its result; None = a commit comes first.

        Raises:
            JournalError: the disk is full or failed; all is as before, or changed.
        """
        return self._maintain(lambda: self._database.transaction(work))

    def _maintain(self, work: Callable[[], T]) -> T | None:
        """
        Change the file beside the commits.

        A commit that failed comes first: only the next call with it finds out whether it is stored.
        """
        if self._unsure and not (self._join_failed and self._database.checkpoint()):
            return None
        try:
            result = work()
        except BaseException:
            # What the log shows of it may not be on the platter: nothing may follow it there.
            self._unsure = self._join_failed = True
            raise
        self._unsure = self._join_failed = False
        return result

    def _is_stored(self, commit: Commit) -> bool:
        """
        Return whether the commit that failed last is stored after all, and on the platter.

        Raises:
            JournalError: the disk cannot be read, or its data may not be on the platter.
        """
        forced = self._database.checkpoint()

        def read(connection: sqlite3.Connection) -> int | None:
            query = "SELECT value FROM total WHERE name = ?"
            found = connection.execute(query, (LAST,)).fetchone()
            return None if found is None else int(found[0])

        landed = bool(commit.token) and self._database.read(read) == commit.token
        if landed and not forced:
            raise JournalError(
                f"{self.path} shows {commit.ticks} ticks that may not be on the disk, and there is "
                "no room to write them, or somebody reads the file; it is tried again."
            )
        return landed

    def _put_acceptable(self, connection: sqlite3.Connection, commit: Commit) -> None:
        """Store all of a commit; if that fails, bisect it and leave out the parts that fail."""
        waiting: list[tuple[Commit, list[Part]]] = [(commit, [])]
        while waiting:
            whole, parts = waiting.pop()
            connection.execute("SAVEPOINT part")
            try:
                self._rows.put(connection, whole)
            except Exception as error:
                if not _is_row_error(error):
                    raise
                connection.execute("ROLLBACK TO part")
                self._rows.forget()
                parts = parts or commit.parts()
                if len(parts) > 1:
                    half = len(parts) // 2
                    waiting += [(joined(some), some) for some in (parts[half:], parts[:half])]
                else:
                    commit.refusals += [refusal(part, error) for part in parts]
            connection.execute("RELEASE part")

    def merged(self) -> int:
        """
        Return the number of the last segment of a log that is in blocks.

        Raises:
            JournalError: the file is damaged, unreadable, or of a newer mtnet.
        """
        return self._database.read(merged_segment)

    def check(self) -> None:
        """
        Check that there is room, and the file is the one that was opened.

        Raises:
            JournalError: that is not so.
        """
        self._database.check_room()
        self._database.check()

    def merge(self, before: int | None = None) -> None:
        """Make blocks of ticks that wait elsewhere for that: none do."""

    def sync_late(self) -> None:
        """Force what waits in memory onto the platter: nothing does."""

    def take_left_out(self) -> list[Refusal]:
        """Return the rows that are known since the last call to be rejected for good."""
        return []

    def free(self) -> int:
        """
        Return the bytes that are free where the file lies.

        Raises:
            JournalError: the disk cannot be asked.
        """
        try:
            return shutil.disk_usage(self.path.parent).free
        except OSError as error:
            raise JournalError(f"{self.path.parent} cannot be asked: {error}.") from error

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        self._database.close()


def _is_row_error(error: Exception) -> bool:
    """Return whether an error is the fault of certain rows: others can be stored."""
    if isinstance(error, JournalError):
        cause = error.__cause__
        return isinstance(cause, Exception) and _is_row_error(cause)
    if isinstance(error, sqlite3.Error):
        return isinstance(error, _ROW_ERRORS)
    return not isinstance(error, OSError | MemoryError)


def _totals(commit: Commit) -> dict[str, int]:
    """Return the changes of the totals: rejected ticks do not count as stored."""
    changes = Commit(totals=dict(commit.totals))
    for each in commit.refusals:
        if each.ticks:
            changes.count("stored", -each.count)
            changes.count_unstored(each.ticks)
    if commit.token:
        changes.totals[LAST] = commit.token
    return changes.totals


def _stored_state(
    connection: sqlite3.Connection, sources: int, lost: int = 0, unknown: bool = False
) -> StoredState:
    (highest,) = connection.execute("SELECT max(id) FROM source").fetchone()
    return StoredState(
        list(_sources(connection, f"id > {OTHERS}", sources)),
        next(_sources(connection, f"id = {OTHERS}", 1)),
        highest + 1,
        dict(_newest(connection)),
        lost,
        unknown,
        latest={name.encode(): latest for name, latest in connection.execute(_LATEST)},
    )


def _sources(connection: sqlite3.Connection, which: str, most: int) -> Iterator[Source]:
    columns = ", ".join(SOURCE_COLUMNS)
    rows = connection.execute(
        f"SELECT {columns} FROM source WHERE {which} ORDER BY last DESC NULLS LAST LIMIT {most}"
    ).fetchall()
    unstored = dict(connection.execute("SELECT name, value FROM total").fetchall())
    for number, name, *counts in rows:
        source = Source(name, number, **dict(zip(COUNTS, counts, strict=True)))
        source.unstored = unstored.get(unstored_of(number), 0)
        source.dropped += source.unstored
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


def _merge_spellings(connection: sqlite3.Connection) -> None:
    """
    Rename symbols to their canonical spelling, and merge those that are the same: an older mtnet
    kept each spelling as a symbol of its own.
    """
    numbers = dict(connection.execute("SELECT name, id FROM symbol").fetchall())
    for name, number in list(numbers.items()):
        spelt = _canonical(name) if "%" in name else name
        if spelt not in numbers:
            connection.execute("UPDATE symbol SET name = ? WHERE id = ?", (spelt, number))
            numbers[spelt] = number
        elif spelt != name:
            for statement in _JOIN_SYMBOLS:
                connection.execute(statement, {"one": number, "other": numbers[spelt]})


def _canonical(name: str) -> str:
    try:
        return encode_symbol(name).decode()
    except WireError:
        return name


def _newest(
    connection: sqlite3.Connection,
) -> Iterator[tuple[bytes, tuple[bytes, int] | None]]:
    with closing(connection.execute("SELECT name, record, received FROM symbol")) as rows:
        for name, record, received in rows:
            yield name.encode(), None if record is None else (record.encode(), received)
