"""
One channel: what its drafts become in a transaction, and the rows that they change.

A transaction reads what it needs once, judges every draft against that and the drafts before
it, and writes at its end, in statements that many rows share. The next one need not read again
what is as this one left it.
"""

import secrets
import sqlite3
from decimal import Decimal
from typing import TypeAlias

from msgspec.structs import asdict, force_setattr, replace

from mtnet.errors import DamageError, WireError
from mtnet.signals.chain import (
    Head,
    Held,
    Row,
    add,
    content,
    decode,
    decode_row,
    encode,
    encode_row,
    head_of,
    id_item,
    link,
    position_item,
    prove,
    prove_id,
    short,
)
from mtnet.signals.entries import FLAT, Draft, Entry, Judge, Outcome, Repeated, Unchanged
from mtnet.signals.tables import rows

Sealed: TypeAlias = tuple[bytes, bytes]
"""The row of a channel as it stands in its table, and its digest."""
NOTHING: Sealed = b"", b""
_ROW = "SELECT body, digest FROM channel WHERE name = ?"
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


class Ledger:
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

    def take(self, draft: Draft, judge: Judge) -> Outcome:
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

    def find(self, draft: Draft) -> Repeated | None:
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

    def flush(self, retain: int, ids: int, slice: int) -> Head:
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
        return head_of(row, self._sealed[1])

    # What a draft becomes

    def _judged(self, draft: Draft, judge: Judge) -> Outcome:
        held = self._symbol(draft.symbol)
        self._check_form(draft, held)
        before = held.get(draft.ticket)
        # Of a symbol that is known, what is not named is flat.
        volume = before.entry.volume if before is not None else FLAT if held else None
        if not draft.id and before is not None and _sets_nothing(draft, before.entry):
            return Unchanged()
        judge(draft, volume)
        return self._store(draft, volume)

    def _check_form(self, draft: Draft, held: dict[str, Held]) -> None:
        if not held or bool(draft.ticket) not in {not ticket for ticket in held}:
            return
        if "" in held and not held[""].entry.volume:
            return
        stands = "one net position" if draft.ticket else "positions by ticket"
        raise WireError(
            "field",
            f"{draft.symbol} has {stands} in {draft.channel}; until it is flat it takes "
            f"{'no ticket' if draft.ticket else 'nothing without a ticket'}",
        )

    def _repeated(self, draft: Draft) -> int | None:
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

    def _store(self, draft: Draft, before: Decimal | None) -> Entry:
        entry = Entry(**asdict(draft), seq=self._seq + 1, previous=before)
        body = encode(self._row.epoch, entry)
        held = Held(entry, self._hash, body, link(self._hash, body))
        force_setattr(entry, "h", short(held.hash))
        self._seq, self._hash = entry.seq, held.hash
        self._entries.append((self.channel, entry.seq, body, held.hash))
        if draft.id:
            self._ids[draft.id] = entry.seq, prove_id(draft, entry.seq)
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
        left = set(self._symbol(symbol)) - {""}
        if not left:
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


def _sets_nothing(draft: Draft, held: Entry) -> bool:
    if draft.volume != held.volume:
        return False
    # A published frame has no other fields to say, and does not take back those of another.
    alike = not draft.fields or content(draft) == content(held)
    return not draft.volume or (alike and draft.type == held.type)
