"""
One channel: what its drafts become in a transaction, and the rows that they change.

A transaction reads what it needs once, judges every draft against that and the drafts before
it, and writes at its end, in statements that many rows share. The next one need not read again
what is as this one left it.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec.structs import force_setattr, replace

from mtnet.errors import DamageError, PolicyError, WireError
from mtnet.services.signals.journal.hash_chain import (
    Checkpoint,
    Held,
    Row,
    add,
    checkpoint_of,
    decode,
    decode_row,
    encode,
    encode_row,
    id_item,
    link,
    position_item,
    prove,
    prove_id,
    short,
)
from mtnet.services.signals.journal.schema import rows
from mtnet.services.signals.model import (
    FLAT,
    Closed,
    Entry,
    Outcome,
    Repeated,
    Several,
    Unchanged,
)
from mtnet.services.signals.transitions import CommitPolicy, Transition, transition

Sealed: TypeAlias = tuple[bytes, bytes]
"""The row of a channel as it stands in its table, and its digest."""
NOTHING: Sealed = b"", b""
Opened: TypeAlias = tuple[int | None, int | None]
"""When a position was opened, by our clock and by its publisher's; None = not known."""
_ROW = "SELECT body, digest FROM channel WHERE name = ?"
_SYMBOLS = "SELECT DISTINCT symbol FROM position WHERE channel = ?"
_POSITIONS = "SELECT ticket, link, body, hash FROM position WHERE channel = ? AND symbol = ?"
_SET = "INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?, ?, ?)"
_UNSET = "DELETE FROM position WHERE (channel, symbol, ticket) = (?, ?, ?)"
_KNOWN = "SELECT seq, proof FROM known WHERE (channel, id) = (?, ?)"
_OLD_IDS = "SELECT seq, id, proof FROM known WHERE channel = ? AND seq < ? ORDER BY seq LIMIT ?"
_ENTRY = "SELECT body, hash FROM entry WHERE (channel, seq) = (?, ?)"


def new_row(channel: str) -> Row:
    """Return the row of a channel that begins now, with an epoch that was never used."""
    return Row(channel, secrets.token_hex(8))


def next_epoch(row: Row) -> Row:
    """Return the row of a channel that goes on as it is, under an epoch that was never used."""
    epoch = new_row(row.name).epoch
    return replace(row, epoch=epoch, since=row.seq, revision=row.revision + 1)


def read_row(connection: sqlite3.Connection, channel: str) -> Row | None:
    """
    Return the row of a channel, if there is one.

    Raises:
        DamageError: it is not what was written.
    """
    found = find_row(connection, channel)
    return None if found is None else decode_row(channel, *found)


def find_row(connection: sqlite3.Connection, channel: str) -> Sealed | None:
    """Return the row of a channel as it stands there, if there is one."""
    for body, digest in rows(connection, (bytes, bytes), _ROW, channel):
        return body, digest
    return None


def write_row(connection: sqlite3.Connection, row: Row) -> Sealed:
    """Store the row of a channel; return it as it stands there."""
    sealed = encode_row(row)
    connection.execute("INSERT OR REPLACE INTO channel VALUES (?, ?, ?)", (row.name, *sealed))
    return sealed


