"""The parts that can be watched: how everything is, what happened, and which alerts there are."""

from collections.abc import Callable, Mapping
from typing import Any

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IAlerts, IHealth, IParticipants, IStatus, IStatusDetails
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.feed import Open
from mtnet.services.status.rows import Rows, by_key
from mtnet.services.status.sections import (
    Details,
    Participants,
    PublicSection,
    Section,
    Snapshot,
)

EVENTS = 100
"""Newest events that are watched, some 30 kB; `mtnet events` prints the others."""
HEALTH = ("healthy", "trouble", "warnings")
"""Keys of the health report that are no part of it."""


def opener(env: Environment, events: EventLog) -> Open:
    """Return what opens the parts, as sections of rows."""

    def status(admin: bool) -> list[Section]:
        """Return `health`, a row for each component below `service`, and the participants."""
        offers = env.find_all(IParticipants)
        people = [Participants(name, each.participants) for name, each in offers.items()]
        return [Details(Statuses(env)) if admin else Snapshot(Health(env)), *people]

    def newest(admin: bool) -> list[Section]:
        """Return the newest events by their numbers."""
        return [Snapshot(EventRows(events))]

    def alerts(admin: bool) -> list[Section]:
        """Return the alerts by name, each with the incidents that go on."""
        offers = env.find_all(IAlerts).values()
        return [Snapshot(lambda: by_key([row for each in offers for row in each.rows()], "name"))]

    parts = {"status": status, "events": newest, "alerts": alerts}

    def open(what: str, admin: bool) -> list[Section]:
        found = parts[what](admin)
        return found if admin else [PublicSection(each) for each in found]

    return open


class Health:
    """Reads the health of everything, and of each component."""

    def __init__(self, env: Environment) -> None:
        self._health = env.find(IHealth)

    def __call__(self) -> Rows:
        report = self._health.health()
        parts = {f"service/{name}": part for name, part in report.items() if name not in HEALTH}
        return {"health": {key: report[key] for key in HEALTH}, **parts}


class Statuses:
    """Reads the health of everything, and what each component tells admins of itself."""

    def __init__(self, env: Environment) -> None:
        self._health = env.find(IHealth)
        whole = {name: each.status for name, each in env.find_all(IStatus).items()}
        cut = {name: each.details for name, each in env.find_all(IStatusDetails).items()}
        self._parts: dict[str, Callable[[], Mapping[str, Any]]] = {**whole, **cut}

    def __call__(self) -> Rows:
        report = self._health.health()
        parts = {f"service/{name}": read() for name, read in self._parts.items()}
        return {"health": {key: report[key] for key in HEALTH}, **parts}


class EventRows:
    """Reads the newest events, once for each new one."""

    def __init__(self, events: EventLog) -> None:
        self._events, self._last, self._rows = events, -1, Rows()

    def __call__(self) -> Rows:
        if self._last != self._events.last:
            newest = self._events.newest(EVENTS)
            self._rows = {str(row["number"]): row for row in newest}
            self._last = self._events.last
        return self._rows
