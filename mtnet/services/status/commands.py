"""The control command `events`, with a long-poll for what comes next."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from mtnet.errors import WireError
from mtnet.interfaces import IControlCommands
from mtnet.services.status.event import matches
from mtnet.services.status.event_log import EventLog

MAX_EVENTS = 1_000
"""Events of one answer, some 300 kB."""
MAX_WAIT = 60.0
"""Seconds that an answer waits for an event at most: one who asks and goes is forgotten then."""


class Asked(msgspec.Struct, frozen=True):
    """
    The arguments of `events`.

    Attributes:
        after: the number behind which events are asked for; None = the newest ones.
        limit: events at most.
        seconds: to wait for the first one.
        kinds: words that kinds begin with; none = all.
        level: the lowest one.
    """

    after: int | None = None
    limit: int = MAX_EVENTS
    seconds: float = 0.0
    kinds: tuple[str, ...] = ()
    level: Literal["info", "warning", "error"] = "info"

    def wants(self, row: Mapping[str, Any]) -> bool:
        """Return whether an event is asked for."""
        return matches(row, self.kinds, self.level)


@implementer(IControlCommands)
class EventCommands:
    """Answers `events` from the event log."""

    def __init__(self, events: EventLog, clock: IReactorTime) -> None:
        self._events, self._clock = events, clock

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """
        Return the command `events`; `Asked` has its arguments.

        It is answered by `events`, oldest first, and `last`: the number to ask with next. It raises
        `WireError` when an argument is none.
        """
        return {"events": self.events}

    def events(self, arguments: Mapping[str, Any]) -> "dict[str, Any] | Deferred[dict[str, Any]]":
        """Answer, at once or with the first event that comes."""
        asked = _read(arguments)
        answer = self._answer(asked)
        if answer["events"] or asked.seconds <= 0 or asked.after is None:
            return answer
        return self._wait(asked)

    def _answer(self, asked: Asked) -> dict[str, Any]:
        limit = max(1, min(asked.limit, MAX_EVENTS))
        every = self._events.after(asked.after or 0, self._events.count)
        found = [row for row in every if asked.wants(row)]
        if asked.after is None:
            found, last = found[-limit:], self._events.last
        else:
            whole = len(found) <= limit
            found = found[:limit]
            last = self._events.last if whole else found[-1]["number"]
        return {"events": found, "last": last}

    def _wait(self, asked: Asked) -> "Deferred[dict[str, Any]]":
        done: Deferred[dict[str, Any]] = Deferred()

        def observe(row: Mapping[str, Any]) -> None:
            if asked.wants(row):
                end()

        def end() -> None:
            self._events.unsubscribe(observe)
            if timer.active():
                timer.cancel()
            done.callback(self._answer(asked))

        timer = self._clock.callLater(min(asked.seconds, MAX_WAIT), end)
        self._events.subscribe(observe)
        return done


def _read(arguments: Mapping[str, Any]) -> Asked:
    try:
        return msgspec.convert(arguments, type=Asked)
    except msgspec.ValidationError as error:
        raise WireError("request", f"Invalid argument: {error}.") from error
