"""Status and events by HTTP (`docs/http.md`)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.internet.defer import Deferred

from mtnet.access.rights import ADMIN
from mtnet.daemon.environment import Environment
from mtnet.interfaces import IHealth
from mtnet.net.http.long_poll import MAX_WAIT
from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.status.commands import MAX_EVENTS
from mtnet.services.status.event import matches
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.rows import public

OPEN = ("version", "since")
"""What of the whole status everybody with `read:status` may know, beside health."""


class EventQuery(Struct):
    """
    Asks for events.

    Attributes:
        after: the number behind which they are; absent = the newest ones.
        wait: seconds to wait for the first one.
        kinds: words that kinds begin with; none = all.
        level: the lowest one.
    """

    after: Annotated[int, Meta(ge=0, le=2**63 - 1)] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_EVENTS)] = MAX_EVENTS
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0
    kinds: tuple[str, ...] = ()
    level: Literal["info", "warning", "error"] = "info"


class Events(Struct):
    """
    Events, oldest first.

    Attributes:
        events: `number`, `time` in milliseconds UTC, `kind`, `level`, `text`, and facts.
        last: the number to ask with next.
    """

    events: list[dict[str, Any]]
    last: int


class DaemonStatus(Struct):
    """Health of the daemon and of each of its parts; `admin` sees all that `mtnet status` shows."""

    healthy: bool
    trouble: list[str]
    warnings: list[str]
    version: str | UnsetType = UNSET
    since: int | UnsetType = UNSET


class StatusReading:
    """Tells how everything is."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def get(self, request: HttpRequest) -> Mapping[str, Any]:
        """Return the health of all parts, and for `admin` the whole status."""
        daemon = self._env.find(IHealth)
        whole: Mapping[str, Any] = daemon.status()
        if request.rights.any(ADMIN):
            return whole
        return {**{key: whole[key] for key in OPEN if key in whole}, **daemon.health()}


class EventReading:
    """Tells the events, and waits for new ones."""

    def __init__(self, events: EventLog) -> None:
        self._events = events

    def get(self, request: HttpRequest, asked: EventQuery) -> "Events | Deferred[Events]":
        """Return what is asked for, at once or with the first event that comes."""
        admin = request.rights.any(ADMIN)

        def wanted(row: Mapping[str, Any]) -> bool:
            return matches(row, asked.kinds, asked.level)

        def answer() -> Events:
            every = self._events.after(asked.after or 0, self._events.count)
            found = [row if admin else public(row) for row in every if wanted(row)]
            if asked.after is None:
                return Events(found[-asked.limit :], self._events.last)
            cut = len(found) > asked.limit
            found = found[: asked.limit]
            return Events(found, found[-1]["number"] if cut else self._events.last)

        found = answer()
        if found.events or asked.after is None or not asked.wait:
            return found

        def subscribe(notify: Callable[[], None]) -> Callable[[], object]:
            def observe(row: Mapping[str, Any]) -> None:
                if wanted(row):
                    notify()

            self._events.subscribe(observe)
            return partial(self._events.unsubscribe, observe)

        return request.wait(asked.wait, answer, subscribe)


def status_routes(env: Environment, events: EventLog) -> list[Route]:
    """Return the routes `/v1/status` and `/v1/events`."""
    return [
        Route(
            method="GET",
            path="/v1/status",
            handler=StatusReading(env).get,
            summary="How everything is: health for all with the right, the whole for admin.",
            right="read:status",
            answers={200: DaemonStatus},
        ),
        Route(
            method="GET",
            path="/v1/events",
            handler=EventReading(events).get,
            summary="The newest events, or those behind a number, waited for if need be.",
            params=EventQuery,
            right="read:status",
            answers={200: Events},
        ),
    ]
