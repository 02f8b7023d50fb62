"""
Views on disk: settings, modes and ledgers, in the database of the journal.

Everything of a view is written in the transaction of the entries that it is about. Blocking, for
the thread of the journal.
"""

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from fractions import Fraction
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw, Struct, to_builtins
from msgspec.structs import replace

from mtnet.errors import DamageError, WireError
from mtnet.services.signals.journal.hash_chain import SUMS
from mtnet.services.signals.journal.schema import Writes, blame, fetch, rows
from mtnet.services.signals.model import Entry, State
from mtnet.services.signals.reports.equity import Bases
from mtnet.services.signals.views.alias import MAIN, Aliases
from mtnet.services.signals.views.ledger import Key, Row
from mtnet.services.signals.views.settings import ViewMode, ViewSettings
from mtnet.services.signals.views.transform import View

_VIEW = "SELECT body, digest FROM view WHERE name = ?"
_DERIVED = """SELECT name FROM channel WHERE instr(body, CAST('"derived":true' AS BLOB))"""
_LEDGER = "SELECT source, symbol, ticket, body FROM ledger WHERE view = ?"
_SET_VIEW = "INSERT OR REPLACE INTO view VALUES (?, ?, ?)"
_SET = "INSERT OR REPLACE INTO ledger VALUES (?, ?, ?, ?, ?)"
_UNSET = "DELETE FROM ledger WHERE (view, source, symbol, ticket) = (?, ?, ?, ?)"

States = Callable[[str], State | None]
"""Returns what stands in a channel; None = there is none."""


class Head(Struct, frozen=True):
    """
    The row of a view.

    Attributes:
        settings: those that are not the default.
        numbers: of its sources; `next` is the one of the next source.
        struck: as of `View`.
        seq: of its last entry.
        total: the sum over the rows of its ledger, see `item`; hexadecimal.
        bases: what the losses of its follower are measured from.
    """

    settings: Raw
    numbers: dict[str, int]
    next: int
    mode: ViewMode
    struck: str
    seq: int
    total: str
    bases: Bases | None = None


class StoredView:
    """
    A view with what is to be written of it.

    Attributes:
        view: its state machine.
        next: the number of the next source.
        bases: what the losses of its follower are measured from; None = not known.
    """

    def __init__(
        self, view: View, next: int, items: Mapping[Key, int], bases: Bases | None = None
    ) -> None:
        self.view, self.next, self.bases = view, next, bases
        self._items, self._total = dict(items), sum(items.values())
        self._settings: ViewSettings | None = None
        self._text = Raw()

    def compare(self, state: State | None) -> None:
        """
        Begin with what the channel of the view holds.

        Raises:
            DamageError: that is not what the ledger says.
        """
        name = self.view.name
        seq, held = _standing(state)
        if not self.view.show(held) or self.view.seq != seq:
            raise DamageError(name, f"view {name}: its ledger is not that of its entry {seq}")

    def flush(self, writes: Writes) -> None:
        """Add the rows that have changed, and the row of the view, to what is to be written."""
        view = self.view
        sets, unsets = writes[_SET], writes[_UNSET]
        for key in view.touched:
            row = view.rows.get(key)
            self._total -= self._items.pop(key, 0)
            if row is None:
                unsets.append((view.name, *key))
            else:
                body = encode(row)
                self._items[key] = item(key, body)
                self._total += self._items[key]
                sets.append((view.name, *key, body))
        view.touched = {}
        total = f"{self._total % SUMS:x}"
        if view.settings is not self._settings:
            self._settings, self._text = view.settings, _without_defaults(view.settings)
        body = encode(
            Head(
                self._text,
                view.numbers,
                self.next,
                view.mode,
                view.struck,
                view.seq,
                total,
                self.bases,
            )
        )
        writes[_SET_VIEW].append((view.name, body, sha256(body).digest()))


class StoredAliases:
    """
    The views that `main` means for some accounts and networks.

    Attributes:
        known: them.
        stale: they are not written yet.
    """

    def __init__(self) -> None:
        self.known, self.stale = Aliases(), False

    def load(
        self,
        connection: sqlite3.Connection,
        names: Collection[str],
        views: Mapping[str, StoredView],
    ) -> None:
        """
        Read them; where that is damaged, ask the views themselves.

        Args:
            names: of all views.
            views: those that are whole.

        Raises:
            sqlite3.DatabaseError: the disk cannot be read.
        """
        others = MAIN
        try:
            stored = _read_aliases(connection)
        except (DamageError, sqlite3.DatabaseError) as error:
            blame("", error)  # raises what is no damage
            stored = Aliases()
            left_out = sorted(set(names) - views.keys())
            others = left_out[0] if left_out else MAIN
        self.known = stored
        for name in sorted(views):
            with suppress(WireError):  # two say the same of one
                self.assign(name, views[name].view.settings, names)
        self.stale = self.known != stored
        self.known = replace(self.known, others=others)

    def assign(self, name: str, settings: ViewSettings, names: Collection[str]) -> None:
        """
        Let `main` mean a view for its accounts and networks.

        Args:
            names: of all views.

        Raises:
            WireError: `field`; one of them has another view.
        """
        self.known = replace(self.known.given(name, settings, names), others=MAIN)
        self.stale = True

    def flush(self, connection: sqlite3.Connection) -> None:
        """Write them, if they have changed."""
        if self.stale:
            body = encode(self.known)
            values = body, sha256(body).digest()
            connection.execute("INSERT OR REPLACE INTO alias VALUES (1, ?, ?)", values)
            self.stale = False


