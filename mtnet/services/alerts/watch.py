"""Watch over all alerts: conditions are looked at, and people are told."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import ConfigError, JournalError
from mtnet.recurring import RecurringCall
from mtnet.services.alerts.incidents import Incident, Incidents
from mtnet.services.alerts.mutes import Mutes, check_name
from mtnet.services.alerts.settings import AlertRule
from mtnet.services.alerts.store import AlertStore
from mtnet.storage.worker import InThread

INTERVAL = 1.0
"""Seconds between two looks at the conditions."""
STORE_TIMEOUT = 5.0
"""Seconds that a message waits for a disk which does not answer: it may be about that disk."""

Tell = Callable[[str, Any, str], "Deferred[Any]"]
Record = Callable[[str, str, Incident], object]


class AlertWatch:
    """
    Outbox of incidents: each step is on disk before people are told, and people are told again
    under the same key after a kill, which the notifier takes once.

    Args:
        rules: [alerts.NAME] by name.
        mutes: of alerts of which nobody is told now.
        in_thread: runs a blocking function of the store off the reactor, in order.
        now: milliseconds since the Unix epoch, UTC.

    Attributes:
        checks: return what holds, by alert; set once all components are built.
        tell: puts a text for names into the queue, under a key.
        record: records an event of a kind, with a text.
    """

    log = Logger()

    def __init__(
        self,
        rules: Mapping[str, AlertRule],
        incidents: Incidents,
        mutes: Mutes,
        store: AlertStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: Callable[[], int],
    ) -> None:
        self.rules, self._store, self._in_thread = rules, store, in_thread
        self._clock, self._now = clock, now
        self._incidents, self._mutes = incidents, mutes
        self.checks: Mapping[str, Callable[[], Mapping[str, str] | None]] = {}
        self.tell: Tell | None = None
        self.record: Record | None = None
        self._saved, self._busy, self._failing = True, False, False
        self._loop = RecurringCall("The look at the alerts", self.step, INTERVAL, clock)

    def start(self) -> None:
        """Begin to look."""
        if self.rules:
            self._loop.start()

    def stop(self) -> None:
        """Look no more."""
        self._loop.stop()

    def test(self, alert: str) -> "Deferred[Any]":
        """Send a message to the people of an alert."""
        check_name(alert, self.rules)
        text = f"This is a test of the alert {alert}: nothing has happened."
        return _reachable(self.tell)(text, self.rules[alert].to, "")

    def step(self) -> None:
        """Look at every condition, and tell people what began and ended."""
        when, now = self._clock.seconds(), self._now()
        for alert, check in self.checks.items():
            found = check()
            for each in [] if found is None else self._incidents.judge(alert, found, when, now):
                self._saved = False
                self._record(each)
        if self._incidents.done(self._mutes.current()):
            self._saved = False
        if self._busy or (self._saved and not self._incidents.due(self._mutes.current())):
            return
        self._busy = True
        # Conditions are looked at while a disk or a receiver is waited for.
        Deferred.fromCoroutine(self._work()).addErrback(self._broken)

    async def _work(self) -> None:
        try:
            await self._save()
            for each in self._incidents.due(self._mutes.current()):
                await self._send(each)
            await self._save()
        finally:
            self._busy = False

    def _broken(self, failure: Failure) -> None:
        self.log.failure("An alert could not be handled.", failure)

    async def _send(self, incident: Incident) -> None:
        ended = bool(incident.ended)  # it may end meanwhile
        if self.tell is not None:
            part = "end" if ended else "begin"
            key = f"{incident.alert}/{incident.subject}/{incident.since}/{part}"
            try:
                done = self.tell(describe(incident), self.rules[incident.alert].to, key)
                await done.addTimeout(2 * STORE_TIMEOUT, self._clock)
            except (JournalError, TimeoutError) as error:
                self.log.warn("A message was sent without the disk: {error}", error=error)
        if ended:
            self._incidents.drop(incident)
        else:
            incident.sent = True
        self._saved = False

    async def _save(self) -> None:
        if self._saved:
            return
        self._saved = True
        rows = [
            (each.alert, each.subject, each.text, each.since, each.ended, each.sent)
            for each in self._incidents
        ]
        done = self._in_thread(self._store.save_incidents, rows)
        try:
            await done.addTimeout(STORE_TIMEOUT, self._clock)
            self._failing = False
        except (JournalError, TimeoutError) as error:
            self._saved = False
            if not self._failing:
                text = "The incidents are not stored: {error} A restart may repeat a message."
                self.log.warn(text, error=error)
            self._failing = True

    def _record(self, incident: Incident) -> None:
        if self.record is not None:
            kind = "alert_ended" if incident.ended else "alert_began"
            self.record(kind, describe(incident), incident)


def _reachable(tell: Tell | None) -> Tell:
    if tell is None:
        raise ConfigError("There is no [notify.NAME]: alerts are events, and reach nobody.")
    return tell


def describe(incident: Incident) -> str:
    """Return the message of a beginning, or of an end."""
    if not incident.ended:
        return f"{incident.alert}: {incident.text}"
    minutes = (incident.ended - incident.since + 30_000) // 60_000
    length = f"{minutes} min" if minutes else "less than a minute"
    return f"{incident.alert} has ended after {length}. It was: {incident.text}"
