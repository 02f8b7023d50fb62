"""
A replica of a channel, entry by entry.

Pure. A gap in the order of entries is a `ClientError`; the follower reconnects.
"""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum, auto
from functools import partial
from types import MappingProxyType
from typing import Any

from mtnet.callbacks import noop
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.wire import requests
from mtnet.services.signals.wire.answers import Entry, Signal, Snapshot, Synced
from mtnet.session.fields import MAX_NUMBER, join_list, split_list

Key = tuple[str, str]
"""Symbol and ticket; no ticket = the net position."""


class Caught(Enum):
    """
    Result of SYNCED.

    REPLAYED: nothing is missing. INCOMPLETE: positions are missing that were not followed before,
    and a snapshot is needed. REPLACED: a snapshot is the copy now. HELD: a snapshot of another
    history waits for `accept`, as one did before. NEW_HISTORY: the same, for the first time.
    """

    REPLAYED, INCOMPLETE, REPLACED, HELD, NEW_HISTORY = (auto() for _ in range(5))


class ChannelCopy:
    """
    A copy of a channel.

    Attributes:
        epoch: of the journal that it is of; None = of none yet.
        seq, h: of the last entry that is in it; an empty `h` is not known.
    """

    def __init__(
        self, epoch: str | None, seq: int, h: str, positions: Iterable[Entry] = ()
    ) -> None:
        self.epoch, self.seq, self.h = epoch, seq, h
        self.positions = self.keyed(positions)

    @staticmethod
    def keyed(positions: Iterable[Entry]) -> dict[Key, Entry]:
        """Return positions by their keys."""
        return {_key(each): each for each in positions}

    def apply(self, signal: Signal) -> Callable[[], None]:
        """Apply the next entry; return a function that takes it back."""
        seq, h, before = self.seq, self.h, self.positions.get(_key(signal))
        self.seq, self.h = signal.seq, signal.h
        self.set(signal)

        def undo() -> None:
            self.seq, self.h = seq, h
            self.set(signal if before is None else before, before is None)

        return undo

    def set(self, entry: Entry, flat: bool = False) -> None:
        """Set a position; one without volume is removed."""
        if entry.volume and not flat:
            self.positions[_key(entry)] = entry
        else:
            self.positions.pop(_key(entry), None)

    @property
    def claim(self) -> dict[str, Any]:
        """The fields of SUBSCRIBE that name the copy."""
        if self.epoch is None:
            return {}
        return {"epoch": self.epoch, "after": self.seq, "h": self.h or None}


class SnapshotCopy:
    """
    A copy that comes position by position.

    Attributes:
        head: what announced it.
    """

    def __init__(self, head: Snapshot) -> None:
        self.head = head
        self._positions: list[Entry] = []

    def add(self, position: Entry) -> None:
        """Take the next position."""
        self._positions.append(position)

    def finish(self, synced: Synced) -> ChannelCopy:
        """
        Return the copy.

        Raises:
            ClientError: positions are missing.
        """
        head, found = self.head, self._positions
        if len(found) != head.count:
            raise ClientError(f"a snapshot of {head.count} had {len(found)}")
        h = synced.h if synced.seq == head.seq else ""
        return ChannelCopy(head.epoch, head.seq, h, found)


class Filter:
    """The part of a channel that is followed; symbols None = all."""

    def __init__(self, channel: str, symbols: Iterable[str] | None) -> None:
        self.channel = channel
        self.symbols = None if symbols is None else frozenset(symbols)

    def __str__(self) -> str:
        names = "" if self.symbols is None else f":{join_list(sorted(self.symbols))}"
        return self.channel + names

    @classmethod
    def read(cls, text: str) -> "Filter":
        """Undo `str`."""
        channel, colon, names = text.partition(":")
        return cls(channel, split_list(names) if colon else None)

    def covers(self, other: "Filter") -> bool:
        """Return whether all that `other` follows is followed here too."""
        if self.channel != other.channel:
            return False
        return self.symbols is None or (other.symbols is not None and other.symbols <= self.symbols)

    def has(self, entry: Entry) -> bool:
        """Return whether an entry is followed."""
        if entry.channel != self.channel:
            return False
        return self.symbols is None or entry.symbol in self.symbols

    def check(self) -> None:
        """
        Refuse a filter that the server could never accept.

        Raises:
            ClientError: the channel or a symbol is invalid, or there are too many symbols.
        """
        try:
            self.subscribe({"epoch": "0" * 16, "after": MAX_NUMBER - 1, "h": "0" * 8})
        except WireError as error:
            raise ClientError(f"{error}; {self} cannot be followed.") from error

    def subscribe(self, claim: dict[str, Any]) -> bytes:
        """Return the SUBSCRIBE for it, with the fields that name a copy."""
        return requests.subscribe(self.channel, self.symbols, **claim)


