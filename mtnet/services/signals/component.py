"""Signals as a component of the daemon."""

from functools import cache, partial
from pathlib import Path
from time import sleep

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.component import Component, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IAlertConditions,
    IAssembled,
    IBackup,
    IControlCommands,
    IEvents,
    IFirstBytes,
    IHttpResources,
    IMetrics,
    IParticipants,
    IReports,
    ISessions,
    ISessionVerbs,
    ISignals,
    IStatus,
    IStatusDetails,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import begins_with
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.http.resources import signal_routes
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.maintenance import backup
from mtnet.services.signals.journal.upkeep import Upkeep
from mtnet.services.signals.metrics import SignalMetrics
from mtnet.services.signals.protocol import SignalsFactory
from mtnet.services.signals.record.reader import RecordReader
from mtnet.services.signals.reports.conditions import AccountConditions
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.collect import FactCollector
from mtnet.services.signals.status.conditions import SignalConditions
from mtnet.services.signals.status.participants import Participants
from mtnet.services.signals.status.report import SignalStatus
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


@implementer(IAssembled)
class SessionAssembly:
    """Gives the sessions the verbs of all components, once these are built."""

    def __init__(self, env: Environment, sessions: SessionFactory) -> None:
        self._env, self._sessions = env, sessions

    def assembled(self) -> None:
        """Take the verbs."""
        self._sessions.add(self._env.find_all(ISessionVerbs).values())


@implementer(IStreamListener, IFirstBytes)
class SignalsListener:
    """Listener: makes the factories of the signals port, and of a shared one."""

    verbs = ("follow", "publish")
    silent = welcomes = True
    word = 0.0

    def __init__(self, env: Environment, signals: SignalService, sessions: SessionFactory) -> None:
        self._env, self._signals, self._sessions = env, signals, sessions

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a signals listener."""
        return SignalsFactory(self._env, listener, self._signals, self._sessions)

    def recognize(self, head: bytes) -> bool | None:
        """Say whether these are the first bytes of a publisher or of a client of dialect 2."""
        return is_frame(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of those whose first bytes, or silence, were recognized."""
        grace = 0.0 if silent else None
        return SignalsFactory(self._env, listener, self._signals, self._sessions, grace)


@implementer(IBackup)
class SignalsBackup:
    """Copies the journal, as it is at one moment, and what is kept beside it."""

    obsolete = tuple(
        f"signals.{kind}"
        for kind in ("heads", "policy", "paused", "diverged", "reports", "followers")
    )

    def __init__(self, path: Path) -> None:
        self._path = path

    def backup(self, folder: Path) -> None:
        """Copy them; the copy is verified."""
        # First: a reduction that is owed leaves this file once the journal holds it.
        for path in map(self._path.with_suffix, (".policy", ".diverged", ".reports", ".followers")):
            if path.exists():
                replace_file(folder / path.name, path.read_bytes())
        backup(self._path, folder / self._path.name, partial(sleep, BACKUP_REST))


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        JournalError: the journal cannot be read.
    """
    worker, path = env.worker(), env.file("signals.sqlite")
    journal = Journal(path, env.section.retain)
    signals = SignalService(env.section, journal, env.clock, env.now, worker, worker.later)
    signals.open()
    upkeep = Upkeep(signals, env.clock)
    terminals = ReportStore(env.file("signals.reports"), env.clock, worker.later)
    terminals.open()
    signals.views.reports = terminals.reports
    terminals.reported = signals.views.reported
    followers = signals.channels.followers
    store = ParticipantStore(
        env.file("signals.followers"),
        env.clock,
        worker.later,
        followers,
        signals.rules.ownership.presence,
    )
    store.open(env.now())
    participants = Participants(FactCollector(signals), followers, env.clock, env.now)
    accounts = AccountConditions(lambda: terminals.reports, env.now)
    commands = SignalCommands(signals, participants.refresh)
    records = RecordReader(path, env.worker("record"))
    status = SignalStatus(signals, participants, terminals)
    sessions = open_sessions(env)
    listener, sources = SignalsListener(env, signals, sessions), Sources(env, signals)

    def start() -> None:
        signals.channels.events.sink = env.find(IEvents)
        upkeep.start()
        signals.start()
        sources.startService()

    async def stop() -> None:
        await maybeDeferred(sources.stopService)
        upkeep.stop()
        await terminals.close()
        await store.close()
        await signals.close()

    return Component(
        {
            IAssembled: SessionAssembly(env, sessions),
            ISessions: sessions,
            ISessionVerbs: SignalVerbs(signals, terminals),
            IStreamListener: listener,
            IFirstBytes: listener,
            ISignals: signals,
            IReports: terminals.reports,
            IParticipants: participants,
            IAlertConditions: SignalConditions(signals, participants, accounts),
            IMetrics: SignalMetrics(signals, participants),
            IControlCommands: commands,
            # Made once: followers and publishers are the same on all ports.
            IHttpResources: Resources(
                cache(
                    lambda: signal_routes(
                        signals, terminals, records, commands.commands(), env.clock
                    )
                )
            ),
            IStatus: status,
            IStatusDetails: status,
            IBackup: SignalsBackup(path),
        },
        start=[start],
        stop=[lambda: Deferred.fromCoroutine(stop())],
    )
