"""
Reads the journal and believes nothing: what is given back is what was written, or an error.

Everything here only reads, through whichever connection it is handed.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from mtnet.errors import DamageError, PrunedError
from mtnet.services.signals.journal.hash_chain import (
    GENESIS,
    Checkpoint,
    Row,
    add,
    checkpoint_of,
    decode,
    id_item,
    is_derived_id,
    link,
    position_item,
    prove,
    prove_id,
    short,
    shown,
)
from mtnet.services.signals.journal.schema import blame, check_structure, fetch, rows, shaped
from mtnet.services.signals.journal.transaction import read_row
from mtnet.services.signals.model import Entry, Loaded, State
from mtnet.services.signals.views.store import has_views, read_view, view_names
from mtnet.storage.sqlite import FAILURES

TAIL = 1_000
"""Entries of each channel that are checked when the journal is opened, and all those which the
heads do not know of yet. Older ones lay untouched; the complete check reads them."""
SLICE = 2_000
"""Rows that the complete check reads at a time: about 20 ms."""

REMEDY = (
    "Restore a backup (`mtnet restore`), or go on with what can be proved, under a new epoch "
    "(`mtnet signals accept`)."
)
_UNKNOWN = "it has no row in the table `channel`"
POSITION = str, str, bytes, bytes, bytes
_ENTRY = int, bytes, bytes
_ID = str, int, bytes
POSITIONS = "SELECT symbol, ticket, link, body, hash FROM position WHERE channel = ?"
_ENTRIES = "SELECT seq, body, hash FROM entry WHERE channel = ? AND seq > ? ORDER BY seq"
_IDS = "SELECT id, seq, proof FROM known WHERE channel = ? ORDER BY id"


class Progress(Struct, frozen=True):
    """
    One slice of a check.

    Attributes:
        done, total: rows.
        findings: sentences on what is wrong in it: what and where.
        channel: the one that they are about; empty = the file, or its reading.
    """

    done: int
    total: int
    findings: tuple[str, ...] = ()
    channel: str = ""


class Chain:
    """
    Follows the entries of a channel, one by one.

    Args:
        before: the hash before the first of them.
        seq: the number before it.
        checkpoint: names an entry that must be as it was; None = nothing is known.
    """

    def __init__(
        self, row: Row, seq: int, before: bytes, checkpoint: Checkpoint | None = None
    ) -> None:
        self._row, self.seq, self.hash, self._checkpoint = row, seq, before, checkpoint

    def follow(self, seq: int, body: bytes, hash: bytes) -> Entry:
        """
        Return the next entry.

        Raises:
            DamageError: it is not the next, or not what was written.
        """
        self.seq += 1
        if seq != self.seq:
            raise self._damage("it is missing" if seq > self.seq else "it does not belong there")
        if link(self.hash, body) != hash:
            raise self._damage("it was changed, or does not follow the one before it")
        epoch, entry = decode(self._row.name, body, hash)
        if entry.seq != seq or (epoch != self._row.epoch) != (seq <= self._row.since):
            raise self._damage(f"it says that it is entry {entry.seq} of epoch {epoch}")
        known = self._checkpoint
        if known is not None and seq == known.seq and hash != known.hash:
            raise self._damage("it is not the one that was stored")
        self.hash = hash
        return entry

    def end(self) -> None:
        """
        Check that the last entry was reached.

        Raises:
            DamageError: it was not.
        """
        if self.seq < self._row.seq:
            self.seq += 1
            raise self._damage("it is missing")
        if self.seq > self._row.seq:
            raise self._damage(f"the channel ends at entry {self._row.seq}")
        if self.hash != self._row.hash:
            raise self._damage("it is not the one that was stored last")

    def _damage(self, what: str) -> DamageError:
        return DamageError(self._row.name, f"channel {self._row.name}, entry {self.seq}: {what}")


def compare_checkpoint(row: Row, checkpoint: Checkpoint | None) -> None:
    """
    Compare a channel with the head that was noted last.

    Raises:
        DamageError: the journal is older than its head, or is another one.
    """
    name = row.name
    if checkpoint is None:
        raise DamageError(
            name,
            f"channel {name}: the checkpoint file does not name it, so nothing shows whether its "
            f"last entries are there (the last that is there is {row.seq})",
        )
    lags = checkpoint.epoch == row.former and checkpoint.revision < row.revision
    if checkpoint.epoch != row.epoch and not lags:
        raise DamageError(
            name,
            f"channel {name}: its epoch is {row.epoch}, and the checkpoint file says "
            f"{checkpoint.epoch}: one of the two files is not of this journal",
        )
    if checkpoint.revision > row.revision:
        raise DamageError(
            name,
            f"channel {name}: its end is lost: it was at entry {checkpoint.seq}, revision "
            f"{checkpoint.revision}, and is at entry {row.seq}, revision {row.revision}",
        )
    if (
        checkpoint.revision == row.revision
        and checkpoint.revision
        and checkpoint != checkpoint_of(row)
    ):
        raise DamageError(name, f"channel {name}: it is not what the checkpoint file says")


def state_of(connection: sqlite3.Connection, row: Row) -> State:
    """
    Return the positions of a channel.

    Raises:
        DamageError: they are not what was written.
    """
    total, shows = GENESIS, []
    for symbol, ticket, *held_row in rows(connection, POSITION, POSITIONS, row.name):
        held = prove(row.name, symbol, ticket, (held_row[0], held_row[1], held_row[2]))
        total = add(total, position_item(symbol, ticket, held.hash))
        shows.append(shown(ticket, held.entry))
    if total != row.positions:
        raise DamageError(row.name, f"channel {row.name}: positions are missing, or too many")
    shows.sort(key=lambda entry: entry.seq)
    oldest = max(row.oldest, row.since + 1)
    return State(row.epoch, row.seq, oldest, shows, short(row.hash), row.counted)


def state_in(connection: sqlite3.Connection, channel: str) -> State | None:
    """Return the positions of a channel as `state_of` does; None = there is no such channel."""
    row = read_row(connection, channel)
    return None if row is None else state_of(connection, row)


def check_channel(
    connection: sqlite3.Connection, name: str, checkpoint: Checkpoint | None
) -> State:
    """
    Check what a daemon starts with: the state, and the end of the chain.

    Raises:
        DamageError: they are not what was written, or not all of it.
    """
    row, state = check_state(connection, name, checkpoint)
    known = checkpoint.seq if checkpoint is not None else 0
    start = max(row.oldest - 1, min(known, row.seq - TAIL))
    chain = Chain(row, start, hash_at(connection, row, start), checkpoint)
    for seq, body, digest in rows(connection, _ENTRY, _ENTRIES, name, start):
        chain.follow(seq, body, digest)
    chain.end()
    return state


def check_state(
    connection: sqlite3.Connection, name: str, checkpoint: Checkpoint | None
) -> tuple[Row, State]:
    """
    Check the row of a channel, and its positions.

    Raises:
        DamageError: they are not what was written.
    """
    row = read_row(connection, name)
    if row is None:
        lost = (
            f"it is lost; it was at entry {checkpoint.seq}" if checkpoint is not None else _UNKNOWN
        )
        raise DamageError(name, f"channel {name}: {lost}")
    compare_checkpoint(row, checkpoint)
    return row, state_of(connection, row)


def hash_at(connection: sqlite3.Connection, row: Row, seq: int) -> bytes:
    """
    Return the hash of an entry, or the one before the oldest.

    Raises:
        DamageError: it is missing.
    """
    if seq == row.oldest - 1:
        return row.anchor
    statement = "SELECT hash FROM entry WHERE (channel, seq) = (?, ?)"
    found = rows(connection, (bytes,), statement, row.name, seq)
    if not found:
        raise DamageError(row.name, f"channel {row.name}, entry {seq}: it is missing")
    return bytes(found[0][0])


def kept_hash_at(connection: sqlite3.Connection, row: Row, seq: int) -> bytes:
    """
    Return the same, or the last one's for what lies beyond it.

    Raises:
        PrunedError: the entry behind it is kept no longer.
        DamageError: it is missing.
    """
    if seq + 1 < row.oldest:
        raise PrunedError(
            f"channel {row.name}: entries after {seq} were asked for, and the oldest that is "
            f"kept is {row.oldest}; a snapshot stands in for them"
        )
    return row.hash if seq >= row.seq else hash_at(connection, row, seq)


class Link(NamedTuple):
    """An entry and what proves it: `hash` is the SHA-256 of `before` and `body`."""

    entry: Entry
    before: bytes
    body: bytes
    hash: bytes


def read_entries(connection: sqlite3.Connection, row: Row, after: int, limit: int) -> list[Entry]:
    """
    Return entries of the channel, by rising seq, from `after` + 1 on.

    Raises:
        PrunedError: they are kept no longer.
        DamageError: they are not what was written, or not all of it.
    """
    return [each.entry for each in read_links(connection, row, after, limit)]


def read_links(connection: sqlite3.Connection, row: Row, after: int, limit: int) -> list[Link]:
    """Return the same with what proves them; raises as `read_entries`."""
    before = kept_hash_at(connection, row, after)
    if after >= row.seq:
        return []
    chain = Chain(row, after, before)
    links = []
    for seq, body, hash in rows(connection, _ENTRY, f"{_ENTRIES} LIMIT ?", row.name, after, limit):
        before = chain.hash
        links.append(Link(chain.follow(seq, body, hash), before, body, hash))
    if len(links) < limit or chain.seq == row.seq:
        chain.end()
    return links


def channels(connection: sqlite3.Connection, table: str = "channel") -> list[str]:
    """Name the channels of a table; it may hold millions of rows of each."""
    column = "name" if table == "channel" else "channel"
    found: list[str] = []
    while True:
        more = rows(
            connection,
            (str,),
            f"SELECT {column} FROM {table} WHERE {column} > ? ORDER BY {column} LIMIT 1",
            found[-1] if found else "",
        )
        if not more:
            return found
        found.append(more[0][0])


def check_all(
    connection: sqlite3.Connection,
    path: Path,
    found: Mapping[str, Checkpoint],
    spoilt: Mapping[str, str],
) -> tuple[Loaded, list[Row]]:
    """
    Check the state and the end of each channel; return it, and the rows of those that are whole.

    Args:
        found: the checkpoints.
        spoilt: the channels that were found damaged before, each with a sentence.

    Raises:
        JournalError: the file is no journal.
        sqlite3.Error: the disk failed.
    """
    check_structure(connection)
    states, damaged, whole = {}, {}, []
    lost = {name for name, checkpoint in found.items() if checkpoint.revision}
    for name in sorted({*channels(connection), *lost}):
        try:
            state = check_channel(connection, name, found.get(name))
            row = read_row(connection, name)
        except (DamageError, *FAILURES) as error:
            damaged[name] = sentence(path, name, error)
            continue
        if row is not None and name not in spoilt:
            states[name] = state
            whole.append(row)
    return Loaded(states, {**damaged, **spoilt}), whole


def sentence(path: Path, channel: str, error: Exception) -> str:
    """Say what is wrong with a channel, or raise what is wrong with the disk."""
    return f"{path}, {blame(channel, error)}. {REMEDY}"


def beyond(
    connection: sqlite3.Connection, rows: Iterable[Row], known: Mapping[str, int]
) -> list[Entry]:
    """
    Return the entries that came after those which are known, by channel.

    Raises:
        JournalError: they are kept no longer, or are not what was written.
    """
    landed: list[Entry] = []
    for row in rows:
        after = known.get(row.name, 0)
        landed += read_entries(connection, row, after, row.seq - after) if row.seq > after else []
    return landed


class Check:
    """
    The complete check, of every row.

    Args:
        connection: in a transaction, so that everything is of one moment.
        heads: as they were before that moment.
        channel: the only one to look at.
        deep: whether SQLite looks at its own pages too, all at once, at the end: seconds for a
            large file.
        slice: rows that are read at a time.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        checkpoints: dict[str, Checkpoint],
        channel: str | None = None,
        deep: bool = True,
        slice: int = SLICE,
    ) -> None:
        self._connection, self._checkpoints = connection, checkpoints
        self._only, self._deep, self._slice = channel, deep, slice
        self._done = self._total = 0

    def run(self) -> Iterator[Progress]:
        """
        Check one slice at each step.

        Raises:
            JournalError: SQLite cannot read the file at all.
        """
        check_structure(self._connection)
        names = self._names()
        self._total = sum(self._rows_of(name) for name in names)
        for name in names:
            yield from self._channel(name)
        yield from self._ledgers()
        if self._deep and self._only is None:
            yield self._progress(0, *self._pages())

    def _ledgers(self) -> Iterator[Progress]:
        """Check that each view is what its channel holds."""
        if not has_views(self._connection):
            return
        for name in sorted(view_names(self._connection)):
            if self._only not in (None, name):
                continue
            try:
                view = read_view(self._connection, name)
                row = read_row(self._connection, name)
                view.compare(None if row is None else state_of(self._connection, row))
            except (DamageError, sqlite3.DatabaseError) as error:
                yield self._progress(0, str(blame(name, error)), channel=name)

    def _names(self) -> list[str]:
        if self._only is not None:
            return [self._only]
        names = {name for name, checkpoint in self._checkpoints.items() if checkpoint.revision}
        for table in ("channel", "position", "entry", "known"):
            names.update(channels(self._connection, table))
        return sorted(names)

    def _rows_of(self, name: str) -> int:
        try:
            row = read_row(self._connection, name)
        except DamageError:
            return 0
        return row.seq - row.oldest + 1 + row.known if row is not None else 0

    def _channel(self, name: str) -> Iterator[Progress]:
        try:
            check_state(self._connection, name, self._checkpoints.get(name))
        except DamageError as damage:
            yield self._progress(0, str(damage), channel=name)
        try:
            row = read_row(self._connection, name)
            if row is not None:
                yield from self._rows(row)
        except DamageError as damage:
            yield self._progress(0, str(damage), channel=name)

    def _rows(self, row: Row) -> Iterator[Progress]:
        named = 0
        for count, total in self._entries(row):
            named += total
            yield self._progress(count)
        kept = 0
        for count, total in self._ids(row):
            kept += total
            yield self._progress(count)
        if add(GENESIS, named) != add(GENESIS, kept):
            why = f"channel {row.name}: the ids are not those of the entries"
            yield self._progress(0, why, channel=row.name)

    def _entries(self, row: Row) -> Iterator[tuple[int, int]]:
        """Yield how many rows were read, and what their ids must add up to."""
        chain = Chain(row, row.oldest - 1, row.anchor, self._checkpoints.get(row.name))
        cursor = self._connection.execute(_ENTRIES, (row.name, -(1 << 63)))
        while found := shaped(cursor.fetchmany(self._slice), _ENTRY):
            entries = [chain.follow(*each) for each in found]
            yield len(found), sum(map(_item, filter(_has_known_id, entries)))
        chain.end()

    def _ids(self, row: Row) -> Iterator[tuple[int, int]]:
        """Yield how many rows were read, and what those of kept entries add up to."""
        total, known, last = GENESIS, 0, ""
        cursor = self._connection.execute(_IDS, (row.name,))
        while found := shaped(cursor.fetchmany(self._slice), _ID):
            kept = 0
            for id, seq, proof in found:
                item = id_item(id, seq, proof)
                total, known = add(total, item), known + 1
                if id <= last:
                    raise DamageError(row.name, f"channel {row.name}: ids are out of order: {id!r}")
                last = id
                kept += item if seq >= row.oldest and not is_derived_id(id) else 0
            yield len(found), kept
        if total != row.ids or known != row.known:
            raise DamageError(row.name, f"channel {row.name}: ids are changed, missing or too many")

    def _pages(self) -> list[str]:
        found = fetch(self._connection, "PRAGMA integrity_check")
        return [f"SQLite: {text}" for (text,) in found if text != "ok"]

    def _progress(self, rows: int, *findings: str, channel: str = "") -> Progress:
        self._done += rows
        return Progress(self._done, self._total, findings, channel)


def _has_known_id(entry: Entry) -> bool:
    return bool(entry.id) and not is_derived_id(entry.id)


def _item(entry: Entry) -> int:
    return id_item(entry.id, entry.seq, prove_id(entry, entry.seq))
