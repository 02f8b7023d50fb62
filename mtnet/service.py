"""
The one place that joins configuration, domain objects, plugins and endpoints.

Everything that can fail is done in `makeService`, before `twistd` forks: so a failure is
one sentence and exit status 1, in the foreground and as a daemon.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IReactorUNIX
from twisted.logger import Logger

from mtnet import __version__, clock
from mtnet.access.accounts.authenticator import Threads
from mtnet.access.accounts.store import AccountStore
from mtnet.access.bans.store import BanStore
from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.schema import Config
from mtnet.daemon import log_file
from mtnet.daemon.control import Command, ControlFactory
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.environment import Environment
from mtnet.daemon.gc_policy import GcPolicy
from mtnet.daemon.options import Options
from mtnet.daemon.ports import BoundListener, cannot_listen, listen, raise_limit, reason
from mtnet.daemon.preflight import (
    certificates,
    check,
    check_exposure,
    check_ports,
    check_settings,
    listeners,
    rules,
)
from mtnet.daemon.registry import Plugin
from mtnet.daemon.stale_locks import clear_socket
from mtnet.daemon.watchdog import PERIOD as WATCHDOG_PERIOD
from mtnet.daemon.watchdog import Watchdog, with_timeout
from mtnet.errors import JournalError, MtnetError, NotAskedError, StartError
from mtnet.interfaces import IDatagramPlugin, IListenerAware, IStreamPlugin
from mtnet.net.endpoints import Listener, host_of
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import RELOAD_INTERVAL
from mtnet.net.udp import BatchingUdpPort
from mtnet.recurring import Recurring
from mtnet.redact import PathRedactor
from mtnet.services.signals.commands import SignalCommands
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.upstream import source_service
from mtnet.services.templates.integrity_check import IntegrityCheckService
from mtnet.services.templates.library import Library
from mtnet.services.templates.watched_folder import WatchedFolderService
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally
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
"""How nice the thread is that hashes what strangers say: whoever guesses passwords keeps it busy
without pause, and on one CPU would have half of it."""


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
        config = options.load()
        if options["check"]:
            check(config, reactor, clock.system_time)
            raise SystemExit(print(f"The configuration is sound. Data: {config.data}"))
        daemon = Daemon(config, reactor)
    except MtnetError as error:
        raise SystemExit(f"mtnet: {error}") from error
    print(daemon.table(), flush=True)
    return daemon


class Daemon(MultiService):
    """
    Every service on its listeners.

    Raises:
        ConfigError: the settings cannot work.
        StartError: the machine does not let it: a port in use, a locked or damaged folder.
    """

    log = Logger()

    def __init__(self, config: Config, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._now = WallClock(clock.system_time, clock.monotonic)
        self._started = clock.monotonic()
        check_settings(config, reactor)
        check_ports(config)
        found = listeners(config)
        self._certificates = certificates(config, self._now)
        rules(config)
        self._connection_limit = raise_limit()
        self._gc_policy = GcPolicy(reactor)
        self._gc_policy.setServiceParent(self)
        self._folder = DataFolder(config.data)
        certified = () if self._certificates is None else self._certificates.folders()
        self._redactor = PathRedactor(self._folder.path, certified)
        self._folder.check_space()
        self._now.compare_run(self._folder.last_run())
        self._now.compare_doubt(*self._folder.doubted_runs())
        # No template on a slow disk delays a tick, and neither delays a signal.
        self._signals_worker = SerialWorker(reactor, "mtnet-signals")
        self._ticks_worker, self._disk_worker = (
            SerialWorker(reactor, "mtnet-ticks"),
            SerialWorker(reactor, "mtnet-disk"),
        )
        self._hash_worker = SerialWorker(reactor, "mtnet-strangers", HASHER_NICENESS)
        self._login_worker = SerialWorker(reactor, "mtnet-logins")
        disks = {
            "signals": self._signals_worker,
            "ticks": self._ticks_worker,
            "templates": self._disk_worker,
        }
        self._workers = (*disks.values(), self._hash_worker, self._login_worker)
        self._watchdog = Watchdog(disks, self._disk_worker, self._folder.replaced)
        self._repeat(WATCHDOG_PERIOD, "The look at the data folder", self._watchdog.check)
        self.env = self._build_environment(config)
        self._operator = SignalCommands(self.env.signals)
        self._has_accounts = not self.env.access.accounts.empty
        self._pipeline = Pipeline(self.env, self._certificates)
        self._bound = list(self._bind(found))
        self._control = self._bind_control()
        for name, source in config.signals.sources.items():
            endpoint = clientFromString(reactor, source.connect)
            source_service(self.env, name, source, endpoint).setServiceParent(self)
        IntegrityCheckService(self.env).setServiceParent(self)
        if config.templates.folder:
            WatchedFolderService(self.env).setServiceParent(self)
        self._repeat(
            SPACE_CHECK_INTERVAL, "The look at the free space of the disk", self._check_space
        )
        self._repeat(config.access.save_interval, "The note of logins and bans", self._access.flush)
        self._repeat(RUN_INTERVAL, "The note of the last run", self._note_run)
        self._now.check_start()
        self._repeat(clock.LOOK, "The look at the clock", self._now.watch)
        if self._certificates is not None:
            self._repeat(RELOAD_INTERVAL, "The look at the certificates", self._check_certificates)

    def _repeat(self, seconds: float, what: str, work: Callable[[], Any]) -> None:
        timer = TimerService(seconds, Recurring(what, work))
        timer.clock = self._reactor
        timer.setServiceParent(self)

    def table(self) -> str:
        """Return what is said at the start: who listens where, and who may do what."""
        rows = [("SERVICE", "ADDRESS", "SECURITY", "LOOPBACK MAY", "STRANGERS MAY")]
        for report in self._reports():
            rows.append(tuple(report.values()))  # type: ignore[arg-type]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        return "\n".join(
            [f"mtnet {__version__}, data in {self._folder.path}", *lines, *self._hints()]
        )

    def _hints(self) -> Iterable[str]:
        if not any(report["strangers"] for report in self._reports()):
            yield "Loopback only: every program here may do everything, and strangers nothing."
        elif self._has_accounts:
            yield "Whoever logs in may do more: `mtnet account list` says who and what."
        for network, rights in self.env.config.access.networks.items():
            yield f"Besides, {network} may {', '.join(rights) or 'nothing'}."
        for name in ("signals", "any"):
            for bound in self._bound:
                if bound.plugin.name == name and not bound.listener.proxied:
                    yield f"Try: {bound.example_command()}"
                    return

    def _reports(self) -> list[dict[str, str]]:
        return [bound.report(self.env.access.anonymous) for bound in self._bound]

    # What the control socket and /healthz say

    def status(self, _: object = None) -> dict[str, object]:
        """Report everything: for `mtnet status`."""
        return {
            "version": __version__,
            "pid": os.getpid(),
            "since": self._now() - int((clock.monotonic() - self._started) * 1000),
            "data": str(self._folder.path),
            **self.health(),
            "services": self._reports(),
            "access": {"room for connections": self._connection_limit, **self.env.access.report()},
            "log lines left out": self.env.log.left_out + self.env.access.log.left_out,
            "garbage": self._gc_policy.status(),
            "signals": self._watchdog.report("signals", self.env.signals.status()),
            "ticks": self._watchdog.report("ticks", self.env.collector.status()),
            "templates": self._watchdog.report("templates", self.env.library.status()),
            **self._tls_status(),
        }

    def _tls_status(self) -> dict[str, object]:
        if not any(bound.listener.security == "TLS" for bound in self._bound):
            return {}
        served = self._certificates.status() if self._certificates else []
        return {"tls": {"handshakes": self._pipeline.handshakes.status(), "certificates": served}}

    def health(self) -> dict[str, Any]:
        """Report what is well and what is not, with the paths of this machine."""
        parts = {
            "signals": self._watchdog.report("signals", self.env.signals.health()),
            "ticks": self._watchdog.report("ticks", self.env.collector.health()),
            "templates": self._watchdog.report("templates", self.env.library.health()),
            "disk": self._folder.health(),
        }
        if self._certificates is not None:
            parts["tls"] = self._certificates.health()
        parts["clock"] = self._now.health()
        trouble = [f"{name}: {_cause(part)}" for name, part in parts.items() if not part["healthy"]]
        warnings = [f"{name}: {p['warning']}" for name, p in parts.items() if p.get("warning")]
        return {"healthy": not trouble, "trouble": trouble, "warnings": warnings, **parts}

    def _public_health(self) -> dict[str, Any]:
        """Report that for `/healthz`, which strangers read."""
        report: dict[str, Any] = self._redactor.report(self.health())
        return report

    # Building

    def _build_environment(self, config: Config) -> Environment:
        journal = Journal(self._folder.signals, config.signals.retain)
        worker, clock = self._signals_worker, self._reactor
        signals = SignalService(config.signals, journal, clock, self._now, worker, worker.later)
        templates = config.templates
        try:
            signals.open()
            self._access = self._build_access(config)
            self._access.load()
            collector = self._build_collector(config)
            library = Library(
                self._folder.templates,
                max_size=templates.max_size,
                versions=templates.versions,
                keep_experts=templates.keep_experts,
                default=templates.default,
            )
        except NotAskedError as error:
            raise StartError(str(error)) from error
        except JournalError as error:
            remedy = "Restore it from a backup, or name another --data."
            if not has_free_space(self._folder.path):
                remedy = "Make room on the disk of the data folder."
            raise StartError(f"{error} {remedy}") from error
        return Environment(
            config=config,
            clock=self._reactor,
            now=self._now,
            in_thread=self._disk_worker,
            access=self._access,
            log=LogThrottle(),
            library=library,
            signals=signals,
            collector=collector,
            health=self._public_health,
        )

    def _build_access(self, config: Config) -> AccessControl:
        return AccessControl(
            config.access,
            AccountStore(self._folder.accounts),
            BanStore(self._folder.bans),
            Threads(self._hash_worker, self._login_worker, self._disk_worker),
            self._reactor,
            self._now,
        )

    def _build_collector(self, config: Config) -> Collector:
        store, tally = Store(self._folder.ticks), Tally(self._folder.tally)
        collector = Collector(
            config.ticks, config.reserve, store, tally, self._reactor, self._ticks_worker
        )
        collector.open()
        return collector

    def _bind(self, found: list[tuple[Plugin, Listener]]) -> Iterable[BoundListener]:
        factories: dict[str, IProtocolFactory] = {}
        for plugin, listener in found:
            if IDatagramPlugin.providedBy(plugin):
                port = self._listen_udp(IDatagramPlugin(plugin), listener)
            else:
                stream = IStreamPlugin(plugin)
                if stream.name not in factories:
                    factories[stream.name] = stream.buildFactory(self.env)
                if listener.path:
                    clear_socket(Path(listener.path))
                aware = IListenerAware(factories[stream.name], None)
                factory = factories[stream.name] if aware is None else aware.at(listener)
                port = listen(listener, self._pipeline.wrap(listener, factory), self._reactor)
            bound = BoundListener(plugin, listener, port)
            host = host_of(bound.port.getHost())
            check_exposure(self.env.access.anonymous, self._has_accounts, listener, host)
            yield bound

    def _listen_udp(self, plugin: IDatagramPlugin, listener: Listener) -> IListeningPort:
        protocol = plugin.buildProtocol(self.env, listener)
        turn = self.env.config.ticks.turn
        port = BatchingUdpPort(listener.port, protocol, listener.interface, self._reactor, turn)
        try:
            port.startListening()
        except CannotListenError as error:
            raise cannot_listen(listener, reason(error)) from error
        return port

    def _bind_control(self) -> IListeningPort | None:
        if not IReactorUNIX.providedBy(self._reactor):
            return None  # Windows
        self._folder.clear_control()
        path = str(self._folder.control)
        try:
            commands = ControlFactory(self._commands())
            # Twisted binds first and closes it to others afterwards.
            before = os.umask(0o177)
            try:
                port: IListeningPort = self._reactor.listenUNIX(path, commands, mode=0o600)
            finally:
                os.umask(before)
            return port
        except (CannotListenError, OSError) as error:
            if not has_free_space(self._folder.path):
                return None
            raise StartError(
                f"The control socket {path} cannot be made ({reason(error)}); a shorter path "
                "for --data may help."
            ) from error

    def _commands(self) -> dict[str, Command]:
        """Return what can be asked for through the control socket."""
        return {
            "status": self.status,
            **self._operator.commands(),
            **self._access.commands(),
        }

    # Running

    def _check_space(self) -> "Deferred[None]":
        return self._disk_worker(self._folder.check_space).addCallback(self._open_control)

    def _open_control(self, _: None) -> None:
        """Make the control socket for which a full disk had no room at the start."""
        if self._control is None and self.running and self._folder.health()["healthy"]:
            self._control = self._bind_control()
            if self._control is not None:
                self.log.info("The control socket is made, now that the disk has room.")

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
        self.env.signals.start()
        self._check_room()
        if not self._folder.health()["healthy"]:
            self.log.error("{trouble}", trouble=self._folder.health()["trouble"])
        if self.env.collector.lost:
            self.log.warn(
                "The last daemon was killed: {count} ticks that it had taken were not on disk",
                count=self.env.collector.lost,
            )
        if hasattr(signal, "SIGHUP"):
            signal.signal(signal.SIGHUP, self._on_sighup)
        super().startService()

    def _check_room(self) -> None:
        access, settings = self.env.access, self.env.config.access
        services = {bound.listener.service for bound in self._bound}
        most = sum(settings.of_service(name).total or 0 for name in services)
        if (
            self._connection_limit is not None
            and self._connection_limit < most
            and (self._has_accounts or access.anonymous.configured)
        ):
            self.log.warn(
                "There is room for {room} connections, and access.connections allows {most}: "
                "raise the hard limit of open files (`ulimit -Hn`, LimitNOFILE= of systemd)",
                room=self._connection_limit,
                most=most,
            )

    def stopService(self) -> "Deferred[None]":
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for port in [*(bound.port for bound in self._bound), self._control]:
            if port is not None:
                await maybeDeferred(port.stopListening)
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
            with suppress(OSError):
                self._folder.clear_control()
            self._folder.release()

    async def _close(self) -> None:
        await maybeDeferred(super().stopService)
        await self.env.signals.close()
        await self.env.collector.close()
        await self._access.flush()

    def _on_sighup(self, number: int, frame: object) -> None:
        self._reactor.callFromThread(self._reload)

    def _reload(self) -> None:
        """Open the log file anew, and take the certificates and the accounts anew."""
        self._reopen_log()
        if self._certificates is not None:
            self._certificates.reload()
        self._access.reload()

    def _reopen_log(self) -> None:
        file = log_file.current()
        if file is None:
            self.log.info("SIGHUP: there is no log file to open anew.")
            return
        try:
            log_file.reopen(file)
        except OSError as error:
            self.log.error(
                "SIGHUP: the log file {path} cannot be opened anew: {reason}. The old one is "
                "written to.",
                path=file.path,
                reason=error.strerror,
            )
        else:
            self.log.info("SIGHUP: the log file {path} is opened anew.", path=file.path)


def _cause(part: Mapping[str, Any]) -> str:
    """Return why a part is not healthy: its own sentence, else what it names."""
    if part.get("trouble"):
        return str(part["trouble"])
    for key in ("damaged", "diverged", "full"):
        found = part.get(key)
        if found:
            return f"{', '.join(map(str, found))}: {key}" if isinstance(found, list) else key
    return "not healthy; the log says why"