def begin(name: str, settings: ViewSettings) -> StoredView:
    """Make a view that has no entry yet."""
    numbers = {source: number for number, source in enumerate(settings.sources, 1)}
    return StoredView(View(name, settings, numbers), len(numbers) + 1, {})


def rebuild(
    connection: sqlite3.Connection, name: str, state: State | None, states: States
) -> StoredView:
    """
    Make the ledger of a damaged view anew: what it holds stays, as a part of what its sources hold.

    Args:
        state: of its own channel.
        states: returns that of a source.

    Raises:
        DamageError: its settings are not what was written.
    """
    head, settings = _read_head(connection, name)
    seq, held = _standing(state)
    view = View(name, settings, head.numbers, seq)
    view.mode, view.struck = head.mode, head.struck
    view.show(held)
    for source in settings.sources:
        view.adopt(source, _standing(states(source))[1])
    connection.execute("DELETE FROM ledger WHERE view = ?", (name,))
    return StoredView(view, head.next, {}, head.bases)


def remove(connection: sqlite3.Connection, name: str) -> None:
    """Remove a view and its ledger; the entries of its channel stay."""
    connection.execute("DELETE FROM ledger WHERE view = ?", (name,))
    connection.execute("DELETE FROM view WHERE name = ?", (name,))


def has_views(connection: sqlite3.Connection) -> bool:
    """Return whether a file knows views; one of an older mtnet does not."""
    return bool(fetch(connection, "SELECT 1 FROM sqlite_schema WHERE name = 'ledger'"))


def view_names(connection: sqlite3.Connection) -> set[str]:
    """Name the views; the rows of their channels say it, too, where the table is damaged."""
    found = set(rows(connection, (str,), _DERIVED))
    try:
        found.update(rows(connection, (str,), "SELECT name FROM view"))
    except sqlite3.DatabaseError as error:
        blame("", error)  # raises what is no damage
    return {name for (name,) in found}


def read_view(connection: sqlite3.Connection, name: str) -> StoredView:
    """
    Return a view as it is stored.

    Raises:
        DamageError: it is not what was written.
        sqlite3.DatabaseError: it, or the disk, cannot be read.
    """
    head, settings = _read_head(connection, name)
    ledger: dict[Key, Row] = {}
    items: dict[Key, int] = {}
    for source, symbol, ticket, line in rows(connection, (int, str, str, bytes), _LEDGER, name):
        key = Key(source, symbol, ticket)
        ledger[key], items[key] = _decode(name, line, Row), item(key, line)
    if f"{sum(items.values()) % SUMS:x}" != head.total:
        raise DamageError(name, f"view {name}: rows of its ledger are missing, or too many")
    view = View(name, settings, head.numbers, head.seq)
    view.mode, view.struck = head.mode, head.struck
    view.load(ledger)
    return StoredView(view, head.next, items, head.bases)


def _standing(state: State | None) -> tuple[int, Sequence[Entry]]:
    """Return the last entry of a channel, and what it holds."""
    return (0, ()) if state is None else (state.seq, state.positions)


def _read_aliases(connection: sqlite3.Connection) -> Aliases:
    for body, digest in rows(connection, (bytes, bytes), "SELECT body, digest FROM alias"):
        if sha256(body).digest() != digest:
            raise DamageError("", "the row of the table `alias` was changed")
        found: Aliases = _decode("", body, Aliases)
        return found
    return Aliases()


def _read_head(connection: sqlite3.Connection, name: str) -> tuple[Head, ViewSettings]:
    found = rows(connection, (bytes, bytes), _VIEW, name)
    if not found:
        raise DamageError(name, f"view {name}: its row in the table `view` is missing")
    body, digest = found[0]
    if sha256(body).digest() != digest:
        raise DamageError(name, f"view {name}: its row in the table `view` was changed")
    head: Head = _decode(name, body, Head)
    return head, _decode(name, bytes(head.settings), ViewSettings)


def _without_defaults(settings: ViewSettings) -> Raw:
    """Return settings as they are written: they are part of each commit that changes a view."""
    chosen = to_builtins(settings)
    usual = to_builtins(ViewSettings(sources=settings.sources))
    named = {key: value for key, value in chosen.items() if value != usual[key]}
    return Raw(_encoder.encode({"sources": settings.sources, **named}))


def encode(value: Struct) -> bytes:
    """Return a row as JSON."""
    return _encoder.encode(value)


def item(key: Key, body: bytes) -> int:
    """Return what a row of the ledger adds to the sum of its view."""
    return int.from_bytes(sha256(_encoder.encode(key) + body).digest(), "big")


def _decode(name: str, body: bytes, kind: Callable[..., Any]) -> Any:
    try:
        return _decoders[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamageError(name, f"view {name}: a row cannot be read: {error}") from error


def _encode_fraction(value: object) -> str:
    if isinstance(value, Fraction):
        return str(value)
    raise NotImplementedError


def _decode_fraction(kind: type, text: str) -> Fraction:
    return Fraction(text)


_encoder = msgspec.json.Encoder(enc_hook=_encode_fraction)
_decoders: Mapping[Any, Any] = {
    kind: msgspec.json.Decoder(kind, dec_hook=_decode_fraction)
    for kind in (Aliases, Head, Row, ViewSettings)
}