class Replica:
    """
    Applies signals, replays and snapshots to a copy, or to one that waits for `accept`.

    Args:
        filter: what is followed.
        copy: of an earlier run.
        kept_for: the channel and symbols that it is complete for; empty = not known.

    Attributes:
        copy: the state that was delivered.
        waiting: the copy of another history; None = no such copy.
    """

    def __init__(self, filter: Filter, copy: ChannelCopy, kept_for: str) -> None:
        self.filter, self.copy, self.kept_for = filter, copy, kept_for
        self.waiting: ChannelCopy | None = None
        # The copy that the present connection continues: the claimed one, or the one that waits.
        self._continued = copy
        self._undo: Callable[[], None] = noop

    @classmethod
    def of(
        cls,
        channel: str,
        symbols: Iterable[str] | None,
        epoch: str | None,
        seq: int,
        h: str,
        positions: Iterable[Entry],
        kept_for: str,
    ) -> "Replica":
        """
        Return the replica of an earlier run.

        Raises:
            ClientError: as `Filter.check`, or `symbols` are one text.
        """
        if isinstance(symbols, str):
            raise ClientError(f"symbols are a list such as [{symbols!r}], not its letters.")
        filter = Filter(channel, symbols)
        filter.check()
        return cls(filter, ChannelCopy(epoch, seq, h, positions), kept_for)

    @property
    def positions(self) -> Mapping[Key, Entry]:
        """The positions of the copy, read-only: (symbol, ticket) → the entry that set it."""
        return MappingProxyType(self.copy.positions)

    def claim(self) -> dict[str, Any]:
        """Return the fields of SUBSCRIBE that name the copy, which the connection continues now."""
        self._continued = self.copy
        return self.copy.claim

    def undo(self) -> None:
        """Take back the entry, or the state, that was to be delivered last."""
        self._undo()
        self._undo = noop

    def apply(self, signal: Signal) -> bool:
        """
        Apply the next entry; return whether it is to be delivered.

        Raises:
            ClientError: entries before it are missing.
        """
        copy = self._continued
        if signal.seq <= copy.seq:
            return False
        before = signal.seq - 1 if signal.prev is None else signal.prev
        if before != copy.seq or copy.epoch is None:
            raise ClientError(f"entry {signal.seq} came behind {copy.seq}")
        undo = copy.apply(signal)
        if copy is not self.copy:
            return False
        self._undo = undo
        self.waiting = None  # it is the journal that was followed, after all
        return True

    def finish(self, synced: Synced) -> Caught:
        """
        End a replay.

        Raises:
            ClientError: it is not complete.
        """
        if not self._ends_replay(synced):
            raise ClientError(
                f"entry {synced.seq} of the journal {synced.epoch} was to be the last that was "
                f"missed, and {self.copy.seq} of {self.copy.epoch} came"
            )
        self.waiting = None
        self.copy.seq, self.copy.h = synced.seq, synced.h
        return Caught.INCOMPLETE if self._incomplete() else Caught.REPLAYED

    def replace(self, copy: ChannelCopy, diverged: bool) -> Caught:
        """Take a snapshot; `diverged` as in SNAPSHOT."""
        went_back = diverged or copy.seq < self.copy.seq
        if self.copy.epoch is None or (copy.epoch == self.copy.epoch and not went_back):
            self.waiting = None
            self._adopt(copy)
            return Caught.REPLACED
        known = self.waiting is not None and self.waiting.epoch == copy.epoch
        self.waiting = self._continued = copy
        return Caught.HELD if known else Caught.NEW_HISTORY

    def continues_waiting(self) -> bool:
        """Return whether the present connection continues the copy that waits."""
        return self._continued is self.waiting

    def accept(self) -> None:
        """Make the copy that waits the one that is followed."""
        copy, self.waiting = self.waiting, None
        if copy is not None:
            self._adopt(copy)

    def release_begun(self, begun: Iterable[Entry]) -> list[Entry]:
        """
        Return the entries that an earlier run has begun and that are followed still.

        Positions that the others may have opened are added to those that `release_unfollowed`
        takes out.
        """
        followed = [each for each in begun if self.filter.has(each)]
        for each in begun:
            if each.volume and not self.filter.has(each):
                self.copy.positions.setdefault(_key(each), each)
        return followed

    def release_unfollowed(self) -> list[Entry]:
        """Take out the positions of an earlier run that are not followed any more."""
        before, positions = Filter.read(self.kept_for), self.copy.positions
        if self.kept_for and before.channel != self.filter.channel:
            released, self.copy = list(positions.values()), ChannelCopy(None, 0, "")
        else:
            released = [each for each in positions.values() if not self.filter.has(each)]
            for each in released:
                del positions[_key(each)]
        # Released positions are followed again only after a snapshot.
        self.kept_for = str(self.filter) if before.covers(self.filter) else ""
        return released

    def _ends_replay(self, synced: Synced) -> bool:
        """Return whether nothing is missing before SYNCED; a filter may leave entries out."""
        if synced.epoch != self.copy.epoch or synced.seq < self.copy.seq:
            return False
        return synced.seq == self.copy.seq or self.filter.symbols is not None

    def _incomplete(self) -> bool:
        """Return whether the copy lacks a part of the channel that is followed now."""
        return self.copy.epoch is not None and not Filter.read(self.kept_for).covers(self.filter)

    def _adopt(self, copy: ChannelCopy) -> None:
        self._undo = partial(self._restore, self.copy, self.kept_for)
        if copy.seq == 0:  # nothing is known, and nothing must change
            copy.positions = self.copy.positions
        self.copy = self._continued = copy
        self.kept_for = str(self.filter)

    def _restore(self, copy: ChannelCopy, kept_for: str) -> None:
        self.copy, self.kept_for = copy, kept_for


def _key(entry: Entry) -> Key:
    return entry.symbol, entry.ticket
