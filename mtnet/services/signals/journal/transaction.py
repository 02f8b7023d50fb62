"""
One channel: what its drafts become in a transaction, and the rows that they change.

A transaction reads what it needs once, judges every draft against that and the drafts before
it, and writes at its end, in statements that many rows share. The next one need not read again
what is as this one left it.
"""

import secrets
import sqlite3
from collections.abc import Iterable, Mapping
from decimal import Decimal
from hashlib import sha256
from typing import TypeAlias

from msgspec import UNSET
from msgspec.structs import force_setattr, replace

from mtnet.errors import DamageError, WireError
from mtnet.services.signals.journal.hash_chain import (
    SUMS,
    Checkpoint,
    Held,
    Row,
    add,
    decode,
    decode_row,
    encode,
    encode_row,
    id_item,
    position_item,
    prove,
    prove_id,
)
from mtnet.services.signals.journal.schema import Writes, rows, shaped
from mtnet.services.signals.model import (
    FLAT,
    Entry,
    Outcome,
    Taken,
)
from mtnet.services.signals.ownership.transitions import CommitPolicy, Transition

Sealed: TypeAlias = tuple[bytes, bytes]
"""The row of a channel as it stands in its table, and its digest."""
NOTHING: Sealed = b"", b""
Opened: TypeAlias = tuple[int | None, int | None]
"""When a position was opened, by our clock and by its publisher's; None = not known."""
_ROW = "SELECT body, digest FROM channel WHERE name = ?"
_SYMBOLS = "SELECT DISTINCT symbol FROM position WHERE channel = ?"
_POSITIONS = "SELECT ticket, link, body, hash FROM position WHERE channel = ? AND symbol = ?"
_ADD = "INSERT INTO entry VALUES (?, ?, ?, ?)"
_ADD_ID = "INSERT INTO known VALUES (?, ?, ?, ?)"
_SET_ROW = "INSERT OR REPLACE INTO channel VALUES (?, ?, ?)"
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
    return replace(row, epoch=epoch, since=row.seq, revision=row.revision + 1, former=row.epoch)


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
    connection.execute(_SET_ROW, (row.name, *sealed))
    return sealed


