"""
The signals on disk: every entry in order, and the state that they led to.

Blocking, for one thread at a time. A commit that returned is on the platter
(`synchronous=FULL`, write-ahead log), and what is read is what was written, or an error.
"""

import sqlite3
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from mtnet.errors import DamageError, JournalError, NotAskedError, WireError
from mtnet.metrics import Histogram
from mtnet.services.signals.journal.checkpoints import MAX_NAME
from mtnet.services.signals.journal.hash_chain import (
    Checkpoint,
    Row,
    checkpoint_of,
    short,
)
from mtnet.services.signals.journal.maintenance import adopt
from mtnet.services.signals.journal.recovery import RecoverableFiles
from mtnet.services.signals.journal.schema import (
    Writes,
    blame,
    write_apart,
)
from mtnet.services.signals.journal.transaction import (
    Transaction,
    new_row,
    next_epoch,
    read_row,
    write_row,
)
from mtnet.services.signals.journal.verify import (
    channels,
    kept_hash_at,
    read_entries,
    sentence,
    state_in,
    state_of,
)
from mtnet.services.signals.journal.whole_state import store_whole
from mtnet.services.signals.model import Accepted, Entry, Outcome, State, WholeState, entries_of
from mtnet.services.signals.ownership.transitions import CommitPolicy
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.changes import Workspace
from mtnet.services.signals.views.derivation import Derivation

IDS = 1_000_000
"""Ids of each channel that are remembered when their entries are not."""
SLICE = 256
"""Entries, and ids, by which a channel grows beyond what is to be kept before a commit removes
as many: under a millisecond."""

T = TypeVar("T")


class _Again(Exception):
    """The transaction is tried again: a page is damaged, and it is not known whose."""


