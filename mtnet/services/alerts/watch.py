"""Watch over all alerts: conditions are looked at, and people are told."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.clock import WallClock
from mtnet.errors import ConfigError, JournalError
from mtnet.interfaces import IAlerts
from mtnet.recurring import RecurringCall
from mtnet.services.alerts.incidents import Incident, Incidents
from mtnet.services.alerts.settings import AlertRule
from mtnet.services.alerts.store import AlertStore
from mtnet.storage.worker import InThread

INTERVAL = 1.0
"""Seconds between two looks at the conditions."""
MAX_MUTE = 366 * 86_400
"""Seconds of a mute: a longer one is meant for ever, which has no end."""
STORE_TIMEOUT = 5.0
"""Seconds that a message waits for a disk which does not answer: it may be about that disk."""

Tell = Callable[[str, Any, str], "Deferred[Any]"]
Record = Callable[[str, str, Incident], object]


@implementer(IAlerts)
class AlertWatch:
    """
    Outbox of incidents: each step is on disk before people are told, and people are told again
    under the same key after a kill, which the notifier takes once.

    Args:
        rules: [alerts.NAME] by name.
        mutes: as of `Loaded`.
        in_thread: runs a blocking function of the store off the reactor, in order.

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
        mutes: dict[str, int | None],
        store: AlertStore,
        in_thread: InThread,
        clock: IReactorTime,
        now: WallClock,
    ) -> None:
        self.rules, self._store, self._in_thread = rules, store, in_thread
        self._clock, self._now = clock, now
        self.incidents, self.mutes = incidents, mutes
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

    def muted(self) -> frozenset[str]:
        """Return the alerts of which nobody is told now."""
        now = self._now()
        return frozenset(a for a, until in self.mutes.items() if until is None or until > now)

    def mute(self, alert: str, seconds: float | None) -> "Deferred[Any]":
        """Tell nobody of an alert for some seconds, at most `MAX_MUTE`; None = until `unmute`."""
        _check_name(alert, self.rules)
        if seconds is not None and not 0 < seconds <= MAX_MUTE:  # nan is neither
            raise ConfigError(
                f"Invalid seconds {seconds:g}: expected more than 0, and at most {MAX_MUTE} (a "
                "year). Example: 3600"
            )
        until = None if seconds is None else self._now() + int(seconds * 1000)
        done = self._in_thread(self._store.mute, alert, until)
        return done.addCallback(lambda _: self.mutes.update({alert: until}))

    def unmute(self, alert: str) -> "Deferred[Any]":
        """Tell people of an alert again, first of what still holds."""
        _check_name(alert, self.rules)
        done = self._in_thread(self._store.unmute, alert)
        return done.addCallback(lambda _: self.mutes.pop(alert, None))

    def test(self, alert: str) -> "Deferred[Any]":
        """Send a message to the people of an alert."""
        _check_name(alert, self.rules)
        text = f"This is a test of the alert {alert}: nothing has happened."
        return _reachable(self.tell)(text, self.rules[alert].to, "")

    def step(self) -> None:
        """Look at every condition, and tell people what began and ended."""
        when, now = self._clock.seconds(), self._now()
        for alert, check in self.checks.items():
            found = check()
            for each in [] if found is None else self.incidents.judge(alert, found, when, now):
                self._saved = False
                self._record(each)
        if self.incidents.done(self.muted()):
            self._saved = False
        if self._busy or (self._saved and not self.incidents.due(self.muted())):
            return
        self._busy = True
        # Conditions are looked at while a disk or a receiver is waited for.
        Deferred.fromCoroutine(self._work()).addErrback(self._broken)

    async def _work(self) -> None:
        try:
            await self._save()
            for each in self.incidents.due(self.muted()):
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
            self.incidents.drop(incident)
        else:
            incident.sent = True
        self._saved = False

    async def _save(self) -> None:
        if self._saved:
            return
        self._saved = True
        rows = [
            (each.alert, each.subject, each.text, each.since, each.ended, each.sent)
            for each in self.incidents
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

    def rows(self) -> list[dict[str, Any]]:
        """Return one row for each alert, with its incidents, for `mtnet alerts list`."""
        muted = self.muted()
        return [
            {
                "name": name,
                "when": rule.when,
                "for": rule.hold,
                "to": list(rule.to),
                "muted": name in muted,
                "until": self.mutes.get(name) if name in muted else None,
                "incidents": [
                    {
                        "subject": each.subject,
                        "since": each.since,
                        "text": each.text,
                        **rule.public(each.subject),
                    }
                    for each in self.incidents
                    if each.alert == name and not each.ended
                ],
            }
            for name, rule in self.rules.items()
        ]


def _check_name(alert: str, known: Iterable[str]) -> None:
    """
    Check that there is an alert.

    Raises:
        ConfigError: there is none of this name.
    """
    if alert not in known:
        raise ConfigError(f"There is no [alerts.{alert}]; there is {', '.join(known) or 'none'}.")


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
