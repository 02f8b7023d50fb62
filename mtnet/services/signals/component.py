"""Signals as a component of the daemon."""

from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from time import sleep
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IAlertConditions,
    IBackup,
    IControlCommands,
    IEvents,
    IFirstBytes,
    IHttpResources,
    IMetrics,
    IParticipants,
    IReports,
    IService,
    ISessions,
    ISessionVerbs,
    ISignals,
    IStatus,
    IStatusDetails,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import begins_with
from mtnet.net.http.route import Route
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.http.resources import signal_routes
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.maintenance import backup
from mtnet.services.signals.protocol import SignalsFactory
from mtnet.services.signals.record.reader import RecordReader
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.conditions import SignalConditions
from mtnet.services.signals.status.store import ParticipantStore
from mtnet.services.signals.upstream import Sources
from mtnet.services.signals.verbs import SignalVerbs, open_sessions
from mtnet.session.session import SessionFactory
from mtnet.storage.files import replace_file

BACKUP_REST = 0.002
"""Seconds behind each slice of a backup's check, which takes as long: the daemon answers meanwhile.
"""
is_frame = begins_with(b"<<")
"""Recognizes the first bytes of a classic publisher and of every client of dialect 2."""


@implementer(
    IService, IStreamListener, IFirstBytes, IStatus, IStatusDetails, IBackup, IHttpResources
)
class SignalsComponent:
    """
    Raises:
        JournalError: the journal cannot be read.
    """

    verbs = ("follow", "publish")
    silent = welcomes = True
    word = 0.0
    obsolete = tuple(
        f"signals.{kind}"
        for kind in ("heads", "policy", "paused", "diverged", "reports", "followers")
    )

    def __init__(self, env: Environment) -> None:
        self._env, worker = env, env.worker()
        self._path = env.file("signals.sqlite")
        journal = Journal(self._path, env.section.retain)
        self.signals = SignalService(env.section, journal, env.clock, env.now, worker, worker.later)
        self.signals.open()
        self._commands = SignalCommands(self.signals)
        self._store = ReportStore(env.file("signals.reports"), env.clock, worker.later)
        self._store.open()
        self.signals.views.reports = self._store.reports
        self._store.reported = self.signals.views.reported
        self._participants = ParticipantStore(
            env.file("signals.followers"),
            env.clock,
            worker.later,
            self.signals.channels.followers,
            self.signals.rules.ownership,
        )
        self._participants.open(env.now())
        self._verbs = SignalVerbs(self.signals, self._store)
        self._conditions = SignalConditions(
            self.signals.participants,
            lambda: self._store.reports,
            self.signals.damaged,
            env.now,
        )
        self._sources = Sources(env, self.signals)

    def __conform__(self, interface: Any) -> Any:
        if interface is ISessions:
            return self._sessions
        if interface is IMetrics:
            return self.signals.metrics
        offers: Mapping[Any, object] = {
            ISignals: self.signals,
            IReports: self._store.reports,
            IParticipants: self.signals.participants,
            IAlertConditions: self._conditions,
            IControlCommands: self._commands,
            ISessionVerbs: self._verbs,
        }
        return offers.get(interface)

    @cached_property
    def _sessions(self) -> SessionFactory:
        """The sessions of the daemon, made once every component is built."""
        return open_sessions(self._env, [*self._env.find_all(ISessionVerbs).values()])

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        return self.signals.health()

    def details(self) -> dict[str, object]:
        """Report that, what each channel and view holds, and the last REPORT of each terminal."""
        return {**self.signals.details(), "terminals": self._store.reports.newest()}

    def status(self) -> dict[str, object]:
        """Report that, who is connected, and everybody who takes part."""
        return {**self.signals.status(), "terminals": self._store.reports.status()}

    def backup(self, folder: Path) -> None:
        """Copy the journal, as it is at one moment, and what is kept beside it; it is verified."""
        # First: a reduction that is owed leaves this file once the journal holds it.
        for path in map(self._path.with_suffix, (".policy", ".diverged", ".reports", ".followers")):
            if path.exists():
                replace_file(folder / path.name, path.read_bytes())
        backup(self._path, folder / self._path.name, partial(sleep, BACKUP_REST))

    def start(self) -> None:
        """Begin to store and to send, and connect to the sources."""
        self.signals.channels.events.sink = self._env.find(IEvents)
        self.signals.start()
        self._sources.startService()

    def stop(self) -> "Deferred[None]":
        """Leave the sources, and store what was taken."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await maybeDeferred(self._sources.stopService)
        await self._store.close()
        await self._participants.close()
        await self.signals.close()

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a signals listener."""
        return SignalsFactory(self._env, listener, self.signals, self._sessions)

    def routes(self) -> list[Route]:
        """Return the routes of the HTTP API."""
        return self._routes

    @cached_property
    def _routes(self) -> list[Route]:
        """Made once: followers and publishers are the same on all ports."""
        commands = self._commands.commands()
        records = RecordReader(self._path, self._env.worker("record"))
        return signal_routes(self.signals, self._store, records, commands, self._env.clock)

    def recognize(self, head: bytes) -> bool | None:
        """Say whether these are the first bytes of a publisher or of a client of dialect 2."""
        return is_frame(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of those whose first bytes, or silence, were recognized."""
        grace = 0.0 if silent else None
        return SignalsFactory(self._env, listener, self.signals, self._sessions, grace)