class Transaction:
    """
    Args:
        row: the channel as the transaction found it, or as it begins.

    Attributes:
        row: that row, which it changes.
        revision: of that row; 0 = the channel begins.
        seq, hash: of the last entry.
        derived: whether the channel is a view.
    """

    def __init__(self, connection: sqlite3.Connection, row: Row) -> None:
        self._connection, self._sealed = connection, NOTHING
        self.channel, self.epoch = row.name, row.epoch
        self._symbols: dict[str, dict[str, Held]] = {}
        self._items: dict[tuple[str, str], int] = {}
        self._begin(row)

    def _begin(self, row: Row) -> None:
        self.row, self.revision, self.derived = row, row.revision, row.derived is True
        self.seq, self.hash = row.seq, row.hash
        self._sum = int.from_bytes(row.positions, "big")
        self._ids: dict[str, tuple[int, bytes]] = {}
        self._entries: list[tuple[str, int, bytes, bytes]] = []
        self._touched: dict[tuple[str, str], None] = {}

    @property
    def unchanged(self) -> bool:
        """Whether nothing is to be written."""
        return not (self._entries or self._touched)

    def goes_on(self, connection: sqlite3.Connection) -> bool:
        """
        Return whether a transaction may begin with what the last one left here: the row of the
        channel, which proves all others and changes with each of them, is the one written then.
        """
        if self._connection is not connection:
            return False
        found: Sealed | None = connection.execute(_ROW, (self.channel,)).fetchone()
        return found == self._sealed

    def take(self, draft: Entry, policy: CommitPolicy) -> Outcome:
        """
        Return what becomes of a draft, which is no whole state.

        Raises:
            DamageError: what is stored is not what was written.
        """
        try:
            if draft.id and not self.derived:  # ids of views do not come again
                seq = self._repeated(draft)
                if seq is not None:
                    return Taken(seq=seq)
            if not draft.symbol:
                return self._flatten(draft, policy)
            held = self._symbols.get(draft.symbol)
            if held is None:
                held = self._load(draft.symbol)
            verdict = policy.judge(draft, held)
        except WireError as error:
            return error
        if verdict is None:
            return Taken()
        change, refused = verdict.change, verdict.refused
        if refused is not None:
            refused.closed = True
            closings = self._close(draft, change.tickets or (draft.ticket,))
            return Taken(tuple(closings), refused=((draft, refused),))
        opened = _opened(draft, change, held)
        if not change.tickets:
            return self._store(draft, held, opened, verdict.remember)
        closings = self._close(draft, change.tickets)
        return Taken((*closings, self._store(draft, held, opened, verdict.remember)))

    def find(self, draft: Entry) -> Taken | None:
        """
        Say whether a draft with an id is stored.

        Raises:
            WireError: `id`; it is, with other fields.
            DamageError: what is stored is not what was written.
        """
        seq = self._repeated(draft)
        return None if seq is None else Taken(seq=seq)

    def symbols(self) -> list[str]:
        """Name the symbols of which anything is known."""
        symbols = rows(self._connection, (str,), _SYMBOLS, self.channel)
        return sorted({name for (name,) in symbols} | self._symbols.keys())

    def held(self, symbol: str) -> dict[str, Held]:
        """Return what is known of a symbol, by ticket."""
        held = self._symbols.get(symbol)
        return self._load(symbol) if held is None else held

    def forget(self, symbol: str) -> None:
        """Remove the flat row of a symbol."""
        held = self.held(symbol)
        if "" in held:
            self._unset(held, symbol, "")

    def flush(
        self, writes: Writes, retain: int, ids: int, slice: int, empty: bool = False
    ) -> Checkpoint | None:
        """
        Add what changed to what is to be written, and remove a slice of what is kept no longer.

        Args:
            empty: whether a channel is written in which nothing changed.

        Returns:
            The checkpoint; None = nothing is written.
        """
        if not (self._entries or self._touched or empty):
            return None
        self._write(writes)
        before = self.row
        total = int.from_bytes(before.ids, "big")
        for id, (seq, proof) in self._ids.items():
            total += id_item(id, seq, proof)
        row = Row(
            before.name,
            before.epoch,
            before.since,
            before.revision + 1,
            self.seq,
            self.hash,
            before.oldest,
            before.anchor,
            self._sum.to_bytes(32, "big"),
            (total % SUMS).to_bytes(32, "big"),
            before.known + len(self._ids),
            True if self.derived else UNSET,
            before.former,
            before.counted,
        )
        # Every entry makes room for one, and a slice for what an earlier, longer retention kept.
        # Entries of this transaction stay: who asks what came of a commit that failed must find
        # them.
        excess = min(row.seq - retain, before.seq) - row.oldest + 1
        if excess >= slice:  # one page less in most commits
            row = _prune(self._connection, row, min(excess, slice + len(self._entries)))
        excess = row.known - ids
        if excess >= slice:
            row = _prune_ids(self._connection, row, min(excess, slice + len(self._entries)))
        self._sealed = encode_row(row)
        writes[_SET_ROW].append((row.name, *self._sealed))
        self._begin(row)
        return Checkpoint(row.name, row.epoch, row.seq, row.revision, row.hash, self._sealed[1])

    # What a draft becomes

    def _flatten(self, draft: Entry, policy: CommitPolicy) -> Outcome:
        closings = []
        for name in self.symbols():
            keys = [ticket for ticket, each in self.held(name).items() if each.entry.volume]
            closings += self._close(replace(draft, symbol=name), keys)
        policy.flattened(draft, len(closings))
        return Taken(tuple(closings))

    def _close(self, draft: Entry, tickets: Iterable[str]) -> list[Entry]:
        """Store closings, in the order in which the positions were set."""
        held = self.held(draft.symbol)
        standing = sorted(tickets, key=lambda ticket: held[ticket].entry.seq)
        return [
            self._store(_closing(draft, each), held, _times(held[each].entry)) for each in standing
        ]

    def _repeated(self, draft: Entry) -> int | None:
        known = self._ids.get(draft.id)
        if known is None:
            known = self._connection.execute(_KNOWN, (self.channel, draft.id)).fetchone()
            if known is None:
                return None
            shaped([known], (int, bytes))
        seq, proof = known
        if proof == prove_id(draft, seq):
            return seq
        own = [(body, hash) for _, at, body, hash in self._entries if at == seq]
        stored = _entry_of(self._connection, draft, seq, proof, own)
        if stored is not None and content(stored) == content(draft):
            return seq
        raise WireError(
            "id",
            f"{draft.channel} has stored {draft.id} with other fields, as entry {seq}; "
            "an id names one signal for ever",
        )

    def _load(self, symbol: str) -> dict[str, Held]:
        shape = (str, bytes, bytes, bytes)
        found = rows(self._connection, shape, _POSITIONS, self.channel, symbol)
        held = {
            ticket: prove(self.channel, symbol, ticket, (before, body, digest))
            for ticket, before, body, digest in found
        }
        if held:  # a symbol that is refused leaves nothing
            self._symbols[symbol] = held
        return held

    # What it changes

    def _store(
        self, draft: Entry, held: dict[str, Held], opened: Opened, remember: bool = True
    ) -> Entry:
        before, seq = held.get(draft.ticket), self.seq + 1
        # Of a symbol that is known, what is not named is flat.
        previous = before.entry.volume if before is not None else FLAT if held else None
        entry = replace(draft, seq=seq, previous=previous, opened=opened[0], popened=opened[1])
        body = encode(self.epoch, entry)
        link = self.hash
        hash = sha256(link + body).digest()
        force_setattr(entry, "h", hash[:4].hex())
        self.seq, self.hash = seq, hash
        self._entries.append((self.channel, seq, body, hash))
        if draft.id and not self.derived:
            self._ids[draft.id] = seq, prove_id(draft, seq)
        if remember:
            self._apply(held, Held(entry, link, body, hash))
        return entry

    def _apply(self, held: dict[str, Held], now: Held) -> None:
        symbol, ticket = now.entry.symbol, now.entry.ticket
        if ticket in held:
            self._unset(held, symbol, ticket)
        if not now.entry.volume:
            if any(held):
                return  # another ticket is left
            ticket = ""
        if "" in held:
            self._unset(held, symbol, "")
        held[ticket] = now
        self._symbols[symbol] = held
        item = self._items[symbol, ticket] = position_item(symbol, ticket, now.hash)
        self._sum = (self._sum + item) % SUMS
        self._touched[symbol, ticket] = None

    def _unset(self, held: dict[str, Held], symbol: str, ticket: str) -> None:
        gone = held.pop(ticket)
        item = self._items.pop((symbol, ticket), None)
        if item is None:
            item = position_item(symbol, ticket, gone.hash)
        self._sum = (self._sum - item) % SUMS
        self._touched[symbol, ticket] = None

    # What is written

    def _write(self, writes: Writes) -> None:
        writes[_ADD] += self._entries
        if self._ids:
            known = writes[_ADD_ID]
            for id, (seq, proof) in self._ids.items():
                known.append((self.channel, id, seq, proof))
        for symbol, ticket in self._touched:
            held = self._symbols[symbol].get(ticket)
            if held is None:
                writes[_UNSET].append((self.channel, symbol, ticket))
            else:
                row = self.channel, symbol, ticket, held.link, held.body, held.hash
                writes[_SET].append(row)


