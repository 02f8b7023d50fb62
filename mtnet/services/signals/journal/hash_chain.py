"""
Hash chain: it proves that the journal returns the entries that were written.

Each entry is one line of JSON, and its hash is the SHA-256 of the hash before it and of that
line: an entry that was changed, lost or moved breaks the chain. The state, which outlives the
entries that made it, is covered by sums of hashes in the row of its channel. Pure.
"""

import re
from decimal import Decimal
from hashlib import sha256
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from mtnet.errors import DamageError
from mtnet.services.signals.model import Counted, Entry
from mtnet.services.signals.values import Kind

GENESIS = bytes(32)
"""The hash before the first entry of a channel."""
SUMS = 1 << 256
"""Sums of hashes are taken modulo this."""


class _Line(Struct, array_like=True, frozen=True):
    """The content of a line of `encode`: an array, so that the order of keys does not matter."""

    epoch: str
    seq: int
    channel: str
    symbol: str
    ticket: str
    volume: Decimal
    previous: Decimal | None
    when: int
    id: str
    type: Kind
    fields: tuple[tuple[str, str], ...]
    opened: int | None = None
    popened: int | None = None


class Row(Struct, frozen=True):
    """
    Row of a channel.

    Attributes:
        since: the last entry before this epoch began; no follower may ask for that or older.
        revision: counts the transactions that changed anything of the channel.
        seq, hash: of the last entry.
        oldest: the first entry that is kept; `anchor` is the hash before it.
        positions, ids: sums over the rows of the two tables, see `add`.
        known: how many ids are kept.
        derived: the channel is a view. The row says so, for the table of views may be damaged.
        former: the epoch before this one, which the checkpoint file may name still.
        counted: the last whole state that led to an entry: it must be known after a restart.
    """

    name: str
    epoch: str
    since: int = 0
    revision: int = 0
    seq: int = 0
    hash: bytes = GENESIS
    oldest: int = 1
    anchor: bytes = GENESIS
    positions: bytes = GENESIS
    ids: bytes = GENESIS
    known: int = 0
    derived: Literal[True] | UnsetType = UNSET
    former: str | UnsetType = UNSET
    counted: Counted | UnsetType = UNSET


class Checkpoint(Struct, frozen=True):
    """Record of a channel in the checkpoint file; `proof` is the digest of its row."""

    channel: str
    epoch: str
    seq: int
    revision: int
    hash: bytes
    proof: bytes


class Held(Struct, frozen=True):
    """
    A position with the row that proves it.

    Attributes:
        link: the hash before its entry.
        body, hash: of its entry.
    """

    entry: Entry
    link: bytes
    body: bytes
    hash: bytes


_DERIVED_ID = re.compile("[0-9a-f]{16}-[0-9]+-[0-9]+").fullmatch
_encoder = msgspec.json.Encoder()
_line = msgspec.json.Decoder(_Line)
_row = msgspec.json.Decoder(Row)


def encode(epoch: str, entry: Entry) -> bytes:
    """Return the line that stands for an entry; two entries never share one."""
    return _encoder.encode(
        (
            epoch,
            entry.seq,
            entry.channel,
            entry.symbol,
            entry.ticket,
            entry.volume,
            entry.previous,
            entry.when,
            entry.id,
            entry.type,
            entry.fields,
            entry.opened,
            entry.popened,
        )
    )


def decode(channel: str, body: bytes, hash: bytes) -> tuple[str, Entry]:
    """
    Return the epoch and the entry of a line whose hash was found right.

    Raises:
        DamageError: the line is invalid, or of another channel.
    """
    try:
        line = _line.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamageError(
            channel, f"channel {channel}: an entry cannot be read: {error}"
        ) from error
    if line.channel != channel:
        raise DamageError(channel, f"channel {channel}: an entry of {line.channel!r} stands there")
    entry = Entry(
        line.channel,
        line.symbol,
        line.volume,
        line.when,
        line.ticket,
        line.id,
        line.type,
        line.fields,
        line.seq,
        line.previous,
        line.opened,
        line.popened,
        short(hash),
    )
    return line.epoch, entry


