"""
Hands changes to a program one by one, and knows what it has handled.

Pure.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec
from msgspec import Struct

from mtnet.client.core.events import State, Synced
from mtnet.client.core.replica import ChannelCopy, Key
from mtnet.errors import ClientError
from mtnet.services.signals.wire.answers import Entry, Signal

NOTHING: Mapping[Key, Entry] = MappingProxyType({})


class Kept(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """
    The state of a follower over a restart of its program.

    Attributes:
        kept_for: the channel and symbols that `positions` are complete for.
        epoch, seq, h: of the last entry that was handled; None = of none yet.
        begun: entries that were handed out, and perhaps not handled.
        max_age, max_slippage: as of `events.opening_limits`.
    """

    kept_for: str
    epoch: str | None
    seq: int
    h: str
    positions: tuple[Entry, ...]
    begun: tuple[Entry, ...] = ()
    max_age: float | None = None
    max_slippage: Decimal | None = None


def encode(kept: Kept) -> bytes:
    """Return a state as JSON."""
    return msgspec.json.format(msgspec.json.encode(kept), indent=1) + b"\n"


def decode(data: bytes, place: str) -> Kept:
    """
    Undo `encode`.

    Raises:
        ClientError: it is no state; the sentence names the place.
    """
    try:
        return msgspec.json.decode(data, type=Kept)
    except msgspec.MsgspecError as error:
        raise ClientError(
            f"{place} holds no state of a follower ({error}); remove it to begin with a snapshot."
        ) from error


class Handover:
    """
    At-least-once delivery: an entry is handed out again until it is handled.

    A state is handed out as the entries by which it differs from what was handled, closes first.
    A program may have died in the middle of an entry, and a state need not differ in its key: so
    each entry is kept before it is handed out, and its key is handed out again with the next state.

    Args:
        copy: of an earlier run.
        begun: entries that it was handed, and perhaps did not handle.

    Attributes:
        copy: what was handled.
        changed: whether that, or `begun`, has changed; set to False by those who have kept it.
    """

    def __init__(self, copy: ChannelCopy, begun: Iterable[Entry] = ()) -> None:
        self.copy, self.changed = copy, False
        self._begun = ChannelCopy.keyed(begun)
        self._waiting: deque[tuple[Signal | State | Synced, str]] = deque()
        self._changes: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Signal | State | Synced, epoch: str) -> None:
        """Take an event of a follower, and the epoch of its journal."""
        self._waiting.append((event, epoch))

    @property
    def begun(self) -> tuple[Entry, ...]:
        """Entries that were handed out, and perhaps not handled."""
        return tuple(self._begun.values())

    def next(self) -> Entry | None:
        """
        Return the oldest entry that is not handled; None = there is none.

        If `changed` is set, everything is kept before the program sees the entry.
        """
        while not self._changes and self._waiting:
            event, _ = self._waiting[0]
            self._changes.extend(self._entries(event))
            if not self._changes:
                self._finish()
        if not self._changes:
            return None
        entry = self._changes[0]
        key = entry.symbol, entry.ticket
        self.changed |= self._begun.get(key) is not entry
        self._begun[key] = entry
        return entry

    def handled(self) -> None:
        """Note that the entry that `next` returned is handled."""
        entry = self._changes.popleft()
        self.copy.set(entry)
        self._begun.pop((entry.symbol, entry.ticket), None)
        self.changed = True
        if not self._changes:
            self._finish()

    def _entries(self, event: Signal | State | Synced) -> Iterator[Entry]:
        if isinstance(event, Signal):
            yield event
        elif isinstance(event, State):
            yield from differences(self.copy.positions, event, self._begun)
        elif event.seq:
            # A replay of another history than the one that was begun may not name these keys.
            yield from _present(self.copy.positions, event.seq, self._begun)
        else:
            self._leave_unknown()

    def _leave_unknown(self) -> None:
        """Nothing is known, and nothing must change: the program may hold what it has begun."""
        for entry in self._begun.values():
            if entry.volume:
                self.copy.set(entry)
        self.changed |= bool(self._begun)
        self._begun.clear()

    def _finish(self) -> None:
        """Go beyond the oldest event."""
        event, epoch = self._waiting.popleft()
        copy = self.copy
        self.changed |= (epoch, event.seq, event.h) != (copy.epoch, copy.seq, copy.h)
        self.copy.epoch, self.copy.seq, self.copy.h = epoch, event.seq, event.h
        if isinstance(event, State):
            self.copy.positions = ChannelCopy.keyed(event.positions)


def differences(
    held: Mapping[Key, Entry], state: State, begun: Mapping[Key, Entry] = NOTHING
) -> list[Entry]:
    """
    Return the entries that lead from some positions to a state, closes first.

    Args:
        begun: keys that may stand in another way than `held`, so that each has an entry.
    """
    shown = ChannelCopy.keyed(state.positions)
    perhaps = {**begun, **held}
    closes = [_closed(each, state.seq) for key, each in perhaps.items() if key not in shown]
    return closes + [
        each
        for key, each in shown.items()
        if key in begun or key not in held or _content(each) != _content(held[key])
    ]


def _present(held: Mapping[Key, Entry], seq: int, begun: Mapping[Key, Entry]) -> Iterator[Entry]:
    """Yield how the keys of `begun` stand."""
    for key, entry in begun.items():
        yield held.get(key) or _closed(entry, seq)


def _closed(entry: Entry, seq: int) -> Entry:
    return Entry(
        entry.channel, seq, entry.symbol, entry.volume * 0, entry.time, entry.ticket, entry.type
    )


def _content(entry: Entry) -> tuple[Any, ...]:
    return entry.volume, entry.type, entry.fields
