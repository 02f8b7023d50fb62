"""
The daemon: loads the configuration, builds the components, binds their ports and runs.

Everything that can fail is done in `makeService`, before `twistd` forks: so a failure is
one sentence and exit status 1, in the foreground and as a daemon.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from mtnet import __version__, clock
from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.schema import Config
from mtnet.daemon.components import Components
from mtnet.daemon.control_socket import ControlSocket
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.environment import Environment
from mtnet.daemon.gc_policy import GcPolicy
from mtnet.daemon.hangup import on_hangup, reopen_log
from mtnet.daemon.options import Options
from mtnet.daemon.ports import BoundListener, listen, listen_udp, raise_limit
from mtnet.daemon.preflight import (
    certificates,
    check,
    check_exposure,
    check_plugins,
    check_settings,
    listeners,
    rules,
)
from mtnet.daemon.registry import component_list, connection_limits, installed, permissions
from mtnet.daemon.stale_locks import clear_socket
from mtnet.daemon.status import HealthReport, ListenerTable, PublicHealth
from mtnet.daemon.watchdog import PERIOD as WATCHDOG_PERIOD
from mtnet.daemon.watchdog import Watchdog, with_timeout
from mtnet.errors import JournalError, MtnetError, NotAskedError, StartError
from mtnet.interfaces import IDatagramListener, IStreamListener
from mtnet.net.endpoints import Listener, host_of
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import RELOAD_INTERVAL
from mtnet.recurring import Recurring
from mtnet.redact import PathRedactor
from mtnet.storage.sqlite import has_free_space
from mtnet.storage.worker import SerialWorker

__all__ = ["Options", "makeService"]

RUN_INTERVAL = 60.0
"""Seconds between two notes that the daemon runs, from which the next start judges its clock."""
SPACE_CHECK_INTERVAL = 5.0
"""Seconds between two looks at the free space of the disk."""
STOP_TIMEOUT = 10.0
"""Seconds that a stop waits for a disk that does not answer."""
HASHER_NICENESS = 5
"""Of the thread that hashes passwords of unknown networks: password guessing keeps it busy
without pause, and on one CPU it would take half of it."""


def makeService(options: Options) -> MultiService:
    """
    Build the daemon: called by `twistd`, before it forks.

    Raises:
        SystemExit: the start failed, with one sentence for stderr and status 1; or
            `--check` found nothing wrong, with status 0.
    """
    from twisted.internet import reactor

    # Twisted times its calls by the wall clock: one that is set back by an hour would hold
    # back every close for an hour.
    reactor.seconds = time.monotonic  # type: ignore[method-assign]
    try:
        if options["check"]:
            check_plugins()
        config = options.load()
        if options["check"]:
            check(config, reactor, clock.system_time)
            print(component_list())
            raise SystemExit(print(f"The configuration is sound. Data: {config.data}"))
        daemon = Daemon(config, reactor)
    except MtnetError as error:
        raise SystemExit(f"mtnet: {error}") from error
    print(daemon.table(), flush=True)
    return daemon


class Daemon(MultiService):
    """
    Composition root: every component on its listeners.

    Raises:
        ConfigError: the settings cannot work.
        StartError: the machine does not let it: a port in use, a locked or damaged folder.
    """

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        super().__init__()
        self._config, self._reactor = config, reactor
        self._now = WallClock(clock.system_time, clock.monotonic)
        self._started = clock.monotonic()
        check_settings(config, reactor)
        found = listeners(config)
        self._certificates = certificates(config, self._now)
        rules(config)
        self._connection_limit = raise_limit()
        self._gc_policy = GcPolicy(reactor)
        self._gc_policy.setServiceParent(self)
        self._folder = DataFolder(config.data)
        self._folder.check_space()
        self._now.compare_run(self._folder.last_run())
        self._now.compare_doubt(*self._folder.doubted_runs())
        self._health = HealthReport(self._parts)
        self._disk_worker = SerialWorker(reactor, "mtnet-disk")
        self._hash_worker = SerialWorker(reactor, "mtnet-strangers", HASHER_NICENESS)
        self._login_worker = SerialWorker(reactor, "mtnet-logins")
        self.components = self._build()
        self._watchdog = Watchdog(self.components.workers, self._disk_worker, self._folder.replaced)
        self._pipeline = Pipeline(self.env, self._certificates)
        self._bound = list(self._bind(found))
        self._table = ListenerTable(self._bound, self.env.access.anonymous)
        commands = {**self.components.commands(), **self._access.commands()}
        self._control = ControlSocket(self._folder, {"status": self.status, **commands}, reactor)
        self._now.check_start()
        self._add_timers()

    def _add_timers(self) -> None:
        self._repeat(WATCHDOG_PERIOD, "The look at the data folder", self._watchdog.check)
        self._repeat(
            SPACE_CHECK_INTERVAL, "The look at the free space of the disk", self._check_space
        )
        interval = self._config.access.save_interval
        self._repeat(interval, "The note of logins and bans", self._access.flush)
        self._repeat(RUN_INTERVAL, "The note of the last run", self._note_run)
        self._repeat(clock.LOOK, "The look at the clock", self._now.watch)
        if self._certificates is not None:
            self._repeat(RELOAD_INTERVAL, "The look at the certificates", self._check_certificates)

    def _repeat(self, seconds: float, what: str, work: Callable[[], Any]) -> None:
        timer = TimerService(seconds, Recurring(what, work))
        timer.clock = self._reactor
        timer.setServiceParent(self)

    def table(self) -> str:
        """Return what is printed at the start: who listens where, and who may do what."""
        networks = self._config.access.networks
        return self._table.text(str(self._folder.path), self._has_accounts, networks)

    @property
    def _has_accounts(self) -> bool:
        return not self.env.access.accounts.empty

    # Reports

    def status(self, _: object = None) -> dict[str, object]:
        """Report everything: for `mtnet status`."""
        report = self._watchdog.report
        return {
            "version": __version__,
            "pid": os.getpid(),
            "since": self._now() - int((clock.monotonic() - self._started) * 1000),
            "data": str(self._folder.path),
            **self.health(),
            "services": self._table.rows(),
            "access": {"room for connections": self._connection_limit, **self.env.access.report()},
            "log lines left out": self.env.log.left_out + self.env.access.log.left_out,
            "garbage": self._gc_policy.status(),
            **{name: report(name, each) for name, each in self.components.status().items()},
            **self._tls_status(),
        }

    def _tls_status(self) -> dict[str, object]:
        if not any(bound.listener.security == "TLS" for bound in self._bound):
            return {}
        served = self._certificates.status() if self._certificates else []
        return {"tls": {"handshakes": self._pipeline.handshakes.status(), "certificates": served}}

    def health(self) -> dict[str, Any]:
        """Report what is well and what is not, with the paths of this machine."""
        return self._health.health()

    def _parts(self) -> dict[str, Any]:
        report = self._watchdog.report
        parts = {name: report(name, each) for name, each in self.components.health().items()}
        parts["disk"] = self._folder.health()
        if self._certificates is not None:
            parts["tls"] = self._certificates.health()
        return {**parts, "clock": self._now.health()}

    # Building

    def _build(self) -> Components:
        """Open the files of access and of all components; blocks."""
        certified = () if self._certificates is None else self._certificates.folders()
        public = PublicHealth(self._health, PathRedactor(self._folder.path, certified))
        try:
            self._access = self._build_access()
            self._access.load()
            self.env = Environment.root(
                self._config, self._reactor, self._now, self._access, LogThrottle()
            )
            return Components(installed(), self.env, self._make_worker, public)
        except NotAskedError as error:
            raise StartError(str(error)) from error
        except JournalError as error:
            remedy = "Restore it from a backup, or name another --data."
            if not has_free_space(self._folder.path):
                remedy = "Make room on the disk of the data folder."
            raise StartError(f"{error} {remedy}") from error

    def _make_worker(self, name: str) -> SerialWorker:
        return SerialWorker(self._reactor, name)

    def _build_access(self) -> AccessControl:
        known = permissions()
        return AccessControl(
            self._config.access.with_defaults(connection_limits()),
            AccountStore(self._folder.accounts, known),
            BanStore(self._folder.bans),
            Threads(self._hash_worker, self._login_worker, self._disk_worker),
            self._reactor,
            self._now,
            known,
        )

    def _bind(self, found: list[Listener]) -> Iterable[BoundListener]:
        for listener in found:
            bound = self._listen(listener)
            host = host_of(bound.port.getHost())
            check_exposure(self.env.access.anonymous, self._has_accounts, listener, host)
            yield bound

    def _listen(self, listener: Listener) -> BoundListener:
        service = self.components.services[listener.service]
        if listener.datagrams:
            datagrams = IDatagramListener(service)
            port = listen_udp(listener, datagrams.protocol(listener), self._reactor, datagrams.turn)
            return BoundListener(listener, port, datagrams.datagram_verbs, False)
        stream = IStreamListener(service)
        if listener.path:
            clear_socket(Path(listener.path))
        factory = self._pipeline.wrap(listener, stream.factory(listener))
        port = listen(listener, factory, self._reactor)
        return BoundListener(listener, port, stream.verbs, stream.welcomes)

    # Running

    @property
    def _workers(self) -> Iterable[SerialWorker]:
        yield from (self._disk_worker, self._hash_worker, self._login_worker)
        for workers in self.components.workers.values():
            yield from workers.values()

    def _check_space(self) -> "Deferred[None]":
        return self._disk_worker(self._folder.check_space).addCallback(self._space_checked)

    def _space_checked(self, _: None) -> None:
        if self.running:
            self._control.retry()

    def _note_run(self) -> "Deferred[None]":
        right, since, when = self._now.right, self._now.doubted_since, self._now()
        if not right and not since:
            return succeed(None)
        return self._disk_worker(self._folder.record_run, when, right, since)

    def _check_certificates(self) -> None:
        # By a wrong clock a new pair is refused, and the old one said to have expired.
        if self._certificates is not None and self._now.right:
            self._certificates.check_files()

    def startService(self) -> None:
        for worker in self._workers:
            worker.start()
        self._warn_of_few_files()
        if not self._folder.health()["healthy"]:
            self.log.error("{trouble}", trouble=self._folder.health()["trouble"])
        Deferred.fromCoroutine(self.components.start())
        on_hangup(self._reactor, self._reload)
        super().startService()

    def _warn_of_few_files(self) -> None:
        access = self.env.access
        services = {bound.listener.service for bound in self._bound}
        most = sum(access.settings.limits(name).total or 0 for name in services)
        exposed = self._has_accounts or access.anonymous.configured
        if self._connection_limit is not None and self._connection_limit < most and exposed:
            self.log.warn(
                "There is room for {room} connections, and access.connections allows {most}: "
                "raise the hard limit of open files (`ulimit -Hn`, LimitNOFILE= of systemd)",
                room=self._connection_limit,
                most=most,
            )

    def stopService(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for bound in self._bound:
            await maybeDeferred(bound.port.stopListening)
        await self._control.stop_listening()
        try:
            stored = Deferred.fromCoroutine(self._close())
            await with_timeout(stored, STOP_TIMEOUT, self._reactor)
        except TimeoutError:
            self.log.error(
                "The disk has not answered within {stop} s of the stop, which waits no longer: "
                "who was not told that something is stored must take it for unknown.",
                stop=STOP_TIMEOUT,
            )
        finally:
            for worker in self._workers:
                worker.stop()
            self._control.remove()
            self._folder.release()

    async def _close(self) -> None:
        await maybeDeferred(super().stopService)
        await self.components.stop()
        await self._access.flush()

    def _reload(self) -> None:
        """Open the log file by its path, and read the certificates and the accounts again."""
        reopen_log()
        if self._certificates is not None:
            self._certificates.reload()
        self._access.reload()