class Journal(RecoverableFiles):
    """
    Crash-safe journal of all channels in one SQLite file.

    Args:
        path: the file; its folder exists. The checkpoint file lies beside it.
        retain: entries of each channel that are kept; the state is kept always.
        ids, slice: see `IDS` and `SLICE`.

    Attributes:
        attempted: what becomes of each draft of the last commit where that turns out to be
            stored; empty = none was judged.
        derived: the entries of views that the last commit led to, in order.
    """

    def __init__(self, path: Path, retain: int, ids: int = IDS, slice: int = SLICE) -> None:
        super().__init__(path)
        self.attempted: list[Outcome] = []
        self.derived: list[Entry] = []
        self._views = Derivation()
        self._keeps = retain, ids, slice
        self._transactions: dict[str, Transaction] = {}
        self._apart = False

    def create(self, channel: str) -> None:
        """
        Make a channel, unless it is there.

        Raises:
            JournalError: the disk is full or failed, or the channel is damaged.
            WireError: `channel`; no channel can have this name.
        """
        self.refuse_damaged(channel)
        _check_name(channel)

        def make(connection: sqlite3.Connection) -> tuple[None, list[Checkpoint]]:
            if read_row(connection, channel) is not None:
                return None, []
            fresh = {channel: Transaction(connection, new_row(channel))}
            return None, self._flush(connection, fresh, empty=True)

        self._write(make)

    @property
    def sync_seconds(self) -> Histogram:
        """Histogram of the seconds that each transaction took to reach the disk."""
        return self.database.sync_seconds

    def commit(self, drafts: Iterable[Entry], policy: CommitPolicy | None = None) -> list[Outcome]:
        """
        Store drafts, all that are accepted or, when this raises, none that is known of.

        Args:
            policy: judges each draft against what stands then, the drafts before it included.
                None = all is stored.

        Returns:
            What became of each draft, in their order. A refusal is returned, not raised: `id`
            (it was stored with other fields), `field` (with a ticket where the net position
            stands, or the other way round), `server` (the channel is damaged, which may be found
            by this), `channel` (its name), or what `policy` raised.

        Raises:
            JournalError: the disk is full or failed; ask `recover`.
        """
        self.attempted = []
        wanted, policy = list(drafts), policy or CommitPolicy()
        return self._write(partial(self._take, drafts=wanted, policy=policy))

    def change_views(self, change: Callable[[Workspace], T]) -> T:
        """
        Change views; all of it is stored or, when this raises, nothing.

        Raises:
            JournalError, WireError: as `commit`, and as the change.
        """

        def make(connection: sqlite3.Connection) -> tuple[T, list[Checkpoint]]:
            transactions: dict[str, Transaction] = {}
            result = change(self._workspace(connection, transactions))
            # The channel of a new view has no entry yet.
            checkpoints = self._flush(connection, transactions, empty=True)
            self._views.aliases.flush(connection)
            return result, checkpoints

        return self._write(make)

    def _workspace(
        self, connection: sqlite3.Connection, transactions: dict[str, Transaction]
    ) -> Workspace:
        join = partial(self._join, connection, transactions)
        return Workspace(connection, self._views, join, partial(state_in, connection))

    def _load_views(self) -> None:
        """
        Read the views, and mark those that are damaged.

        In a transaction of its own: SQLite writes nothing in one that has met a damaged page.
        """
        for error in self.database.read(lambda c: self._views.load(c, self.damaged)):
            super()._spoil(error.channel, sentence(self.path, error.channel, error))

    def look_at_views(self, look: Callable[[Derivation], T]) -> T:
        """
        Return something of the views; it is there on a full disk, too.

        Raises:
            JournalError: the disk failed.
        """
        self.check_recovered()
        if not self._views.loaded:
            self._load_views()
        return look(self._views)

    def find(self, drafts: Iterable[Entry]) -> list[Outcome | None]:
        """
        Say what became of drafts with ids: `Taken`, a refusal, or None for all that are not
        stored, those without an id included.

        Raises:
            JournalError: the disk failed.
        """
        return [self._find(draft) for draft in drafts]

    def read(self, channel: str, after: int, limit: int) -> list[Entry]:
        """
        Return at most `limit` entries, from `after` + 1 on.

        Raises:
            PrunedError: the first of them is kept no longer.
            JournalError: they are not what was written; the error names the place.
            WireError: `channel`; there is none of this name.
        """
        return self._look(channel, lambda c, row: read_entries(c, row, after, limit))

    def hash_at(self, channel: str, seq: int) -> str:
        """
        Return the `h` of an entry, see `Entry`.

        Raises:
            PrunedError: it is kept no longer.
            JournalError, WireError: as `read`.
        """
        return self._look(channel, lambda c, row: short(kept_hash_at(c, row, seq)))

    def positions(self, channel: str) -> State:
        """
        Return what stands in a channel, as of its last entry.

        Raises:
            JournalError: it is not what was written.
            WireError: `channel`; there is none of this name.
        """
        return self._look(channel, state_of)

    def expire(
        self, before: int, among: Collection[tuple[str, str]] | None = None
    ) -> list[tuple[str, str]]:
        """
        Forget the symbols that went flat before a time in milliseconds since the epoch.

        Args:
            among: (channel, symbol) that may be forgotten: their times in the journal may have
                come from a clock that was wrong; None = all.

        Returns:
            Them, as (channel, symbol).

        Raises:
            JournalError: as `commit`.
        """
        gone = self._write(lambda connection: self._expire(connection, before, among))
        with suppress(JournalError):  # which the next commit meets again
            self.checkpoints.sync()
        return gone

    def accept(self, channel: str, when: int) -> Accepted:
        """
        Go on with a damaged channel as it is: its proven positions, no entries, a new epoch.

        Its views begin new epochs in the same commit, and close what it holds no longer.

        Args:
            when: the time of their closings.

        Raises:
            JournalError: the disk is full or failed.
            WireError: `channel`; nothing is known of it.
        """
        checkpoint = self.checkpoints.read().get(channel)
        self.break_off()  # what it sees is older

        def make(connection: sqlite3.Connection) -> tuple[Accepted, list[Checkpoint]]:
            row = adopt(connection, channel, checkpoint)
            if row is None:
                raise _no_channel(channel)
            if checkpoint is None:
                self.checkpoints.begin(channel, row.epoch)
            return self._renewed(connection, self._repair_view(connection, row), when)

        accepted = self._write(make)
        self._views.forget()  # it may be one
        self.checkpoints.sync()
        self.damaged, self.spoilt = (
            {name: why for name, why in known.items() if name != channel}
            for known in (self.damaged, self.spoilt)
        )
        return accepted

    def _repair_view(self, connection: sqlite3.Connection, row: Row) -> Row:
        """Make the ledger of an accepted channel anew, if that is a view; return its row."""
        if not (row.derived or row.name in self._views.names):
            return row
        transaction = Transaction(connection, row)
        try:
            self._views.repair(connection, row.name, transaction)
        except sqlite3.DatabaseError as error:
            raise blame(row.name, error) from error
        self._flush(connection, {row.name: transaction}, empty=True)
        return read_row(connection, row.name) or row

    def begin_epoch(self, channel: str, when: int) -> Accepted:
        """
        Go on with a channel as it is, under a new epoch; its views begin new ones, too.

        Args:
            when: the time of what they close.

        Raises:
            JournalError: the disk is full or failed, or the channel is damaged.
            WireError: `channel`; there is none of this name.
        """
        self.refuse_damaged(channel)

        def make(connection: sqlite3.Connection) -> tuple[Accepted, list[Checkpoint]]:
            return self._renewed(connection, _begin_epoch(connection, channel), when)

        accepted = self._write(make)
        self.checkpoints.sync()
        return accepted

    def _renewed(
        self, connection: sqlite3.Connection, row: Row, when: int
    ) -> tuple[Accepted, list[Checkpoint]]:
        """Begin new epochs of the views of a channel, and let them follow it as it is now."""
        transactions: dict[str, Transaction] = {}
        views = {
            name: state_of(connection, _begin_epoch(connection, name))
            for name in self._views.of(row.name)
        }
        entries = changes.renew(self._workspace(connection, transactions), row.name, when)
        checkpoints = self._flush(connection, transactions, empty=True)
        state = state_of(connection, row)
        return Accepted(state, views, entries), [checkpoint_of(row), *checkpoints]

    # Writing

    def _write(self, work: Callable[[sqlite3.Connection], tuple[T, list[Checkpoint]]]) -> T:
        if not self._settled:
            self.check_recovered()
        while True:
            if not self._views.loaded:
                # To read, SQLite writes into its index, for which a full disk may have no room.
                self.database.check_room()
                self._load_views()
            self._settled = False
            try:
                result, checkpoints = self.database.transaction(work)
                break
            except (DamageError, WireError, NotAskedError) as error:
                if not isinstance(error, NotAskedError):
                    self._views.forget()  # they are ahead of what is stored
                self._settled = True  # nothing was asked of the disk
                if not isinstance(error, DamageError) or error.channel in self.damaged:
                    raise
                # The other channels go on.
                self._spoil(error.channel, sentence(self.path, error.channel, error))
            except _Again:  # row by row, to learn whose page is damaged
                self._views.forget()
            except BaseException:
                self._views.forget()
                raise
        self._apart = False
        self._settled = True
        self.checkpoints.note(checkpoints)
        return result

    def _spoil(self, channel: str, why: str) -> None:
        self._views.forget()  # a damaged view is derived no longer
        super()._spoil(channel, why)

    def _take(
        self, connection: sqlite3.Connection, drafts: list[Entry], policy: CommitPolicy
    ) -> tuple[list[Outcome], list[Checkpoint]]:
        transactions: dict[str, Transaction] = {}
        outcomes: list[Outcome] = []
        policy.begin()
        for draft in drafts:
            try:
                if draft.channel in self._views.views:  # it waited since before that was one
                    raise WireError("denied", f"{draft.channel} is a view, and takes no signals")
                transaction = transactions.get(draft.channel)
                if transaction is None:
                    transaction = self._transaction(connection, draft.channel)
                if isinstance(draft, WholeState):
                    outcomes.append(store_whole(transaction, draft, policy))
                else:
                    outcomes.append(transaction.take(draft, policy))
                transactions[draft.channel] = transaction
            except WireError as error:
                outcomes.append(error)
            except UnicodeEncodeError:
                # One publisher's lone surrogate must not keep the others out.
                outcomes.append(WireError("field", "A signal holds text that no file can hold"))
            except sqlite3.DatabaseError as error:
                raise blame(draft.channel, error) from error
        self.derived = []
        if not self._views.idle:
            self.derived = self._derive(connection, transactions, outcomes, policy)
        checkpoints = self._flush(connection, transactions)
        self.attempted = outcomes
        return outcomes, checkpoints

    def _derive(
        self,
        connection: sqlite3.Connection,
        transactions: dict[str, Transaction],
        outcomes: Iterable[Outcome],
        policy: CommitPolicy,
    ) -> list[Entry]:
        """Return the entries of views that some outcomes lead to, and write their ledgers."""
        entries = (entry for outcome in outcomes for entry in entries_of(outcome))
        join = partial(self._join, connection, transactions)
        return self._views.derive(entries, join, policy.terms)

    def _join(
        self, connection: sqlite3.Connection, transactions: dict[str, Transaction], channel: str
    ) -> Transaction:
        """Return the transaction of a channel in this commit."""
        if channel not in transactions:
            transactions[channel] = self._transaction(connection, channel)
        return transactions[channel]

    def _transaction(self, connection: sqlite3.Connection, channel: str) -> Transaction:
        # Whatever fails from here on, nothing goes on with what it was about to write.
        last = self._transactions.pop(channel, None)
        if channel in self.damaged:
            raise WireError("server", self.damaged[channel])
        if last is not None and last.goes_on(connection):
            return last
        _check_name(channel)
        row = read_row(connection, channel)
        return Transaction(connection, new_row(channel) if row is None else row)

    def _flush(
        self,
        connection: sqlite3.Connection,
        transactions: Mapping[str, Transaction],
        empty: bool = False,
    ) -> list[Checkpoint]:
        """Write what transactions and views have changed; return the checkpoints."""
        checkpoints: list[Checkpoint] = []
        writes: Writes = defaultdict(list)
        if self._views.changed:
            self._views.flush(writes)
        for channel, transaction in transactions.items():
            if not transaction.revision and (empty or not transaction.unchanged):
                self.checkpoints.begin(channel, transaction.epoch)
            try:
                checkpoint = transaction.flush(writes, *self._keeps, empty)
            except sqlite3.DatabaseError as error:
                raise blame(channel, error) from error
            if checkpoint is not None:
                checkpoints.append(checkpoint)
        if self._apart:
            write_apart(connection, writes)
        else:
            self._write_together(connection, writes)
        self._transactions.update(transactions)
        return checkpoints

    def _write_together(self, connection: sqlite3.Connection, writes: Writes) -> None:
        try:
            write = connection.cursor().executemany
            for statement, values in writes.items():
                write(statement, values)
        except sqlite3.DatabaseError as error:
            blame("", error)  # raises what is no damage
            self._apart = True
            raise _Again from error

    def _expire(
        self,
        connection: sqlite3.Connection,
        before: int,
        among: Collection[tuple[str, str]] | None,
    ) -> tuple[list[tuple[str, str]], list[Checkpoint]]:
        gone, transactions = [], {}
        for name in set(channels(connection)) - set(self.damaged):
            row = read_row(connection, name)
            if row is None:
                continue
            transaction = transactions[name] = Transaction(connection, row)
            for entry in state_of(connection, row).positions:
                chosen = among is None or (name, entry.symbol) in among
                if chosen and not entry.volume and entry.when < before:
                    transaction.forget(entry.symbol)
                    gone.append((name, entry.symbol))
        return gone, self._flush(connection, transactions)

    # Reading

    def _look(self, channel: str, work: Callable[[sqlite3.Connection, Row], T]) -> T:
        self.check_recovered()  # what is shown now may not be on the platter
        self.refuse_damaged(channel)

        def find(connection: sqlite3.Connection) -> T:
            try:
                row = read_row(connection, channel)
                if row is None:
                    raise _no_channel(channel)
                return work(connection, row)
            except sqlite3.DatabaseError as error:
                raise blame(channel, error) from error

        try:
            return self.database.read(find)
        except DamageError as damage:
            self._spoil(channel, sentence(self.path, channel, damage))
            raise JournalError(self.damaged[channel]) from damage

    def _find(self, draft: Entry) -> Outcome | None:
        try:
            if not draft.id:
                return None
            return self._look(draft.channel, lambda c, row: Transaction(c, row).find(draft))
        except WireError as error:
            return None if error.code == "channel" else error
        except JournalError:
            if draft.channel not in self.damaged:
                raise
            return WireError("server", self.damaged[draft.channel])


def _begin_epoch(connection: sqlite3.Connection, channel: str) -> Row:
    row = read_row(connection, channel)
    if row is None:
        raise _no_channel(channel)
    row = next_epoch(row)
    write_row(connection, row)
    return row


def _check_name(channel: str) -> None:
    if not 1 <= len(channel.encode()) <= MAX_NAME:
        raise WireError("channel", f"The name of a channel has 1 to {MAX_NAME} bytes")


def _no_channel(channel: str) -> WireError:
    return WireError("channel", f"There is no channel {channel}")