class Transaction:
    """
    Args:
        row: the channel as the transaction found it, or as it begins.

    Attributes:
        revision: of that row; 0 = the channel begins.
    """

    def __init__(self, connection: sqlite3.Connection, row: Row) -> None:
        self._connection, self._sealed = connection, NOTHING
        self.channel, self.epoch = row.name, row.epoch
        self._symbols: dict[str, dict[str, Held]] = {}
        self._begin(row)

    def _begin(self, row: Row) -> None:
        self._row, self.revision = row, row.revision
        self._seq, self._hash, self._sum = row.seq, row.hash, row.positions
        self._ids: dict[str, tuple[int, bytes]] = {}
        self._entries: list[tuple[str, int, bytes, bytes]] = []
        self._touched: dict[tuple[str, str], None] = {}

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return bool(self._entries or self._touched)

    def goes_on(self, connection: sqlite3.Connection, found: Sealed) -> bool:
        """
        Say whether a transaction may begin with what the last one left here: the row of the
        channel, which proves all others and changes with each of them, is the one written then.
        """
        return self._connection is connection and self._sealed == found

    def take(self, draft: Entry, judge: CommitPolicy) -> Outcome:
        """
        Return what becomes of a draft.

        Raises:
            DamageError: what is stored is not what was written.
        """
        try:
            seq = self._repeated(draft) if draft.id else None
            return Repeated(seq) if seq is not None else self._judged(draft, judge)
        except WireError as error:
            return error

    def find(self, draft: Entry) -> Repeated | None:
        """
        Say whether a draft with an id is stored.

        Raises:
            WireError: `id`; it is, with other fields.
            DamageError: what is stored is not what was written.
        """
        seq = self._repeated(draft)
        return None if seq is None else Repeated(seq)

    def forget(self, symbol: str) -> None:
        """Remove the flat row of a symbol."""
        self._unset(symbol, "")

    def flush(self, retain: int, ids: int, slice: int) -> Checkpoint:
        """Write what changed, and remove a slice of what is kept no longer; return the head."""
        self._write()
        row = replace(
            self._row,
            revision=self._row.revision + 1,
            seq=self._seq,
            hash=self._hash,
            positions=self._sum,
            ids=self._id_sum(),
            known=self._row.known + len(self._ids),
        )
        # Every entry makes room for one, and a slice for what an earlier, longer retention kept.
        row = self._prune(row, retain, slice)
        row = self._prune_ids(row, ids, slice)
        self._sealed = write_row(self._connection, row)
        self._begin(row)
        return checkpoint_of(row, self._sealed[1])

    # What a draft becomes

    def _judged(self, draft: Entry, judge: CommitPolicy) -> Outcome:
        judge.admit(draft)
        if not draft.symbol:
            return self._flatten(draft, judge)
        held, classic = self._symbol(draft.symbol), judge.is_classic(draft)
        change = transition(draft, held, classic)
        judge.weigh(draft, change)
        remember = bool(draft.volume or held) or judge.has_room(draft)
        if change.effect == "nothing" or (classic and not remember):
            return Unchanged()
        if change.opens:
            try:
                judge.open(draft, change)
            except PolicyError as error:
                return self._close_only(draft, change, judge, error)
        opened = _opened(draft, change, held)
        closings = self._close(draft, change.tickets)
        entry = self._store(draft, opened, remember)
        judge.stored(draft, change)
        return Several((*closings, entry)) if closings else entry

    def _close_only(
        self, draft: Entry, change: Transition, judge: CommitPolicy, error: PolicyError
    ) -> Outcome:
        """Store the closing of a reversal whose opening is refused."""
        if change.effect != "reversal":
            return error
        closings = self._close(draft, change.tickets or (draft.ticket,))
        judge.closed(draft, len(closings))
        return Closed(tuple(closings), error)

    def _flatten(self, draft: Entry, judge: CommitPolicy) -> Outcome:
        symbols = rows(self._connection, (str,), _SYMBOLS, self.channel)
        names = sorted({name for (name,) in symbols} | self._symbols.keys())
        closings = []
        for name in names:
            keys = [ticket for ticket, each in self._symbol(name).items() if each.entry.volume]
            closings += self._close(replace(draft, symbol=name), keys)
        judge.closed(draft, len(closings))
        return Several(tuple(closings))

    def _close(self, draft: Entry, tickets: Iterable[str]) -> list[Entry]:
        """Store closings, in the order in which the positions were set."""
        held = self._symbol(draft.symbol)
        standing = sorted(tickets, key=lambda ticket: held[ticket].entry.seq)
        return [self._store(_closing(draft, each), _times(held[each].entry)) for each in standing]

    def _repeated(self, draft: Entry) -> int | None:
        known = self._ids.get(draft.id)
        if known is None:
            found = rows(self._connection, (int, bytes), _KNOWN, self.channel, draft.id)
            if not found:
                return None
            known = found[0]
        seq, proof = known
        if proof == prove_id(draft, seq):
            return seq
        self._check_known(draft.id, seq, proof)
        raise WireError(
            "id",
            f"{draft.channel} has stored {draft.id} with other fields, as entry {seq}; "
            "an id names one signal for ever",
        )

    def _check_known(self, id: str, seq: int, proof: bytes) -> None:
        """Do not call a publisher wrong where the row of the id is."""
        found = rows(self._connection, (bytes, bytes), _ENTRY, self.channel, seq)
        if not found:
            return
        entry = decode(self.channel, *found[0])[1]
        if entry.id != id or prove_id(entry, seq) != proof:
            raise DamageError(
                self.channel, f"channel {self.channel}: the id {id!r} does not name entry {seq}"
            )

    def _symbol(self, symbol: str) -> dict[str, Held]:
        if symbol not in self._symbols:
            shape = (str, bytes, bytes, bytes)
            found = rows(self._connection, shape, _POSITIONS, self.channel, symbol)
            self._symbols[symbol] = {
                ticket: prove(self.channel, symbol, ticket, (before, body, digest))
                for ticket, before, body, digest in found
            }
        return self._symbols[symbol]

    # What it changes

    def _store(self, draft: Entry, opened: Opened, remember: bool = True) -> Entry:
        known = self._symbol(draft.symbol)
        before = known.get(draft.ticket)
        # Of a symbol that is known, what is not named is flat.
        volume = before.entry.volume if before is not None else FLAT if known else None
        seq = self._seq + 1
        entry = replace(draft, seq=seq, previous=volume, opened=opened[0], popened=opened[1])
        body = encode(self._row.epoch, entry)
        held = Held(entry, self._hash, body, link(self._hash, body))
        force_setattr(entry, "h", short(held.hash))
        self._seq, self._hash = entry.seq, held.hash
        self._entries.append((self.channel, entry.seq, body, held.hash))
        if draft.id:
            self._ids[draft.id] = entry.seq, prove_id(draft, entry.seq)
        if remember:
            self._apply(held)
        return entry

    def _apply(self, held: Held) -> None:
        symbol, ticket = held.entry.symbol, held.entry.ticket
        if held.entry.volume:
            self._set(symbol, ticket, held)
            if ticket:
                self._unset(symbol, "")
            return
        self._unset(symbol, ticket)
        if not any(self._symbol(symbol)):  # no ticket is left
            self._set(symbol, "", held)

    def _set(self, symbol: str, ticket: str, held: Held) -> None:
        self._unset(symbol, ticket)
        self._symbol(symbol)[ticket] = held
        self._sum = add(self._sum, position_item(symbol, ticket, held.hash))
        self._touched[symbol, ticket] = None

    def _unset(self, symbol: str, ticket: str) -> None:
        gone = self._symbol(symbol).pop(ticket, None)
        if gone is not None:
            self._sum = add(self._sum, -position_item(symbol, ticket, gone.hash))
            self._touched[symbol, ticket] = None

    # What is written

    def _write(self) -> None:
        self._connection.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", self._entries)
        self._connection.executemany(
            "INSERT INTO known VALUES (?, ?, ?, ?)",
            [(self.channel, id, seq, proof) for id, (seq, proof) in self._ids.items()],
        )
        sets, unsets = [], []
        for symbol, ticket in self._touched:
            held = self._symbols[symbol].get(ticket)
            if held is None:
                unsets.append((self.channel, symbol, ticket))
            else:
                sets.append((self.channel, symbol, ticket, held.link, held.body, held.hash))
        if unsets:
            self._connection.executemany(_UNSET, unsets)
        self._connection.executemany(_SET, sets)

    def _id_sum(self) -> bytes:
        total = self._row.ids
        for id, (seq, proof) in self._ids.items():
            total = add(total, id_item(id, seq, proof))
        return total

    def _prune(self, row: Row, retain: int, slice: int) -> Row:
        # Its own entries stay: who asks what came of a commit that failed must find them.
        excess = min(row.seq - retain, self._row.seq) - row.oldest + 1
        if excess < slice:
            return row  # one page less in most commits
        last = row.oldest + min(excess, slice + len(self._entries)) - 1
        found = rows(self._connection, (bytes, bytes), _ENTRY, self.channel, last)
        if not found:
            raise DamageError(row.name, f"channel {row.name}, entry {last}: it is missing")
        self._connection.execute(
            "DELETE FROM entry WHERE channel = ? AND seq <= ?", (self.channel, last)
        )
        return replace(row, oldest=last + 1, anchor=found[0][1])

    def _prune_ids(self, row: Row, ids: int, slice: int) -> Row:
        excess = row.known - ids
        if excess < slice:
            return row
        limit = min(excess, slice + len(self._entries))
        shape = (int, str, bytes)
        gone = rows(self._connection, shape, _OLD_IDS, self.channel, row.oldest, limit)
        self._connection.executemany(
            "DELETE FROM known WHERE (channel, id) = (?, ?)",
            [(self.channel, id) for _, id, _ in gone],
        )
        total = row.ids
        for seq, id, proof in gone:
            total = add(total, -id_item(id, seq, proof))
        return replace(row, ids=total, known=row.known - len(gone))


def _closing(draft: Entry, ticket: str) -> Entry:
    return Entry(draft.channel, draft.symbol, FLAT, draft.when, ticket)


def _opened(draft: Entry, change: Transition, held: Mapping[str, Held]) -> Opened:
    """Say when the position was opened that a draft changes or closes, or that it opens."""
    if draft.volume and not (change.before and change.effect != "reversal"):
        said = dict(draft.fields).get("ptime")
        popened = None if said is None else int(said)
        return draft.when if popened is None else min(draft.when, popened), popened
    keys = change.tickets or (draft.ticket,)
    times = [_times(held[key].entry) for key in keys if key in held and held[key].entry.volume]
    return _earliest(each for each, _ in times), _earliest(each for _, each in times)


def _times(entry: Entry) -> Opened:
    return entry.opened, entry.popened


def _earliest(times: Iterable[int | None]) -> int | None:
    found = list(times)
    known = [each for each in found if each is not None]
    return min(known) if known and len(known) == len(found) else None
