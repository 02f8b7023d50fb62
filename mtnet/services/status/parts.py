"""The parts that can be watched: how everything is, what happened, and which alerts there are."""

from collections.abc import Callable, Mapping
from typing import Any

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IAlerts, IHealth, IParticipants, IStatus, IStatusDetails
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.feed import Open
from mtnet.services.status.rows import (
    Participants,
    PublicSection,
    Rows,
    Section,
    Snapshot,
    by_key,
    details,
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
        return [Snapshot(ServiceRows(env, admin)), *people]

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


class ServiceRows:
    """Reads the health of everything, and of each component; for admins its status."""

    def __init__(self, env: Environment, admin: bool) -> None:
        self._health = env.find(IHealth)
        self._details: dict[str, Callable[[], Mapping[str, Any]]] = {}
        if admin:
            whole = {name: each.status for name, each in env.find_all(IStatus).items()}
            cut = {name: each.details for name, each in env.find_all(IStatusDetails).items()}
            self._details = {**whole, **cut}

    def __call__(self) -> Rows:
        report = self._health.health()
        rows: Rows = {"health": {key: report[key] for key in HEALTH}}
        if not self._details:
            shown = {f"service/{key}": row for key, row in report.items() if key not in HEALTH}
            return {**rows, **shown}
        for name, read in self._details.items():
            rows |= details(f"service/{name}", read())
        return rows


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
