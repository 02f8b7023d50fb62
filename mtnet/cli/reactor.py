"""Commands in Twisted's reactor: for servers that are no plain stream."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorCore,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
    IStreamClientEndpoint,
)
from twisted.internet.task import deferLater, react
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core.address import no_connection
from mtnet.client.core.driver import Core
from mtnet.client.endpoints import server_from_string
from mtnet.client.failures import why
from mtnet.errors import ClientError

Work = Callable[[IStreamClientEndpoint, Any], Coroutine[Any, Any, None]]
"""Gets the server and the reactor; the program ends when it returns."""


def run(work: Work, arguments: Namespace) -> None:
    """
    Run the reactor until `work` ends, and raise what it raised.

    Raises:
        KeyboardInterrupt: a signal stopped the reactor before.
        ClientError: what `work` raised; `--server` is not a valid endpoint.
    """
    outcome: list[object] = []

    async def begin(reactor: IReactorTime) -> None:
        server = Server(reactor, arguments.server, arguments.ca)
        await work(server, reactor)

    def main(reactor: IReactorTime) -> "Deferred[None]":
        # Twisted times its calls by the wall clock: after one is set back by an hour, a follower
        # would not notice for an hour that it is blind.
        reactor.seconds = time.monotonic  # type: ignore[method-assign]
        working = Deferred.fromCoroutine(begin(reactor))

        def interrupt() -> None:
            if not outcome:
                outcome.append(Failure(KeyboardInterrupt()))
                working.cancel()

        IReactorCore(reactor).addSystemEventTrigger("before", "shutdown", interrupt)
        return working.addBoth(outcome.append)

    log_warnings()
    with suppress(SystemExit):
        react(main)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()


def log_warnings(errors_alone: str = "") -> None:
    """
    Log warnings and errors to stderr.

    Args:
        errors_alone: the namespace of which warnings are left out; empty = there is none.
    """
    observer = textFileLogObserver(sys.stderr)
    predicate = LogLevelFilterPredicate(LogLevel.warn)
    if errors_alone:
        predicate.setLogLevelForNamespace(errors_alone, LogLevel.error)
    filtered = FilteringLogObserver(observer, [predicate])
    globalLogBeginner.beginLoggingTo([filtered], redirectStandardIO=False)


@implementer(IStreamClientEndpoint)
class Server:
    """
    The endpoint of `--server`; an error names it.

    Args:
        ca: of `--ca`.

    Raises:
        ClientError: `text` is not a valid endpoint.
        CertificateError: there is no certificate in the file of `--ca`.
    """

    def __init__(self, reactor: IReactorTime, text: str, ca: Path | None = None) -> None:
        self._text = text
        self._endpoint = server_from_string(reactor, text, ca)

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect, or fail with the sentence for it."""
        return self._endpoint.connect(factory).addErrback(self._explain)

    def _explain(self, failure: Failure) -> NoReturn:
        raise ClientError(no_connection(self._text, why(failure.value))) from failure.value


async def run_until(
    service: ClientService, over: "Deferred[None]", clock: IReactorTime, seconds: float | None
) -> None:
    """
    Run a service until `over` fires.

    Args:
        seconds: from the connection on, after which it ends as well; None = it does not.

    Raises:
        ClientError: the first attempt to connect failed.
    """
    connected = service.whenConnected(failAfterFailures=1)
    service.startService()
    await connected
    if seconds is not None:
        clock.callLater(seconds, lambda: None if over.called else over.callback(None))
    await over
    await service.stopService()


class Conversation:
    """
    A client's state machine in the reactor, with the interface of `BlockingRunner`.

    Args:
        handle: takes each event; an exception of it goes to the caller of `run`.
        framing: makes the codec of a connection.
        speaks_http: whether the session is about signals alone, which can go over HTTP.
    """

    def __init__(
        self,
        arguments: Namespace,
        core: Core[Any],
        handle: Callable[[Any], object],
        framing: Callable[[Any], Any],
        speaks_http: bool,
    ) -> None:
        self._arguments, self._core, self._handle = arguments, core, handle
        self._framing, self._speaks_http = framing, speaks_http
        self._ended: Callable[[], object] = noop
        self._over: Deferred[None] = Deferred()
        self._watched: dict[int, WatchedFile] = {}
        self._reactor: IReactorFDSet | None = None
        self._runner: Runner[Any] | None = None

    def run(self, ended: Callable[[], object], seconds: float | None) -> None:
        """As of `BlockingRunner`; it is closed afterwards."""
        self._ended = ended
        run(lambda server, reactor: self._run(server, reactor, seconds), self._arguments)

    def close(self) -> None:
        """Do nothing: it is closed."""

    def watch(self, descriptor: int, ready: Callable[[], object]) -> None:
        """As of `BlockingRunner`."""
        self._watched[descriptor] = WatchedFile(descriptor, lambda: self._do(ready))
        if self._reactor is not None:
            self._reactor.addReader(self._watched[descriptor])

    def unwatch(self, descriptor: int) -> None:
        """As of `BlockingRunner`."""
        watched = self._watched.pop(descriptor, None)
        if watched is not None and self._reactor is not None:
            self._reactor.removeReader(watched)

    def now(self) -> float:
        """As of `BlockingRunner`."""
        return time.monotonic()

    def send(self) -> None:
        """As of `BlockingRunner`."""
        if self._runner is not None:
            self._runner.run()

    async def _run(
        self, server: IStreamClientEndpoint, reactor: Any, seconds: float | None
    ) -> None:
        def handle(event: Any) -> None:
            self._do(lambda: self._handle(event))

        runner = Runner(server, self._core, reactor, handle, self._framing, self._speaks_http)
        self._reactor, self._runner = reactor, runner
        for each in self._watched.values():
            reactor.addReader(each)
        try:
            await run_until(runner.service, self._over, reactor, seconds)
        finally:
            self._over.addErrback(lambda _: None)
            self._unwatch_all()
            # A ClientService cannot be stopped from its own callback.
            await deferLater(reactor, 0)
            runner.run(self._core.stop())
            await runner.stop()

    def _do(self, call: Callable[[], object]) -> None:
        """Do something that may be the end; an exception of it is."""
        if self._over.called:
            return
        try:
            call()
        except Exception:
            self._over.errback()
        else:
            if self._ended():
                self._over.callback(None)
        if self._over.called:
            self._unwatch_all()

    def _unwatch_all(self) -> None:
        for descriptor in list(self._watched):
            self.unwatch(descriptor)


@implementer(IReadDescriptor)
class WatchedFile:
    """
    A file or a pipe in the reactor.

    Args:
        ready: called whenever it can be read, or has ended.
    """

    def __init__(self, descriptor: int, ready: Callable[[], object]) -> None:
        self._descriptor, self._ready = descriptor, ready

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor

    def doRead(self) -> None:
        """Say that it can be read."""
        self._ready()

    def connectionLost(self, reason: Failure) -> None:
        """Say that it has ended."""
        self._ready()

    def logPrefix(self) -> str:
        """Return the name in the log."""
        return "input"
