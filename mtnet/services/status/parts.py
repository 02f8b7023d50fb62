"""The parts that can be watched: how everything is, what happened, and which alerts there are."""

from collections.abc import Mapping

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IAlerts, IHealth, IParticipants, IStatus
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.feed import Read
from mtnet.services.status.rows import Rows, by_key, details, public

EVENTS = 100
"""Newest events that are watched, some 30 kB; `mtnet events` prints the others."""
HEALTH = ("healthy", "trouble", "warnings")
"""Keys of the health report that are no part of it."""


class Parts:
    """Reads the parts from the components, as rows by key."""

    def __init__(self, env: Environment, events: EventLog) -> None:
        self._env, self._events = env, events

    def readers(self) -> Mapping[str, Read]:
        """Return the readers by the names of the parts."""
        return {"status": self.status, "events": self.events, "alerts": self.alerts}

    def status(self, admin: bool) -> Rows:
        """Return `health`, a row for each component below `service`, and the participants."""
        report = self._env.find(IHealth).health()
        rows: Rows = {"health": {key: report[key] for key in HEALTH}}
        if admin:
            for name, each in self._env.find_all(IStatus).items():
                rows |= details(f"service/{name}", each.status())
        else:
            rows |= {f"service/{key}": row for key, row in report.items() if key not in HEALTH}
        found = self._env.find_all(IParticipants).items()
        people = [{"service": name, **row} for name, each in found for row in each.participants()]
        keyed = by_key(people, "service", "role", "channel", "who")
        rows |= {f"participant/{key}": row for key, row in keyed.items()}
        return _seen(rows, admin)

    def events(self, admin: bool) -> Rows:
        """Return the newest events by their numbers."""
        newest = self._events.newest(EVENTS)
        return _seen({str(row["number"]): row for row in newest}, admin)

    def alerts(self, admin: bool) -> Rows:
        """Return the alerts by name, each with the incidents that go on."""
        offers = self._env.find_all(IAlerts).values()
        rows = [row for each in offers for row in each.rows()]
        return _seen(by_key(rows, "name"), admin)


def _seen(rows: Rows, admin: bool) -> Rows:
    return rows if admin else {key: public(row) for key, row in rows.items()}