def _entry_of(
    connection: sqlite3.Connection, draft: Entry, seq: int, proof: bytes, own: list[Sealed]
) -> Entry | None:
    """
    Return the entry that has the id of a draft; None = it is kept no longer.

    Args:
        seq, proof: of the row of the id.
        own: the entry, if this transaction made it.

    Raises:
        DamageError: the row of the id is wrong, and not the publisher.
    """
    found = own or rows(connection, (bytes, bytes), _ENTRY, draft.channel, seq)
    if not found:
        return None
    entry = decode(draft.channel, *found[0])[1]
    if entry.id != draft.id or prove_id(entry, seq) != proof:
        text = f"channel {draft.channel}: the id {draft.id!r} does not name entry {seq}"
        raise DamageError(draft.channel, text)
    return entry


def _prune(connection: sqlite3.Connection, row: Row, count: int) -> Row:
    """Remove the oldest entries of a channel; return its row then."""
    last = row.oldest + count - 1
    found = rows(connection, (bytes, bytes), _ENTRY, row.name, last)
    if not found:
        raise DamageError(row.name, f"channel {row.name}, entry {last}: it is missing")
    connection.execute("DELETE FROM entry WHERE channel = ? AND seq <= ?", (row.name, last))
    return replace(row, oldest=last + 1, anchor=found[0][1])


def _prune_ids(connection: sqlite3.Connection, row: Row, count: int) -> Row:
    """Remove the oldest ids of a channel; return its row then."""
    shape = (int, str, bytes)
    gone = rows(connection, shape, _OLD_IDS, row.name, row.oldest, count)
    connection.executemany(
        "DELETE FROM known WHERE (channel, id) = (?, ?)", [(row.name, id) for _, id, _ in gone]
    )
    total = row.ids
    for seq, id, proof in gone:
        total = add(total, -id_item(id, seq, proof))
    return replace(row, ids=total, known=row.known - len(gone))


def _closing(draft: Entry, ticket: str) -> Entry:
    return Entry(draft.channel, draft.symbol, FLAT, draft.when, ticket)


def _opened(draft: Entry, change: Transition, held: Mapping[str, Held]) -> Opened:
    """Say when the position was opened that a draft changes or closes, or that it opens."""
    if draft.volume and (change.effect == "reversal" or not change.before):
        if draft.opened is not None:  # a copy is as old as what it copies
            return draft.opened, draft.popened
        said = dict(draft.fields).get("ptime") if draft.fields else None
        popened = None if said is None else int(said)
        return draft.when if popened is None else min(draft.when, popened), popened
    if not change.tickets:
        standing = held.get(draft.ticket)
        if standing is None or not standing.entry.volume:
            return None, None
        return standing.entry.opened, standing.entry.popened
    times = [_times(held[key].entry) for key in change.tickets if held[key].entry.volume]
    return _earliest(each for each, _ in times), _earliest(each for _, each in times)


def _times(entry: Entry) -> Opened:
    return entry.opened, entry.popened


def _earliest(times: Iterable[int | None]) -> int | None:
    found = list(times)
    known = [each for each in found if each is not None]
    return min(known) if known and len(known) == len(found) else None


def content(entry: Entry) -> tuple[object, ...]:
    """Return what an id names: numbers by their value, whatever road wrote 1.10 or 1.1."""
    fields = {key: text if key == "comment" else Decimal(text) for key, text in entry.fields}
    return entry.channel, entry.symbol, entry.ticket, entry.volume, entry.type, fields