def link(before: bytes, body: bytes) -> bytes:
    """Return the hash of the entry `body`, which follows the one whose hash is `before`."""
    return sha256(before + body).digest()


def short(hash: bytes) -> str:
    """Return the short form of a hash for followers: enough to distinguish two histories."""
    return hash[:4].hex()


def encode_row(row: Row) -> tuple[bytes, bytes]:
    """Return the row of a channel and its digest."""
    body = _encoder.encode(row)
    return body, sha256(body).digest()


def decode_row(name: str, body: bytes, digest: bytes) -> Row:
    """
    Return the row of the channel `name`.

    Raises:
        DamageError: it is not what was written.
    """
    if sha256(body).digest() != digest:
        raise DamageError(name, f"channel {name}: its row in the table `channel` was changed")
    row = _row.decode(body)
    if row.name != name:
        raise DamageError(name, f"channel {name}: the row of {row.name!r} stands there")
    return row


def checkpoint_of(row: Row, digest: bytes | None = None) -> Checkpoint:
    """Return the checkpoint of a channel whose row has this digest."""
    proof = encode_row(row)[1] if digest is None else digest
    return Checkpoint(row.name, row.epoch, row.seq, row.revision, row.hash, proof)


def prove_id(draft: Entry, seq: int) -> bytes:
    """
    Return the hash of an id, the entry that it was stored as, and its content.

    The time of a draft and the order of its fields are not part of its content.
    """
    # 0.50 is 0.5, and so must be its text.
    volume = str(draft.volume.normalize() if draft.volume else 0)
    fields = sorted(draft.fields)
    content = draft.channel, draft.symbol, draft.ticket, volume, draft.type, fields
    return sha256(_encoder.encode((draft.id, seq, content))).digest()


def is_derived_id(id: str) -> bool:
    """
    Return whether an id has the form of those that entries of views have: EPOCH-SEQ-N.

    The table `known` does without them: nobody sends them again, and they are half of what a
    commit with many views would write.
    """
    return _DERIVED_ID(id) is not None


def id_item(id: str, seq: int, proof: bytes) -> int:
    """Return what a row of the table `known` adds to the sum of its channel."""
    return int.from_bytes(sha256(_encoder.encode((id, seq)) + proof).digest(), "big")


def position_item(symbol: str, ticket: str, hash: bytes) -> int:
    """Return what a row of the table `position` adds to the sum of its channel."""
    return int.from_bytes(sha256(_encoder.encode((symbol, ticket)) + hash).digest(), "big")


def add(total: bytes, item: int) -> bytes:
    """
    Return a sum modulo 2^256 with `item` in it, or, if that is negative, out of it.

    A row can so be put in and taken out without looking at the others, and no row can be
    changed, lost or added by a fault and leave the sum as it was.
    """
    return ((int.from_bytes(total, "big") + item) % SUMS).to_bytes(32, "big")


def prove(channel: str, symbol: str, ticket: str, row: tuple[bytes, bytes, bytes]) -> Held:
    """
    Return the position (symbol, ticket) of which `row` is (hash before, entry, hash).

    Raises:
        DamageError: it is not what was written.
    """
    before, body, digest = row
    where = f"channel {channel}: the position of {symbol!r}, ticket {ticket!r},"
    if link(before, body) != digest:
        raise DamageError(channel, f"{where} was changed")
    entry = decode(channel, body, digest)[1]
    # The flat row of a symbol is the entry that closed its last ticket.
    closed = not ticket and not entry.volume
    if entry.symbol != symbol or (entry.ticket != ticket and not closed):
        raise DamageError(channel, f"{where} holds entry {entry.seq}, which is about another")
    return Held(entry, before, body, digest)


def shown(ticket: str, entry: Entry) -> Entry:
    """Return a position as it stands: a flat symbol has no ticket, and nothing of the last."""
    if entry.ticket == ticket:
        return entry
    bare = Entry(entry.channel, entry.symbol, entry.volume, entry.when, seq=entry.seq)
    return msgspec.structs.replace(bare, previous=entry.previous, h=entry.h)
