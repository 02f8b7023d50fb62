"""Commands in Twisted's reactor: for servers that are no plain stream, and for processes."""

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
    IReactorTime,
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

from mtnet.client.connection import Runner
from mtnet.client.core.driver import Core
from mtnet.client.endpoints import server_from_string
from mtnet.client.failures import why
from mtnet.errors import ClientError

Work = Callable[[IStreamClientEndpoint, IReactorTime, Namespace], Coroutine[Any, Any, None]]
"""Gets the server, the reactor and the arguments; the program ends when it returns."""


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
        await work(server, reactor, arguments)

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
        reason = why(failure.value)
        end = "" if reason.endswith("?") else "."
        raise ClientError(f"No connection to {self._text}: {reason}{end}") from failure.value


async def run_until(
    service: ClientService,
    ended: "Deferred[None]",
    clock: IReactorTime,
    seconds: float | None,
    expire: Callable[[], object],
) -> None:
    """
    Run a service until `ended` fires.

    Args:
        seconds: from the connection until `expire` is called; None = it is not.

    Raises:
        ClientError: the first attempt to connect failed.
    """
    connected = service.whenConnected(failAfterFailures=1)
    service.startService()
    await connected
    if seconds is not None:
        clock.callLater(seconds, expire)
    await ended
    await service.stopService()


def fire(ended: "Deferred[None]") -> None:
    """Let a Deferred fire that may have fired already."""
    if not ended.called:
        ended.callback(None)


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

    def run(self, ended: Callable[[], object], seconds: float | None) -> None:
        """As of `BlockingRunner`; it is closed afterwards."""

        async def work(
            server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
        ) -> None:
            await self._run(server, clock, ended, seconds)

        run(work, self._arguments)

    def close(self) -> None:
        """Do nothing: it is closed."""

    async def _run(
        self,
        server: IStreamClientEndpoint,
        clock: IReactorTime,
        ended: Callable[[], object],
        seconds: float | None,
    ) -> None:
        over: Deferred[None] = Deferred()

        def handle(event: Any) -> None:
            if over.called:
                return
            try:
                self._handle(event)
            except Exception:
                over.errback()
            else:
                if ended():
                    over.callback(None)

        runner = Runner(server, self._core, clock, handle, self._framing, self._speaks_http)
        try:
            await run_until(runner.service, over, clock, seconds, lambda: fire(over))
        finally:
            over.addErrback(lambda _: None)
            # A ClientService cannot be stopped from its own callback.
            await deferLater(clock, 0)
            runner.run(self._core.stop())
            await runner.stop()
