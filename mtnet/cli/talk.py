"""`mtnet signals` and `mtnet templates`: what talks to a server, here or elsewhere."""

import sys
import time
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Callable, Coroutine
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
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

from mtnet.cli.manage import table
from mtnet.client import Templates, follow, publish, why
from mtnet.errors import ClientError

if TYPE_CHECKING:
    Commands = _SubParsersAction[ArgumentParser]

SIGNALS, TEMPLATES = "tcp:127.0.0.1:8081", "tcp:127.0.0.1:8080"
"""The servers that are asked when none is named: the daemon's defaults."""
YEAR = 31_536_000.0
"""Seconds; the longest that `follow --seconds` takes."""

Work = Callable[[IStreamClientEndpoint, IReactorTime, Namespace], Coroutine[Any, Any, None]]
"""Is handed the server, the reactor and the arguments; the program ends when it ends."""


# What the command line says


def register(commands: "Commands") -> None:
    """Add `mtnet signals` and `mtnet templates`."""
    signals = group(commands, "signals", "publish and follow positions")
    _publish_parser(signals)
    _follow_parser(signals)
    templates = group(commands, "templates", "list, fetch and store templates")
    add(templates, "list", list_templates, TEMPLATES, "list what is stored", "")
    _get_parser(templates)
    _put_parser(templates)


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
        help="where the server is, as a Twisted client string (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(do=lambda arguments: _in_reactor(work, arguments))
    return parser


def sentence(told: str) -> str:
    """Return the words of a help line as a sentence."""
    return f"{told[0].upper()}{told[1:]}."


def _publish_parser(commands: "Commands") -> None:
    told = "set the net position of a symbol and wait until it is stored"
    parser = add(commands, "publish", publish_signal, SIGNALS, told, "GBPUSD -0.25")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument(
        "volume", metavar="VOLUME", help="lots; negative = sold, 0 = flat, for example -0.25"
    )


def _follow_parser(commands: "Commands") -> None:
    told = "print positions as they come, until Ctrl-C"
    parser = add(commands, "follow", follow_signals, SIGNALS, told, "--seconds 60 --json")
    parser.add_argument("--seconds", metavar="N", type=seconds, help="stop after so long")


def _get_parser(commands: "Commands") -> None:
    told = "fetch a template, to standard output or into a file"
    parser = add(commands, "get", get_template, TEMPLATES, told, "GBPUSD H1 -o GBPUSD_H1.tpl")
    parser.add_argument("symbol", metavar="SYMBOL")
    parser.add_argument("period", metavar="PERIOD", help="a name such as H1, or its code")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="where it is written")
    parser.add_argument("--version", metavar="N", type=int, help="an older version")
    parser.add_argument("--platform", choices=("mt4", "mt5"), help="default: the newest of either")


def _put_parser(commands: "Commands") -> None:
    told = "store a template"
    parser = add(commands, "put", put_template, TEMPLATES, told, "GBPUSD_H1.tpl")
    parser.add_argument("file", metavar="FILE", type=Path)
    parser.add_argument(
        "symbol", metavar="SYMBOL", nargs="?", help="default: from FILE named SYMBOL_PERIOD.tpl"
    )
    parser.add_argument("period", metavar="PERIOD", nargs="?")


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


