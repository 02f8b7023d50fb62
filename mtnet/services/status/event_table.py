"""
Bounded table of events: what is kept in memory, and what of it the disk lacks.

Pure.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice, takewhile
from typing import NamedTuple

from mtnet.services.status.event import Event


class Changes(NamedTuple):
    """
    Changes since the disk took the last ones.

    Attributes:
        events: new ones, oldest first.
        oldest: the number of the first event that is kept.
        dropped: numbers of others that are kept no longer.
    """

    events: list[Event]
    oldest: int
    dropped: list[int]


class EventTable:
    """
    Bounded table. Of one event too many, the oldest of the most frequent kind leaves, written or
    not: refused logins of an attack push out nothing but each other.

    Args:
        most: events that are kept.
        events: those on disk, oldest first.

    Attributes:
        lost: events that left before the disk took them.
    """

    def __init__(self, most: int, events: Iterable[Event] = ()) -> None:
        self._most, self.lost = most, 0
        self._events: dict[int, Event] = {}
        self._kinds: dict[str, deque[int]] = {}
        self._dropped: list[int] = []
        for event in events:
            self._append(event)
        self._stored = self._handed = self.last

    def __len__(self) -> int:
        return len(self._events)

    @property
    def last(self) -> int:
        """The number of the newest event; 0 = there was never any."""
        return next(reversed(self._events), 0)

    def add(self, event: Event) -> None:
        """Append an event; another one may make room."""
        self._append(event)
        if len(self._events) > self._most:
            self._drop()

    def after(self, number: int) -> list[Event]:
        """Return the events behind a number, oldest first."""
        newer = takewhile(lambda event: event.number > number, reversed(self._events.values()))
        return [*newer][::-1]

    def newest(self, count: int) -> list[Event]:
        """Return the newest events, oldest first."""
        return [*islice(reversed(self._events.values()), count)][::-1]

    def changes(self) -> Changes:
        """Return what is to be written; then comes `written` or `failed`."""
        self._handed = self.last
        oldest = next(iter(self._events), 0)
        return Changes(self.after(self._stored), oldest, [*self._dropped])

    def written(self, changes: Changes) -> None:
        """Take note that changes are on disk."""
        self._stored = self._handed
        del self._dropped[: len(changes.dropped)]

    def failed(self) -> None:
        """Take note that changes are not on disk."""
        self._handed = self._stored
        self._dropped = [number for number in self._dropped if number <= self._stored]

    @property
    def unwritten(self) -> bool:
        """Whether there is an event that the disk lacks."""
        return self.last > self._stored

    def _append(self, event: Event) -> None:
        self._events[event.number] = event
        self._kinds.setdefault(event.kind, deque()).append(event.number)

    def _drop(self) -> None:
        number = max(self._kinds.values(), key=len).popleft()
        del self._events[number]
        self.lost += number > self._stored
        if number <= self._handed:
            self._dropped.append(number)
