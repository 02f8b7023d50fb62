"""
Derivation: what views make of a commit, in the same transaction.

Blocking, for the thread of the journal.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from mtnet.errors import DamageError
from mtnet.services.signals.journal.hash_chain import Held
from mtnet.services.signals.journal.schema import Writes, blame
from mtnet.services.signals.journal.transaction import Transaction
from mtnet.services.signals.journal.verify import state_in
from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.ownership.transitions import CommitPolicy, Verdict, transition
from mtnet.services.signals.views import store
from mtnet.services.signals.views.store import StoredAliases, StoredView
from mtnet.services.signals.views.transform import Draft, Terms

Open = Callable[[str], Transaction]
"""Returns the transaction of a channel."""


class Derived(CommitPolicy):
    """Takes what a view says, and as the dialect of tickets: what has no id is no classic frame."""

    def judge(self, draft: Entry, held: Mapping[str, Held]) -> Verdict | None:
        return Verdict(transition(draft, held, classic=False))


KEEP = Derived()


class Derivation:
    """
    The views of a journal.

    Attributes:
        changed: the views that are to be written.
        loaded: whether they are known.
        names: of all, those that are damaged included.
        aliases: whose `main` is which view.
        views: by name; those that are whole.
        idle: there are no views, so that a commit leads to nothing more.
    """

    def __init__(self) -> None:
        self.loaded = self.idle = False
        self.names = frozenset[str]()
        self.aliases = StoredAliases()
        self.changed: dict[str, StoredView] = {}
        self.views: dict[str, StoredView] = {}
        self._by_source: dict[str, list[str]] = {}

    def forget(self) -> None:
        """Read everything again: a transaction did not end as it was thought to."""
        self.loaded = self.idle = False
        self.changed = {}

    def load(self, connection: sqlite3.Connection, damaged: Collection[str]) -> list[DamageError]:
        """
        Read the views.

        Args:
            damaged: those that are left out.

        Returns:
            What is wrong with others, which are left out, too.
        """
        self.views, found = {}, list[DamageError]()
        self.names = frozenset(store.view_names(connection))
        for name in self.names:
            if name in damaged:
                continue
            try:
                stored = store.read_view(connection, name)
                stored.compare(state_in(connection, name))
            except (DamageError, sqlite3.DatabaseError) as error:
                found.append(blame(name, error))
            else:
                self.views[name] = stored
        self._index()
        self.aliases.load(connection, self.names, self.views)
        self.loaded = True
        return found

    def derive(
        self, entries: Iterable[Entry], transaction: Open, terms: Mapping[str, Terms]
    ) -> list[Entry]:
        """
        Return the entries of views that follow from entries of their sources.

        Args:
            transaction: returns the transaction of a channel, of a source or of a view.
            terms: what is known of followers, by view; a missing one knows the time alone.

        Raises:
            DamageError: a view does not fit its channel, or failed.
        """
        derived: list[Entry] = []
        for entry in entries:
            names = self._by_source.get(entry.channel, ())
            if not names:
                continue
            bare, prefix = Terms(entry.when), f"{transaction(entry.channel).epoch}-{entry.seq}"
            for name in names:
                found = terms.get(name)
                known = bare if found is None else replace(found, when=entry.when)
                stored = self.changed[name] = self.views[name]
                try:
                    drafts = stored.view.apply(entry.channel, entry, known)
                except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                    raise DamageError(name, f"view {name} failed at {prefix}: {error!r}") from error
                derived += self.store(name, drafts, entry.when, transaction(name), prefix)
        return derived

    def store(
        self,
        name: str,
        drafts: Sequence[Draft],
        when: int,
        transaction: Transaction,
        prefix: str = "",
    ) -> list[Entry]:
        """
        Set what a view says, and return the entries.

        Args:
            prefix: of their ids; empty = they have none: no signal led to them.

        Raises:
            DamageError: the channel of the view takes them otherwise.
        """
        self.changed[name] = self.views[name]
        transaction.derived = True
        first = self.views[name].view.seq - len(drafts) + 1
        entries: list[Entry] = []
        for number, draft in enumerate(drafts, 1):
            try:
                outcome = transaction.take(_entry(name, draft, when, prefix, number), KEEP)
            except sqlite3.DatabaseError as error:
                raise blame(name, error) from error
            if not isinstance(outcome, Entry) or outcome.seq != first + number - 1:
                raise DamageError(
                    name, f"view {name}: its channel does not take {draft}: {outcome}"
                )
            entries.append(outcome)
        return entries

    def add(self, name: str, stored: StoredView) -> None:
        """Begin to derive a view."""
        self.views[name] = self.changed[name] = stored
        self.names |= {name}
        self._index()

    def remove(self, connection: sqlite3.Connection, name: str, transaction: Transaction) -> None:
        """End a view; `transaction` = of its channel."""
        transaction.derived = False
        self.names -= {name}
        self.views.pop(name, None)
        self.changed.pop(name, None)
        store.remove(connection, name)
        self._index()

    def repair(self, connection: sqlite3.Connection, name: str, transaction: Transaction) -> None:
        """
        Make the ledger of a damaged view anew; what its sources do not hold is closed.

        A view whose settings are damaged ends, and everything in its channel is closed.

        Args:
            transaction: of the channel of the view.

        Raises:
            DamageError: a source is damaged, and is to be accepted first.
        """
        held = state_in(connection, name)
        positions = () if held is None else held.positions
        when = max((each.when for each in positions), default=0)
        try:
            found = store.rebuild(connection, name, held, partial(state_in, connection))
        except (DamageError, sqlite3.DatabaseError) as error:
            if blame(name, error).channel != name:
                raise
            store.remove(connection, name)
            transaction.derived = False
            transaction.take(Entry(name, "", FLAT, when), KEEP)
            return
        self.views[name] = found
        self.store(name, found.view.settle(), when, transaction)

    def flush(self, writes: Writes) -> None:
        """Add what has changed to what is to be written."""
        changed, self.changed = self.changed, {}
        for stored in changed.values():
            stored.flush(writes)

    def of(self, source: str) -> Sequence[str]:
        """Name the views of a source."""
        return self._by_source.get(source, ())

    def _index(self) -> None:
        self._by_source = {}
        for name, stored in self.views.items():
            for source in stored.view.settings.sources:
                self._by_source.setdefault(source, []).append(name)
        self.idle = not self.views


def _entry(name: str, draft: Draft, when: int, prefix: str, number: int) -> Entry:
    shown = draft.shown
    return Entry(
        name,
        draft.target.symbol,
        shown.volume,
        when,
        draft.target.ticket,
        f"{prefix}-{number}" if prefix else "",
        shown.type,
        shown.fields if shown.volume else (),
        opened=draft.opened if shown.volume else None,
    )
