"""
Priority queue of the frames for a classic follower, with a share for each purpose.

The classic client reads once a second, stalls while it trades, acts on the last frame of
what it read and never answers. So it gets one frame at a time, changes first, and everything
more than once. Of three frames one is for the greeting and the repeat cycle, so that neither
waits for a provider to become quiet (`docs/protocols.md`, The classic dialect).

No Twisted, no clock: `when` is monotonic seconds, `moment` seconds of the clock by which
positions tell their ages (`WallClock.seconds`).
"""

from bisect import bisect_right
from collections.abc import Callable
from decimal import Decimal
from math import inf

from msgspec import Struct

from mtnet.services.signals.book import Change, Channel, Position, is_reduction
from mtnet.services.signals.model import FLAT
from mtnet.services.signals.settings import SignalSettings
from mtnet.session.classic import encode_position

SHARE = 3
"""While the greeting or the repeat cycle wait, each third frame is theirs: 40 positions are sent
within 5 minutes, and a close waits for one frame of theirs."""
OLD_SHARE = 8 * SHARE
"""While anything else waits, one frame of so many is for an old close, that is each eighth of the
shared ones: most followers did not miss it, and the repeat cycle of 40 takes 7 minutes."""
OLD_BATCH = 8
"""Old closes that are sent before they are sent again, so that the two frames are apart."""
OLD_AGAIN = 10.0
"""Seconds between the two frames at least: the client may stall for 3 of them."""
MOST_KEPT = 64
"""Closes of a greeting that wait to be sent again, and closes that a repeat cycle knows it has
sent: 4,096 of them would cost each follower 600 kB. The cycle sends more than that once more."""

Choice = tuple[str, Decimal] | None
"""What the next frame says; None = nothing."""
Rank = tuple[bool, float, str]
"""The order of changes: closes and reductions first, then the oldest; and the symbol."""


