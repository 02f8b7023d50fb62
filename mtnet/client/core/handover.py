"""
Hands changes to a program one by one, and knows what it has handled.

Pure.
"""

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from mtnet.client.core.events import State, Synced
from mtnet.client.core.replica import ChannelCopy, Key
from mtnet.errors import ClientError
from mtnet.services.signals.wire import Entry, Signal


class Kept(Struct, frozen=True, forbid_unknown_fields=True):
    """
    The state of a follower over a restart of its program.

    Attributes:
        kept_for: the channel and symbols that `positions` are complete for.
        epoch, seq, h: of the last entry that was handled; None = of none yet.
    """

    kept_for: str
    epoch: str | None
    seq: int
    h: str
    positions: tuple[Entry, ...]


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

    Args:
        copy: of an earlier run.

    Attributes:
        copy: what was handled.
        changed: whether it has changed; set to False by those who have kept it.
    """

    def __init__(self, copy: ChannelCopy) -> None:
        self.copy, self.changed = copy, False
        self._waiting: deque[tuple[Signal | State | Synced, str]] = deque()
        self._changes: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Signal | State | Synced, epoch: str) -> None:
        """Take an event of a follower, and the epoch of its journal."""
        self._waiting.append((event, epoch))

    def next(self) -> Entry | None:
        """Return the oldest entry that is not handled; None = there is none."""
        while not self._changes and self._waiting:
            event, _ = self._waiting[0]
            self._changes.extend(self._entries(event))
            if not self._changes:
                self._finish()
        return self._changes[0] if self._changes else None

    def handled(self) -> None:
        """Note that the entry that `next` returned is handled."""
        entry = self._changes.popleft()
        self.copy.set(entry)
        self.changed = True
        if not self._changes:
            self._finish()

    def _entries(self, event: Signal | State | Synced) -> Iterator[Entry]:
        if isinstance(event, Signal):
            yield event
        elif isinstance(event, State):
            yield from differences(self.copy.positions, event)

    def _finish(self) -> None:
        """Go beyond the oldest event."""
        event, epoch = self._waiting.popleft()
        copy = self.copy
        self.changed |= (epoch, event.seq, event.h) != (copy.epoch, copy.seq, copy.h)
        self.copy.epoch, self.copy.seq, self.copy.h = epoch, event.seq, event.h
        if isinstance(event, State):
            self.copy.positions = ChannelCopy(None, 0, "", event.positions).positions


def differences(held: dict[Key, Entry], state: State) -> list[Entry]:
    """Return the entries that lead from some positions to a state, closes first."""
    shown = ChannelCopy(None, 0, "", state.positions).positions
    closes = [_closed(each, state.seq) for key, each in held.items() if key not in shown]
    return closes + [
        each
        for key, each in shown.items()
        if key not in held or _content(each) != _content(held[key])
    ]


def _closed(entry: Entry, seq: int) -> Entry:
    return Entry(
        entry.channel, seq, entry.symbol, entry.volume * 0, entry.time, entry.ticket, entry.type
    )


def _content(entry: Entry) -> tuple[Any, ...]:
    return entry.volume, entry.type, entry.fields