async def publish_signal(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Publish one position."""
    await publish(server, arguments.symbol, arguments.volume, clock)
    told = {"symbol": arguments.symbol, "volume": arguments.volume}
    _say(arguments, told, f"Stored: {arguments.symbol} {arguments.volume}")


async def follow_signals(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Print positions until the time is over or nobody reads them."""
    ended: Deferred[None] = Deferred()
    watch = Watch(ended)
    service = follow(
        server,
        lambda symbol, volume: watch.tell(lambda: _say_position(arguments, symbol, volume)),
        clock,
        on_connected=watch.connected,
        on_lost=watch.lost,
    )
    await attend(service, ended, watch, clock, arguments.seconds)


async def attend(
    service: ClientService,
    ended: "Deferred[None]",
    watch: "Watch",
    clock: IReactorTime,
    seconds: float | None,
) -> None:
    """
    Run a service until `ended` fires, or `seconds` are over.

    Raises:
        ClientError: its first attempt to connect failed.
    """
    connected = service.whenConnected(failAfterFailures=1)
    service.startService()
    await connected
    if seconds is not None:
        clock.callLater(seconds, watch.end, None)
    await ended
    await service.stopService()


async def list_templates(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Print what is stored."""
    found = await Templates(server, clock).list()
    rows = [{**row, "stored": _date(row.get("stored"))} for row in found]
    shown = [{key: row.get(key, "") for key in SHOWN} for row in rows]
    _say(arguments, found, "\n".join(table(shown)) if shown else "No template is stored.")


async def get_template(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Fetch one template."""
    if arguments.json and arguments.output is None:
        raise ClientError("--json describes the file that is written; name one with -o FILE.")
    asked = (arguments.symbol, arguments.period, arguments.version, arguments.platform)
    content = await Templates(server, clock).get(*asked)
    if arguments.output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    _write(arguments.output, content)
    told = {"file": str(arguments.output), "size": len(content)}
    _say(arguments, told, f"{arguments.output}: {len(content)} bytes")


async def put_template(
    server: IStreamClientEndpoint, clock: IReactorTime, arguments: Namespace
) -> None:
    """Store one template."""
    symbol, period = _named(arguments)
    stored = await Templates(server, clock).put(symbol, period, _read(arguments.file))
    place = " ".join(str(stored.get(key, "")) for key in ("symbol", "period", "platform"))
    _say(arguments, stored, f"Stored: {place}, version {stored.get('version', '?')}")


SHOWN = ("symbol", "period", "platform", "version", "size", "stored")
"""The columns of `templates list`."""


class Watch:
    """
    Tells what comes on stdout, and the state of the connection on stderr.

    Args:
        ended: fires when nothing more shall be told, fails when stdout takes no more.
    """

    def __init__(self, ended: "Deferred[None]") -> None:
        self._ended = ended
        self._lost = False

    def tell(self, say: Callable[[], object]) -> None:
        """Call what prints."""
        try:
            say()
        except OSError:
            self.end(Failure())

    def connected(self) -> None:
        """Say that the connection is back."""
        if self._lost:
            print("mtnet: The connection is back.", file=sys.stderr, flush=True)

    def lost(self, reason: str) -> None:
        """Say that the connection is lost."""
        if not self._ended.called:
            self._lost = True
            print(f"mtnet: The connection is lost ({reason}).", file=sys.stderr, flush=True)

    def end(self, result: Failure | None) -> None:
        """Tell nothing more."""
        if not self._ended.called:
            self._ended.callback(result)


def _in_reactor(work: Work, arguments: Namespace) -> None:
    """
    Run the reactor until `work` ends, and raise what it raised.

    Raises:
        KeyboardInterrupt: a signal stopped the reactor before.
        ClientError: what `work` raised, or `--server` is no endpoint.
    """
    outcome: list[object] = []

    async def begin(reactor: IReactorTime) -> None:
        await work(Server(reactor, arguments.server), reactor, arguments)

    def main(reactor: IReactorTime) -> "Deferred[None]":
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


def log_warnings() -> None:
    observer = textFileLogObserver(sys.stderr)
    predicate = LogLevelFilterPredicate(LogLevel.warn)
    warnings = FilteringLogObserver(observer, [predicate])
    globalLogBeginner.beginLoggingTo([warnings], redirectStandardIO=False)


@implementer(IStreamClientEndpoint)
class Server:
    """
    The endpoint of `--server`, which says where there was no connection.

    Raises:
        ClientError: `text` is no endpoint.
    """

    def __init__(self, reactor: IReactorTime, text: str) -> None:
        self._text = text
        self._endpoint = _endpoint(reactor, text)

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect, or fail with the sentence for it."""
        return self._endpoint.connect(factory).addErrback(self._explain)

    def _explain(self, failure: Failure) -> NoReturn:
        reason = why(failure.value)
        raise ClientError(f"No connection to {self._text}: {reason}.") from failure.value


def _endpoint(reactor: IReactorTime, text: str) -> IStreamClientEndpoint:
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, text)
        return endpoint
    except (ValueError, TypeError, IndexError, KeyError) as error:
        raise ClientError(
            f"--server {text} is no endpoint ({error}); {SIGNALS} would be one."
        ) from error


def _say(arguments: Namespace, told: object, sentence: str) -> None:
    text = msgspec.json.encode(told).decode() if arguments.json else sentence
    print(text, flush=True)


def _say_position(arguments: Namespace, symbol: str, volume: Decimal) -> None:
    text = f"{volume or Decimal('0.00'):f}"
    told = {"symbol": symbol, "volume": text, "time": time.time_ns() // 1_000_000}
    _say(arguments, told, f"{symbol} {text}")


def _named(arguments: Namespace) -> tuple[str, str]:
    if arguments.period is not None:
        return arguments.symbol, arguments.period
    symbol, _, period = arguments.file.stem.rpartition("_")
    if arguments.symbol is not None or not (symbol and period):
        raise ClientError(
            f"{arguments.file} is not named SYMBOL_PERIOD.tpl; say SYMBOL and PERIOD behind it."
        )
    return symbol, period


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ClientError(f"{file} cannot be read: {error.strerror}.") from error


def _write(file: Path, content: bytes) -> None:
    try:
        file.write_bytes(content)
    except OSError as error:
        raise ClientError(f"{file} cannot be written: {error.strerror}.") from error


def _date(milliseconds: object) -> str:
    if not isinstance(milliseconds, int):
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))
