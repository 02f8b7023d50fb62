"""Status as a component of the daemon: it has no port."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from mtnet import __version__
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IEvents,
    IHealth,
    IHttpResources,
    IService,
    ISessionVerbs,
    IStatus,
)
from mtnet.net.http.route import Route
from mtnet.recurring import Recurring
from mtnet.services.status.causes import CauseDetector
from mtnet.services.status.commands import EventCommands
from mtnet.services.status.event_log import EventLog
from mtnet.services.status.event_store import EventStore
from mtnet.services.status.feed import StatusFeed
from mtnet.services.status.parts import opener
from mtnet.services.status.resources import status_routes
from mtnet.services.status.verbs import StatusVerbs
from mtnet.storage.sqlite import copy_database

LOOK = 1.0
"""Seconds between two looks for causes of trouble that have begun or ended, and between two
changes for those who watch: at the same moments, since both ask for the same judgements."""
SHARE = 2_000.0
"""After a change those who watch are sent none for so many times what it took: 0.05 % of a
processor, so that with a thousand followers it comes at every second look."""
LONGEST = 1.5
"""Seconds for which that is at most: no more than one look is left out."""


@implementer(IService, IStatus, IHttpResources, IBackup)
class StatusComponent:
    """Keeps the events, and shows them."""

    obsolete = ()

    def __init__(self, env: Environment) -> None:
        self._env, self._path = env, env.file("events.sqlite")
        store = EventStore(self._path)
        self.events = EventLog(store, env.section.events, env.clock, env.now, env.worker().later)
        self.events.open()
        self._commands = EventCommands(self.events, env.clock)
        causes = CauseDetector(lambda: env.find(IHealth).health(), self.events)
        self._feed = StatusFeed(opener(env, self.events))
        self._loops = (
            LoopingCall(Recurring("The look at the health", causes.look)),
            LoopingCall(Recurring("The status for those who watch", self._refresh)),
        )
        self._due = 0.0
        self._verbs = StatusVerbs(self._feed)

    def __conform__(self, interface: Any) -> Any:
        offers: Mapping[Any, object] = {
            IEvents: self.events,
            IControlCommands: self._commands,
            ISessionVerbs: self._verbs,
        }
        return offers.get(interface)

    def _refresh(self) -> None:
        """Send what has changed, unless the last change took long."""
        clock = self._env.clock
        begin = clock.seconds()
        if begin >= self._due:
            self._feed.refresh()
            self._due = begin + min(LONGEST, SHARE * (clock.seconds() - begin))

    def routes(self) -> list[Route]:
        """Return the routes `/v1/status` and `/v1/events`."""
        return status_routes(self._env, self.events)

    def start(self) -> None:
        """Record that the daemon has started, and what happens from now on."""
        self._env.access.log.observer = self.events.add
        if self.events.killed:
            text = "The daemon did not stop but ended; its last second of events may be missing."
            self.events.record("daemon_killed", text, "warning")
        self.events.record("daemon_started", f"mtnet {__version__} has started.")
        self.events.flush()  # no number of this start is used again after a kill
        for each in self._loops:
            each.clock = self._env.clock
            each.start(LOOK, now=False)

    def stop(self) -> "Deferred[None]":
        """Record that the daemon stops, and store what is not stored yet."""
        self._feed.close()
        for each in self._loops:
            if each.running:
                each.stop()
        self.events.record("daemon_stopped", "The daemon stops: somebody asked for it.")
        return Deferred.fromCoroutine(self.events.close())

    def health(self) -> dict[str, object]:
        """Report for `/healthz`; that events are not stored is nothing that must be acted on."""
        trouble = self.events.trouble()
        warning = f"Events are not stored: {trouble}" if trouble else None
        return {"healthy": True, "trouble": None, "warning": warning}

    def status(self) -> dict[str, object]:
        """Report that, and how many events there are."""
        events = {"kept": self.events.count, "last": self.events.last, "lost": self.events.lost}
        return {**self.health(), "events": events}

    def backup(self, folder: Path) -> None:
        """Copy the events."""
        if self._path.exists():
            copy_database(self._path, folder / self._path.name)
