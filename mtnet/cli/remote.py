"""Commands that talk to a server: the reactor, and streams printed as they come."""

import sys
import time
from argparse import Namespace
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar

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

from mtnet.callbacks import noop
from mtnet.cli.context import command as context
from mtnet.cli.server_options import account as account
from mtnet.cli.server_options import unanswered as unanswered
from mtnet.client.connection import Runner
from mtnet.client.core.driver import Core
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused
from mtnet.client.endpoints import server_from_string
from mtnet.client.failures import why, within
from mtnet.errors import ClientError

T = TypeVar("T")
Handlers = Mapping[Any, Callable[[Any], object]]
"""What is done with an event, by its type."""
Work = Callable[[IStreamClientEndpoint, IReactorTime, Namespace], Coroutine[Any, Any, None]]
"""Gets the server, the reactor and the arguments; the program ends when it returns."""


# Connections


def run_in_reactor(work: Work, arguments: Namespace) -> None:
    """
    Run the reactor until `work` ends, and raise what it raised.

    Raises:
        KeyboardInterrupt: a signal stopped the reactor before.
        ClientError: what `work` raised; `--server` is not a valid endpoint, or there is no such
            context.
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

    context.apply(arguments)
    arguments.account = account(arguments)
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
    watch: "StreamReporter",
    clock: IReactorTime,
    seconds: float | None,
) -> None:
    """
    Run a service until `ended` fires, or `seconds` are over.

    Raises:
        ClientError: the first attempt to connect failed, or the server never answered as it should.
    """
    connected = service.whenConnected(failAfterFailures=1)
    service.startService()
    await connected
    if seconds is not None:
        clock.callLater(seconds, watch.expire, seconds)
    await ended
    await service.stopService()


class StreamReporter:
    """
    Prints a stream on stdout, and the state of its connection on stderr.

    If the server never answers as it should, it is a server of another kind, and the program
    ends with an error. After a first good answer the program goes on and reconnects.

    Args:
        ended: fires at the end of the stream; fails when stdout is closed.
        server: the endpoint, as it was given.

    Attributes:
        answered: whether the server has answered as it should.
    """

    def __init__(self, ended: "Deferred[None]", server: str) -> None:
        self._ended, self._server = ended, server
        self._lost = False
        self.answered = False

    def emit(self, write: Callable[[], object]) -> None:
        """Call a function that prints."""
        if self._ended.called:
            return
        try:
            write()
        except OSError:
            self.end(Failure())

    def connected(self) -> None:
        """Note that the server has answered as it should."""
        self.answered = True
        self.reconnected()

    def reconnected(self) -> None:
        """Report that the connection is back."""
        if self._lost:
            self._lost = False
            self.note("The connection is back.")

    def lost(self, reason: str) -> None:
        """Report that the connection is lost."""
        if not self.answered:
            self.fail(unanswered(self._server, reason))
        elif not self._ended.called:
            self._lost = True
            self.note(f"The connection is lost ({reason}).")

    def refused(self, text: str) -> None:
        """Report a refusal; a refused login or port ends the program."""
        code, _, sentence = text.partition(" ")
        if code in ("login", "port"):
            self.fail(sentence)
        else:
            self.note(text)

    def note(self, sentence: str) -> None:
        """Report something that is not part of the stream."""
        if not self._ended.called:
            print(f"mtnet: {sentence}", file=sys.stderr, flush=True)

    def expire(self, seconds: float) -> None:
        """End because the time of `--seconds` is over."""
        if self.answered:
            self.end(None)
        else:
            self.fail(unanswered(self._server, f"nothing within {seconds:g} s"))

    def fail(self, sentence: str) -> None:
        """End with an error."""
        self.end(Failure(ClientError(sentence)))

    def end(self, result: Failure | None) -> None:
        """End the stream."""
        if not self._ended.called:
            self._ended.callback(result)


# Sessions


async def ask(
    server: IStreamClientEndpoint,
    clock: IReactorTime,
    core: Core[Any],
    kind: type[T],
    text: str,
    timeout: float,
    late: str,
) -> T:
    """
    Return the answer to what a core asks for once.

    Args:
        kind: of the answer.
        text: the endpoint, as it was given.
        timeout: seconds until it must have come.
        late: a sentence for when it has not.

    Raises:
        ClientError: it is refused, or does not come in time.
    """
    answer: Deferred[T] = Deferred()

    def fail(text: str) -> None:
        if not answer.called:
            answer.errback(ClientError(text))

    handlers: Handlers = {
        kind: lambda found: None if answer.called else answer.callback(found),
        Refused: lambda refused: fail(f"{refused.text} ({refused.code})."),
        Lost: lambda lost: fail(unanswered(text, lost.reason)),
    }
    runner = Runner(server, core, clock, _dispatch(handlers))
    try:
        connected = runner.service.whenConnected(failAfterFailures=1)
        runner.start()
        await connected
        return await within(answer, timeout, clock, late)
    finally:
        answer.addErrback(noop)
        # A ClientService cannot be stopped from its own callback.
        await deferLater(clock, 0)
        await runner.stop()


def reported(watch: StreamReporter, received: Handlers) -> Callable[[object], None]:
    """
    Return the handler of the events of a session that report its connection, too.

    Args:
        received: what is done with what comes.
    """

    def refused(event: Refused) -> None:
        if not watch.answered:  # nothing will come
            watch.fail(f"{event.text} ({event.code}).")
        else:
            watch.refused(f"{event.code} {event.text}")

    handlers: Handlers = {
        Connected: lambda _: watch.connected(),
        Lost: lambda lost: watch.lost(lost.reason),
        Refused: refused,
        Notice: lambda notice: watch.note(notice.text),
        LeftOut: lambda event: watch.note(str(event)),
        **received,
    }
    return _dispatch(handlers)


def _dispatch(handlers: Handlers) -> Callable[[object], None]:
    def handle(event: object) -> None:
        handlers.get(type(event), noop)(event)

    return handle
