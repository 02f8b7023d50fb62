"""
What a follower of the published dialect is told, and when.

The published client reads once a second, stalls while it trades, acts on the last frame of
what it read and never answers. So it gets one frame at a time, news before repetition, and
everything more than once (`docs/protocols.md`, The published dialect).

No Twisted, no clock: `when` is monotonic seconds, `wall` milliseconds since the Unix epoch.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal

from msgspec import Struct

from mtnet.settings import Signals
from mtnet.signals.book import Change, Position, is_reduction
from mtnet.signals.wire import encode_position

ALONE = 2
"""Paces that a close which is told once has for itself: with 2.5 s, more than the client's
poll of 1 s and its trade of up to 3 s."""


class _News(Struct):
    """
    A change that waits to be told.

    Attributes:
        before: the volume that the follower was told last, as far as is known.
        told: how often it was told already.
        due: when it may be told.
    """

    volume: Decimal
    before: Decimal | None
    due: float
    told: int = 0

    @property
    def rank(self) -> tuple[bool, bool, float]:
        """Closes and reductions first, then what was never told, then the oldest."""
        return not is_reduction(self.before, self.volume), self.told > 0, self.due


class PublishedQueue:
    """
    The frames of one follower: changes, then the greeting, then the repeat cycle.

    The greeting tells fresh closes, then what is open, then older closes: a follower that was
    away for a moment learns of a missed close first, and one that is new does not wait behind
    a week of closes for its first position.

    Args:
        settings: `[signals]`.
        positions: the live view of its channel.
        when, wall: the time at which the follower came.

    Attributes:
        next_frame: before this time nothing is told.
    """

    def __init__(
        self, settings: Signals, positions: Mapping[str, Position], when: float, wall: int
    ) -> None:
        self._settings = settings
        self._positions = positions
        self._news: dict[str, _News] = {}
        self._greeting = deque(self._state(settings.flat, wall))
        self._older = deque(self._closes(settings.flat, settings.remember, wall))
        self._alone: str | None = None
        self._cycle: deque[str] = deque()
        self.next_frame = self._hush = when
        self._next_cycle = when + settings.repeat

    def offer(self, change: Change, when: float) -> None:
        """Take a change; it replaces an older one of its symbol that still waits."""
        waiting = self._news.get(change.symbol)
        untold = waiting is not None and not waiting.told
        before = waiting.before if waiting and untold else change.previous
        due = waiting.due if waiting and untold else when
        self._news[change.symbol] = _News(change.volume, before, due)

    def take(self, when: float, wall: int) -> bytes | None:
        """Return the frame to send at `when`, or None when nothing is due yet."""
        if when < self.next_frame:
            return None
        told = self._take_news(when)
        if told is None and when >= self._hush:
            self._alone = None
            told = (
                self._pop(self._greeting) or self._take_older(when) or self._take_cycle(when, wall)
            )
        if told is None:
            return None
        self.next_frame = when + self._settings.pace
        return encode_position(*told)

    def due(self) -> float | None:
        """Return the earliest time at which `take` may have a frame; None = not before news."""
        times = [news.due for news in self._news.values()]
        if self._greeting or self._older or self._cycle:
            times.append(self._hush)
        elif self._settings.repeat and self._positions:
            times.append(max(self._hush, self._next_cycle))
        return max(self.next_frame, min(times)) if times else None

    def _take_news(self, when: float) -> tuple[str, Decimal] | None:
        ready = [(news.rank, symbol) for symbol, news in self._news.items() if news.due <= when]
        if not ready:
            return None
        symbol = min(ready)[1]
        told = symbol, self._news[symbol].volume
        self._told(symbol, when)
        with suppress(ValueError):
            self._greeting.remove(symbol)
        self._disturb(when)
        return told

    def _told(self, symbol: str, when: float) -> None:
        news, again = self._news[symbol], (0.0, *self._settings.again)
        news.told += 1
        if news.told == len(again):
            del self._news[symbol]
        else:
            news.due = when + again[news.told] - again[news.told - 1]

    def _take_older(self, when: float) -> tuple[str, Decimal] | None:
        """
        Take a close that is told once. It stands alone in what the client reads, for which
        a poll and a trade must fit before the next frame: a second telling would close hand
        trades, a missed one would leave a position open.
        """
        told = self._pop(self._older)
        if told is not None:
            self._alone = told[0]
            self._hush = when + ALONE * self._settings.pace
        return told

    def _disturb(self, when: float) -> None:
        """News does not wait for a close that is told once; that one is told once more."""
        if self._alone is not None and when < self._hush:
            self._older.append(self._alone)
            self._alone, self._hush = None, when

    def _take_cycle(self, when: float, wall: int) -> tuple[str, Decimal] | None:
        if not self._cycle and self._settings.repeat and when >= self._next_cycle:
            self._cycle.extend(self._state(self._settings.flat, wall))
            self._next_cycle = when + self._settings.repeat
        return self._pop(self._cycle)

    def _pop(self, waiting: deque[str]) -> tuple[str, Decimal] | None:
        """Return the first position that the book has not forgotten meanwhile."""
        while waiting:
            position = self._positions.get(waiting.popleft())
            if position is not None:
                return position.symbol, position.volume
        return None

    def _state(self, flat: float, wall: int) -> list[str]:
        """Name the symbols that are open, or closed for less than `flat` s: closes first."""
        known = [p for p in self._positions.values() if p.volume or p.when >= wall - flat * 1000]
        known.sort(key=lambda p: (bool(p.volume), -p.when))
        return [p.symbol for p in known]

    def _closes(self, least: float, most: float, wall: int) -> list[str]:
        """Name the symbols that are flat for longer than `least` but not `most` s."""
        oldest, newest = wall - most * 1000, wall - least * 1000
        closes = [p for p in self._positions.values() if not p.volume and oldest <= p.when < newest]
        return [p.symbol for p in sorted(closes, key=lambda p: -p.when)]
