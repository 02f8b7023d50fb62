"""What every command that talks to a server has in common."""

import os
import sys
import time
import warnings
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable, Coroutine
from contextlib import suppress
from getpass import GetPassWarning, getpass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorCore,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.task import react
from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.client import Login, server_from_string, why
from mtnet.errors import ClientError

if TYPE_CHECKING:
    Commands = _SubParsersAction[ArgumentParser]

PASSWORD = "MTNET_PASSWORD"
"""The environment variable that spares the prompt; an argument could be read by every user."""
YEAR = 31_536_000.0
"""Seconds; the longest that `follow --seconds` takes."""

Work = Callable[[IStreamClientEndpoint, IReactorTime, Namespace], Coroutine[Any, Any, None]]
"""Is handed the server, the reactor and the arguments; the program ends when it ends."""


# What the command line says


def group(commands: "Commands", name: str, told: str) -> "Commands":
    """Add a word that has commands of its own."""
    group: ArgumentParser = commands.add_parser(name, help=told, description=sentence(told))
    return group.add_subparsers(metavar="COMMAND", required=True)


def add(
    commands: "Commands", name: str, work: Work, server: str, told: str, example: str
) -> ArgumentParser:
    """Add a command that talks to a server."""
    parser: ArgumentParser = commands.add_parser(name, help=told, description=sentence(told))
    parser.epilog = f"Example: {parser.prog} {example}".rstrip()
    parser.add_argument(
        "-s",
        "--server",
        metavar="ENDPOINT",
        default=server,
        help="where the server is: a Twisted client string, or secure:HOST:PORT for TLS "
        "(default %(default)s)",
    )
    parser.add_argument(
        "--ca", metavar="FILE", type=Path, help="who is trusted (default: whom this machine trusts)"
    )
    parser.add_argument(
        "--login", metavar="NAME", help=f"who asks; the password comes from a prompt or {PASSWORD}"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(do=lambda arguments: in_reactor(work, arguments))
    return parser


def sentence(told: str) -> str:
    """Return the words of a help line as a sentence."""
    return f"{told[0].upper()}{told[1:]}."


def seconds(text: str) -> float:
    """
    Read a length of time.

    Raises:
        ArgumentTypeError: it is none above 0, or longer than a year.
    """
    number = float(text)
    if not 0 < number <= YEAR:
        raise ArgumentTypeError(f"{text} is no number of seconds above 0")
    return number


# What is done


def in_reactor(work: Work, arguments: Namespace) -> None:
    """
    Run the reactor until `work` ends, and raise what it raised.

    Raises:
        KeyboardInterrupt: a signal stopped the reactor before.
        ClientError: what `work` raised, or `--server` is no endpoint.
    """
    outcome: list[object] = []

    async def begin(reactor: IReactorTime) -> None:
        server = Server(reactor, arguments.server, arguments.ca)
        await work(server, reactor, arguments)

    def main(reactor: IReactorTime) -> "Deferred[None]":
        # Twisted times its calls by the wall clock: one that is set back by an hour would let a
        # follower that is blind for an hour say nothing.
        reactor.seconds = time.monotonic  # type: ignore[method-assign]
        working = Deferred.fromCoroutine(begin(reactor))

        def interrupt() -> None:
            if not outcome:
                outcome.append(Failure(KeyboardInterrupt()))
                working.cancel()

        IReactorCore(reactor).addSystemEventTrigger("before", "shutdown", interrupt)
        return working.addBoth(outcome.append)

    arguments.account = account(arguments)
    log_warnings()
    with suppress(SystemExit):
        react(main)
    if isinstance(outcome[0], Failure):
        outcome[0].raiseException()


def log_warnings() -> None:
    observer = textFileLogObserver(sys.stderr)
    predicate = LogLevelFilterPredicate(LogLevel.warn)
    filtered = FilteringLogObserver(observer, [predicate])
    globalLogBeginner.beginLoggingTo([filtered], redirectStandardIO=False)


@implementer(IStreamClientEndpoint)
class Server:
    """
    The endpoint of `--server`, which says where there was no connection.

    Args:
        ca: of `--ca`.

    Raises:
        ClientError: `text` is no endpoint.
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


def account(arguments: Namespace) -> Login | None:
    """
    Return who `--login` names, with a password from the environment or a prompt.

    Raises:
        ClientError: there is no password, or it can be none.
    """
    if arguments.login is None:
        return None
    password = os.environ.get(PASSWORD)
    try:
        return Login(arguments.login, _prompted() if password is None else password)
    except (EOFError, GetPassWarning):
        raise ClientError(f"There is no password; {PASSWORD} or a terminal gives one.") from None


def _prompted() -> str:
    """Ask for the password; without a terminal, standard input would be shown and read for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        return getpass()


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
        ClientError: its first attempt to connect failed, or it was never answered.
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
    Tells what comes on stdout, and the state of the connection on stderr.

    A program that was never answered ends with a sentence, for its server is another one than
    it was told of; one that was answered goes on, whatever breaks.

    Args:
        ended: fires when nothing more shall be told, fails when stdout takes no more.
        server: the endpoint, as it was given.

    Attributes:
        answered: whether the server is what it should be.
    """

    def __init__(self, ended: "Deferred[None]", server: str) -> None:
        self._ended, self._server = ended, server
        self._lost = False
        self.answered = False

    def emit(self, print_result: Callable[[], object]) -> None:
        """Call what prints."""
        if self._ended.called:
            return
        try:
            print_result()
        except OSError:
            self.end(Failure())

    def connected(self) -> None:
        """The server has answered as it should."""
        self.answered = True
        self.reconnected()

    def reconnected(self) -> None:
        """Say that the connection is back."""
        if self._lost:
            self._lost = False
            self.note("The connection is back.")

    def lost(self, reason: str) -> None:
        """Say that the connection is lost."""
        if not self.answered:
            self.fail(unanswered(self._server, reason))
        elif not self._ended.called:
            self._lost = True
            self.note(f"The connection is lost ({reason}).")

    def refused(self, text: str) -> None:
        """Say what the server refused; behind some of it nothing else can come."""
        code, _, sentence = text.partition(" ")
        if code in ("login", "port"):
            self.fail(sentence)
        else:
            self.note(text)

    def note(self, sentence: str) -> None:
        """Say something that is no position and no tick."""
        if not self._ended.called:
            print(f"mtnet: {sentence}", file=sys.stderr, flush=True)

    def expire(self, seconds: float) -> None:
        """End in time."""
        if self.answered:
            self.end(None)
        else:
            self.fail(unanswered(self._server, f"nothing within {seconds:g} s"))

    def fail(self, sentence: str) -> None:
        """End with an error."""
        self.end(Failure(ClientError(sentence)))

    def end(self, result: Failure | None) -> None:
        """Tell nothing more."""
        if not self._ended.called:
            self._ended.callback(result)


def unanswered(server: str, reason: str) -> str:
    """Return the sentence for a server that is there, and does not answer as it should."""
    kind, _, rest = server.partition(":")
    hint = f" If that port speaks TLS, it is secure:{rest}." if kind == "tcp" else ""
    return f"{server} never answered as it should ({reason}).{hint}"


def print_result(arguments: Namespace, told: object, sentence: str) -> None:
    text = msgspec.json.encode(told).decode() if arguments.json else sentence
    print(text, flush=True)
