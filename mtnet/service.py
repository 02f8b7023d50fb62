"""
The daemon: loads the configuration, builds the components, binds their ports and runs.

Everything that can fail is done in `makeService`, before `twistd` forks: so a failure is
one sentence and exit status 1, in the foreground and as a daemon.
"""

import os
import time
from functools import partial
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from mtnet import __version__, clock
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.schema import Config
from mtnet.daemon.access import open_access, warn_of_few_descriptors
from mtnet.daemon.backup.command import BackupCommand
from mtnet.daemon.components import Components
from mtnet.daemon.conditions import DaemonConditions
from mtnet.daemon.control.unix_socket import ControlSocket
from mtnet.daemon.environment import Environment
from mtnet.daemon.listeners import Listeners
from mtnet.daemon.metrics import DaemonMetrics
from mtnet.daemon.options import Options
from mtnet.daemon.preflight import (
    certificates,
    check,
    check_plugins,
    check_settings,
    listeners,
    rules,
)
from mtnet.daemon.process.machine import Machine
from mtnet.daemon.process.reload import on_hangup, reopen_log
from mtnet.daemon.process.systemd import ServiceManager
from mtnet.daemon.process.watchdog import PERIOD as WATCHDOG_PERIOD
from mtnet.daemon.process.watchdog import Watchdog, with_timeout
from mtnet.daemon.registry import component_list, installed
from mtnet.daemon.status import HealthReport, PublicHealth
from mtnet.errors import MtnetError
from mtnet.interfaces import IEvents
from mtnet.net.tls.store import RELOAD_INTERVAL
from mtnet.redact import PathRedactor

__all__ = ["Options", "makeService"]

STOP_TIMEOUT = 10.0
"""Seconds that a stop waits for a disk that does not answer."""


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

    Attributes:
        components: what is hosted.

    Raises:
        ConfigError: the settings cannot work.
        StartError: the machine does not let it: a port in use, a locked or damaged folder.
    """

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        super().__init__()
        now = WallClock(clock.system_time, clock.monotonic)
        check_settings(config, reactor)
        found = listeners(config)
        self._certificates = certificates(config, now)
        rules(config)
        self._machine = machine = Machine(config.data, now, reactor)
        machine.setServiceParent(self)
        self._health = HealthReport()
        with machine.folder.opening():
            access = open_access(config.access, machine)
            self._env = env = Environment.root(config, reactor, now, access, LogThrottle())
            public = PublicHealth(self._health, self._redactor())
            self._conditions = DaemonConditions(
                access, public.health, self._certificates, reactor, now
            )
            offers = (public, DaemonMetrics(access, env.log, self._health), self._conditions)
            self.components = Components(installed(), env, machine.make_worker, *offers)
        self._watchdog = Watchdog(self.components.workers, machine.disk, machine.folder.replaced)
        machine.repeat(WATCHDOG_PERIOD, "The look at the data folder", self._watchdog.check)
        self._manager = ServiceManager(os.environ)
        if self._manager.watchdog is not None:
            work = partial(self._manager.give_sign_of_life, self._watchdog.goes)
            machine.repeat(self._manager.watchdog, "The sign of life to systemd", work)
        self._listeners = Listeners(self._env, self.components, self._certificates)
        self._listeners.bind(found)
        thread = partial(machine.make_worker, "mtnet-backup")
        backup = BackupCommand(machine.folder, self.components, access.flush, now, thread)
        own = {"status": self.status, **backup.commands()}
        commands = {**own, **self.components.commands(), **access.commands()}
        self._control = ControlSocket(machine.folder, commands, reactor)
        machine.watch_space(self._space_known)
        machine.judge_clock()
        self._report_health()

    def _space_known(self) -> None:
        self._conditions.space = self._machine.folder.space
        self._control.retry()

    def _report_health(self) -> None:
        self._health.components, self._health.whole = self._component_health, self.status
        self._health.parts["disk"] = self._machine.folder.health
        if self._certificates is not None:
            self._health.parts["tls"] = self._certificates.health
            self._certificates.renewed = self._renewed
            work = self._check_certificates
            self._machine.repeat(RELOAD_INTERVAL, "The look at the certificates", work)
        self._health.parts["clock"] = self._machine.now.health

    def _redactor(self) -> PathRedactor:
        folders = () if self._certificates is None else self._certificates.folders()
        return PathRedactor(self._machine.path, folders)

    def table(self) -> str:
        """Return what is printed at the start: who listens where, and who may do what."""
        accounts, networks = self._env.access.accounts, self._env.config.access.networks
        return self._listeners.table.text(str(self._machine.path), not accounts.empty, networks)

    def status(self, _: object = None) -> dict[str, object]:
        """Report everything: for `mtnet status`."""
        machine, access, report = self._machine, self._env.access, self._watchdog.report
        parts = self.components.status()
        return {
            "version": __version__,
            "pid": os.getpid(),
            "since": machine.since,
            "data": str(machine.path),
            **self._health.health(),
            "services": self._listeners.table.rows(),
            "access": {"room for connections": machine.connection_limit, **access.report()},
            "log lines left out": self._env.log.left_out + access.log.left_out,
            "garbage": machine.gc_policy.status(),
            **{name: report(name, each) for name, each in parts.items()},
            **self._listeners.tls_status(),
        }

    def health(self) -> dict[str, Any]:
        """Report what is well and what is not, with the paths of this machine."""
        return self._health.health()

    def _component_health(self) -> dict[str, Any]:
        report, parts = self._watchdog.report, self.components.health()
        return {name: report(name, each) for name, each in parts.items()}

    def _check_certificates(self) -> None:
        # By a wrong clock a new pair is refused, and the old one said to have expired.
        if self._certificates is not None and self._machine.now.right:
            self._certificates.check_files()

    def _renewed(self, file: str, day: str) -> None:
        events = self.components.find(IEvents)
        if events is not None:
            events.record("certificate_renewed", f"{file} is served, until {day}.", file=file)

    def startService(self) -> None:
        self._machine.start_workers()
        limit = self._machine.connection_limit
        warn_of_few_descriptors(self._env.access, self._listeners.services, limit)
        Deferred.fromCoroutine(self.components.start())
        on_hangup(self._machine.reactor, self._reload)
        super().startService()
        self._machine.reactor.callWhenRunning(self._manager.ready)

    def stopService(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._manager.stopping()
        await self._listeners.stop()
        await self._control.stop_listening()
        try:
            stored = Deferred.fromCoroutine(self._close())
            await with_timeout(stored, STOP_TIMEOUT, self._machine.reactor)
        except TimeoutError:
            self.log.error(
                "The disk has not answered within {stop} s of the stop, which waits no longer: "
                "signals that were not confirmed may be stored or lost.",
                stop=STOP_TIMEOUT,
            )
        finally:
            self._control.remove()
            self._machine.release()

    async def _close(self) -> None:
        await maybeDeferred(super().stopService)
        await self.components.stop()
        await self._env.access.flush()

    def _reload(self) -> None:
        """Open the log file by its path, and read the certificates and the accounts again."""
        self._manager.reloading()
        reopen_log()
        if self._certificates is not None:
            self._certificates.reload()
        self._env.access.reload()
        self._manager.ready()
