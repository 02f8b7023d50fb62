"""Event log: the newest events in memory, written behind to disk."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.interfaces import IEvents, IStatus
from mtnet.services.status.event import Event, plain, plain_facts
from mtnet.services.status.event_store import EventStore, load_or_set_aside
from mtnet.services.status.event_table import Changes, EventTable
from mtnet.values import Json

WRITE_DELAY = 1.0
"""Seconds from an event to its writing, with all that came meanwhile: a kill loses as much."""
RETRY_DELAY = 10.0
"""Seconds from a failed writing to the next one."""

Observer = Callable[[Mapping[str, Any]], object]
"""Called with each new event, see `Event.row`."""
LOG_LEVELS: Mapping[str, Any] = {
    "info": LogLevel.info,
    "warning": LogLevel.warn,
    "error": LogLevel.error,
}


@implementer(IEvents, IStatus)
class EventLog:
    """
    Table of events with write-behind.

    What the disk does not take stays in memory, however long that lasts, as long as there is room.

    Args:
        most: events that are kept.
        now: milliseconds since the Unix epoch, UTC.
        in_thread: runs a blocking function off the reactor, one at a time, in order.

    Attributes:
        killed: the daemon before this one did not stop, but ended.
    """

    log = Logger()

    def __init__(
        self,
        store: EventStore,
        most: int,
        clock: IReactorTime,
        now: Callable[[], int],
        in_thread: Callable[..., "Deferred[Any]"],
    ) -> None:
        self._store, self._most, self._clock, self._now = store, most, clock, now
        self._in_thread = in_thread
        self._table, self._next = EventTable(most), 1
        self._observers: dict[Observer, None] = {}
        self._due: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None
        self._closed = self.killed = False
        self._trouble = ""

    def open(self) -> None:
        """Read what is stored; blocks, for use before the reactor runs."""
        loaded, trouble = load_or_set_aside(self._store, self._most)
        self._table = EventTable(self._most, loaded.events)
        self._next, self.killed = loaded.next, loaded.killed
        if trouble:
            self.record("events_lost", f"The events of before are not shown: {trouble}", "warning")

    # IEvents

    @property
    def last(self) -> int:
        """The number of the newest event; 0 = there was never any."""
        return self._table.last

    @property
    def count(self) -> int:
        """How many events are kept."""
        return len(self._table)

    @property
    def lost(self) -> int:
        """How many events left before the disk took them."""
        return self._table.lost

    def record(self, kind: str, text: str, level: str = "info", **facts: Json) -> None:
        """Record an event, and log its sentence as `event KIND: SENTENCE`."""
        event = self.add(kind, text, level, **facts)
        self.log.emit(LOG_LEVELS[level], "event {kind}: {text}", kind=kind, text=event.text)

    def add(self, kind: str, text: str, level: str = "info", **facts: Json) -> Event:
        """Record an event that has a line in the log already."""
        event = Event(self._next, self._now(), kind, level, plain(text), plain_facts(facts))
        self._next += 1
        self._table.add(event)
        self._schedule(WRITE_DELAY)
        self._show(event.row())
        return event

    def after(self, number: int, limit: int) -> list[dict[str, Any]]:
        """Return events behind a number, oldest first; behind one of the future there are all."""
        behind = number if number < self._next else 0
        return [event.row() for event in self._table.after(behind)[:limit]]

    def newest(self, count: int) -> list[dict[str, Any]]:
        """Return the newest events, oldest first."""
        return [event.row() for event in self._table.newest(count)]

    @property
    def observed(self) -> bool:
        """Whether somebody waits for events."""
        return bool(self._observers)

    def subscribe(self, observer: Observer) -> None:
        """Call `observer(event)` for each new event."""
        self._observers[observer] = None

    def unsubscribe(self, observer: Observer) -> None:
        """Undo it."""
        self._observers.pop(observer, None)

    def _show(self, row: Mapping[str, Any]) -> None:
        for observer in list(self._observers):
            try:
                observer(row)
            except Exception:
                self.log.failure("An observer of events failed.")

    # The disk

    def health(self) -> dict[str, object]:
        """Report for `/healthz`; that events are not stored is nothing that must be acted on."""
        warning = f"Events are not stored: {self._trouble}" if self._trouble else None
        return {"healthy": True, "trouble": None, "warning": warning}

    def status(self) -> dict[str, object]:
        """Report that, and how many events there are."""
        events = {"kept": self.count, "last": self.last, "lost": self.lost}
        return {**self.health(), "events": events}

    def flush(self) -> None:
        """Write all events that are not stored, behind the writing that is under way."""
        if self._due is not None and self._due.active():
            self._due.cancel()
        self._due = None
        if self._writing is not None:
            return
        changes = self._table.changes()
        writing = self._in_thread(self._store.write, changes, self._next, self._closed)
        writing.addCallbacks(self._written, self._failed, (changes,))
        self._writing = done = writing.addCallback(self._ended)
        if done.called:
            self._writing = None

    async def close(self) -> None:
        """Store what is not stored yet; what is recorded later is written at once."""
        self._closed = True
        if self._writing is not None:
            await self._writing
        self.flush()
        if self._writing is not None:
            await self._writing

    def _schedule(self, delay: float) -> None:
        if self._closed:
            self.flush()
        elif self._due is None and self._writing is None:
            self._due = self._clock.callLater(delay, self.flush)

    def _written(self, _: object, changes: Changes) -> float:
        self._table.written(changes)
        if self._trouble:
            self._trouble = ""
            self.log.info("Events are stored again.")
        return WRITE_DELAY

    def _failed(self, failure: Failure) -> float:
        self._table.failed()
        if not self._trouble:
            self.log.warn("Events are not stored: {why}", why=failure.getErrorMessage())
        self._trouble = failure.getErrorMessage()
        return RETRY_DELAY

    def _ended(self, delay: float) -> None:
        self._writing = None
        if self._table.unwritten and not (self._closed and self._trouble):
            self._schedule(delay)