class SharedState:
    """
    The positions of one channel in the orders in which its classic followers are sent them.

    Each order is made once for all of them: 4,096 closes would cost each follower 32 kB.

    Args:
        channel: the positions.
        flat: seconds for which a close stays in the repeat cycle.

    Attributes:
        positions: the live view of the net positions.
    """

    def __init__(self, channel: Channel, flat: float) -> None:
        self.positions = channel.net
        self._channel, self._flat = channel, flat
        self._version: tuple[str, int] | None = None
        self._second: int | None = None
        self._opened: tuple[Position, ...] = ()
        self._closed: tuple[Position, ...] = ()
        self._cycle: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    def opened(self) -> tuple[Position, ...]:
        """Return what is open, the last change first; a new follower is sent this."""
        channel = self._channel
        if self._version != (channel.epoch, channel.seq):
            self._version = channel.epoch, channel.seq
            newest = sorted(channel.net.values(), key=lambda position: -position.number)
            self._opened = tuple(position for position in newest if position.volume)
            self._closed = tuple(position for position in newest if not position.volume)
        return self._opened

    def closed(self, number: float) -> Position | None:
        """
        Return the last close before change `number` of the channel.

        Closes that came after the last call of `opened` are unknown here: who came before them
        is sent them as changes. What has changed since is returned all the same.
        """
        at = bisect_right(self._closed, -number, key=lambda position: -position.number)
        return self._closed[at] if at < len(self._closed) else None

    def cycle(self, moment: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """
        Return the symbols that closed within `flat`, and those that are open, as they were at
        most a second ago. They are sorted by name: no change moves a symbol to another place.
        """
        if self._second != int(moment):
            self._second = int(moment)
            known = self.positions.values()
            recent = (p.symbol for p in known if not p.volume and is_recent(p, moment, self._flat))
            self._cycle = tuple(sorted(recent)), tuple(sorted(p.symbol for p in known if p.volume))
        return self._cycle


class ClassicQueue:
    """
    The frames of one follower.

    A frame tells, in this order: a fresh close or reduction, a close that the greeting makes a
    change, another change; then, taking turns, a change once more, and the greeting or the
    repeat cycle; then an old close. A share of the frames (`SHARE`, `OLD_SHARE`) is for the
    later ones whatever the earlier ones do.

    Args:
        settings: `[signals]`.
        state: what the followers of its channel share.
        when: the time at which the follower came.

    Attributes:
        next_frame: before this time nothing is sent.
    """

    __slots__ = (
        "_again_next", "_changes", "_cycle", "_greeted", "_greeting", "_next_cycle", "_old",
        "_recent", "_settings", "_since_old", "_since_shared", "_state", "next_frame",
    )  # fmt: skip

    def __init__(self, settings: SignalSettings, state: SharedState, when: float) -> None:
        self._settings, self._state = settings, state
        self._changes: dict[str, _Change] = {}
        self._greeting, self._greeted = state.opened(), 0
        self._recent: float | None = inf
        self._old: _OldCloses | None = None
        self._cycle: _Cycle | None = None
        self.next_frame = when
        self._next_cycle = when + settings.repeat
        self._since_shared = self._since_old = 0
        self._again_next = True

    def offer(self, change: Change, when: float) -> None:
        """Take a change; it replaces an older one of its symbol that still waits."""
        waiting = self._changes.get(change.symbol)
        before, due = change.previous, when
        if waiting is not None and not waiting.sent:
            before, due = waiting.before, waiting.due
        urgent = not change.volume or is_reduction(before, change.volume)
        self._changes[change.symbol] = _Change(change.volume, before, due, urgent)

    def take(self, when: float, moment: float) -> bytes | None:
        """Return the frame to send at `when`, or None when nothing is due yet."""
        if when < self.next_frame:
            return None
        chosen = self._choose(when, moment)
        if chosen is None:
            return None
        # It counts as a telling of the change, whatever it was chosen for.
        change, again = self._changes.get(chosen[0]), (0.0, *self._settings.resend_after)
        if change is not None and change.due <= when:
            change.sent += 1
            if change.sent == len(again):
                del self._changes[chosen[0]]
            else:
                change.due = when + again[change.sent] - again[change.sent - 1]
        self.next_frame = when + self._settings.pace
        return encode_position(*chosen, self._settings.codepage)

    def due(self) -> float | None:
        """Return the earliest time at which `take` may have a frame; None = at no time."""
        first = inf
        for change in self._changes.values():
            if change.due < first:
                first = change.due
        if self._greeting or self._recent is not None or self._cycle is not None:
            first = self.next_frame
        if self._old is not None and not self._greeting:
            first = min(first, self._old.due)
        if self._settings.repeat and self._state.positions:
            first = min(first, self._next_cycle)
        return max(self.next_frame, first) if first < inf else None

    def _choose(self, when: float, moment: float) -> Choice:
        self._since_shared += 1
        self._since_old += 1
        chosen = self._take_shared(when, moment) if self._since_shared >= SHARE else None
        chosen = chosen or self._take_change(when, moment)
        for taker in self._takers() if chosen is None else ():
            chosen = chosen or taker(when, moment)
        if chosen is None:
            self._since_shared -= 1
            self._since_old -= 1
        return chosen

    def _takers(self) -> "tuple[Callable[[float, float], Choice], ...]":
        """Return who takes a frame that no change needs; the first two take turns."""
        if self._again_next:
            return self._take_again, self._take_shared, self._take_old
        return self._take_shared, self._take_again, self._take_old

    # Changes

    def _take_change(self, when: float, moment: float) -> Choice:
        """Take what was never sent: fresh closes, those of the greeting, then all others."""
        first: Rank | None = None
        for symbol, change in self._changes.items():
            if not change.sent:
                rank = not change.urgent, change.due, symbol
                first = rank if first is None else min(first, rank)
        if self._recent is not None and (first is None or first[0]):
            chosen = self._take_recent(when, moment)
            if chosen is not None:
                return chosen
        return None if first is None else (first[2], self._changes[first[2]].volume)

    def _take_recent(self, when: float, moment: float) -> Choice:
        """Take a close of the time before the follower came, which it may have missed."""
        while self._recent is not None:
            position = self._state.closed(self._recent)
            if position is None or not is_recent(position, moment, self._settings.repeat_closed):
                self._old = _OldCloses(self._recent, self._recent)
                self._recent = None
            else:
                self._recent = position.number
                if self._stands(position):
                    if len(self._changes) < MOST_KEPT:
                        self._changes[position.symbol] = _Change(FLAT, None, when, True)
                    return position.symbol, FLAT
        return None

    def _take_again(self, when: float, moment: float) -> Choice:
        """Take a change that was sent, and may have been missed."""
        first: Rank | None = None
        for symbol, change in self._changes.items():
            if change.sent and change.due <= when:
                rank = not change.urgent, change.due, symbol
                first = rank if first is None else min(first, rank)
        if first is None:
            return None
        self._again_next = False
        return first[2], self._changes[first[2]].volume

    # The greeting, the repeat cycle and old closes

    def _take_shared(self, when: float, moment: float) -> Choice:
        chosen = self._take_greeting() if self._greeting else None
        if chosen is None and self._old is not None and self._since_old >= OLD_SHARE:
            chosen = self._take_old(when, moment)
        if chosen is None and (self._cycle is not None or when >= self._next_cycle):
            chosen = self._take_cycle(when, moment)
        if chosen is not None:
            self._since_shared, self._again_next = 0, True
        return chosen

    def _take_greeting(self) -> Choice:
        while self._greeting:
            position = self._greeting[self._greeted]
            self._greeted += 1
            if self._greeted == len(self._greeting):
                self._greeting = ()
            change = self._changes.get(position.symbol)
            # What changed since is sent as a change, and here if that still waits.
            if self._stands(position) or (change is not None and not change.sent):
                chosen = self._position(position.symbol)
                if chosen is not None:
                    return chosen
        return None

    def _take_cycle(self, when: float, moment: float) -> Choice:
        chosen = self._go_on(moment)
        if chosen is None and self._settings.repeat and when >= self._next_cycle:
            self._cycle, self._next_cycle = _Cycle(), when + self._settings.repeat
            chosen = self._go_on(moment)
        return chosen

    def _go_on(self, moment: float) -> Choice:
        """Go on with the repeat cycle: closes, then what is open, each symbol once."""
        while self._cycle is not None:
            symbol = self._cycle.next(self._state.cycle(moment))
            if symbol is None:
                self._cycle = None
            elif (chosen := self._position(symbol)) is not None:
                return chosen
        return None

    def _take_old(self, when: float, moment: float) -> Choice:
        """Take a close that the follower hears of twice, if it missed it, and never again."""
        while self._old is not None and not self._greeting and when >= self._old.due:
            position = self._state.closed(self._old.at)
            if position is not None and not is_recent(position, moment, self._settings.remember):
                position = None
            if not self._old.advance(position, when):
                self._old = None
            elif position is not None and self._stands(position):
                self._since_old = self._since_shared = 0
                return position.symbol, position.volume
        return None

    def _stands(self, position: Position) -> bool:
        """Say whether a symbol has not changed since the follower came."""
        now = self._state.positions.get(position.symbol)
        return now is not None and (now.volume, now.when) == (position.volume, position.when)

    def _position(self, symbol: str) -> Choice:
        """Return a position that was not forgotten meanwhile."""
        position = self._state.positions.get(symbol)
        return None if position is None else (symbol, position.volume)


def is_recent(position: Position, moment: float, seconds: float) -> bool:
    """Say whether a position changed within so many seconds."""
    return position.when >= moment - seconds


class _Change(Struct):
    """
    A change that waits to be sent, or to be sent again.

    Attributes:
        before: the volume that the follower was sent last, as far as is known.
        due: when it may be sent.
        urgent: whether lots are closed: such a change goes first.
        sent: how often it was sent already.
    """

    volume: Decimal
    before: Decimal | None
    due: float
    urgent: bool
    sent: int = 0


class _Cycle(Struct):
    """
    Position of a follower in its repeat cycle.

    Attributes:
        last: the symbol that was sent last; empty = none of this part yet.
        closed: those that were sent as closed; some may be open again.
        opened: whether that part is over.
    """

    last: str = ""
    closed: tuple[str, ...] = ()
    opened: bool = False

    def next(self, parts: tuple[tuple[str, ...], tuple[str, ...]]) -> str | None:
        """Return the next symbol of what is closed and what is open; None = all are sent."""
        names = parts[self.opened]
        at = bisect_right(names, self.last)
        while at < len(names) and names[at] in self.closed:
            at += 1
        if at < len(names):
            self.last = names[at]
            if not self.opened and len(self.closed) < MOST_KEPT:
                self.closed += (self.last,)
            return self.last
        if self.opened:
            return None
        self.last, self.opened = "", True
        return self.next(parts)


class _OldCloses(Struct):
    """
    Position of a follower among the old closes, which are sent in batches, each batch twice.

    Attributes:
        begin: the number of the change before which the batch begins.
        at: the number of the one that was sent last.
        count: how many of the batch were sent.
        again: whether the batch was sent once.
        due: when the next one may be sent.
    """

    begin: float
    at: float
    count: int = 0
    again: bool = False
    due: float = 0.0

    def advance(self, chosen: Position | None, when: float) -> bool:
        """Go behind what was sent; None = there are no more. Return False when all was sent."""
        if chosen is not None:
            self.at, self.count = chosen.number, self.count + 1
        if chosen is not None and self.count < OLD_BATCH:
            return True
        if not self.again and self.count:
            self.at, self.count, self.again, self.due = self.begin, 0, True, when + OLD_AGAIN
            return True
        self.begin, self.count, self.again = self.at, 0, False
        return chosen is not None
