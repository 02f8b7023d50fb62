"""Subscribe to ticks of a server."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from mtnet.client.failures import why
from mtnet.client.login import Login, check_private
from mtnet.errors import ClientError, WireError, quote
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport
from mtnet.services.ticks.feed import EVERYTHING
from mtnet.services.ticks.wire import ABSENT, MAX_RECORD, encode_symbol, pad, parse

MAX_LINE = 16_384
"""Bytes of a line from the server: its answer repeats the requested symbols."""
ANSWER_TIMEOUT = 12.0
"""Seconds until a server must have answered SUBSCRIBE; later it may be silent for days."""

_TICK = re.compile(rb"TICK: (.+) ([0-9]{1,15})(?: ~([0-9]{1,12}))?")


class Tick(NamedTuple):
    """
    A tick; numbers are text with the digits that were sent, and None is absent.

    Attributes:
        symbol: as on the wire: `UK%20100` is UK 100.
        bid, ask, last, volume: as sent.
        time: `MqlTick.time_msc`, in the terminal's own clock.
        flags: those of MqlTick.
        received: when the server took it, milliseconds since the Unix epoch, UTC.
        skipped: older ticks of the symbol that were left out because this reader was slow.
    """

    symbol: str
    bid: str | None
    ask: str | None
    last: str | None
    volume: str | None
    time: int | None
    flags: int | None
    received: int
    skipped: int


def subscribe(
    endpoint: IStreamClientEndpoint,
    symbols: Iterable[str],
    on_tick: Callable[[Tick], object],
    clock: IReactorTime,
    *,
    on_connected: Callable[[], object] = lambda: None,
    on_lost: Callable[[str], object] = lambda reason: None,
    on_error: Callable[[str], object] = lambda sentence: None,
    login: Login | None = None,
) -> ClientService:
    """
    Return a service that receives ticks from a server, and reconnects when it must.

    Start it with `startService()`; `whenConnected(failAfterFailures=1)`, called before, shows
    whether the first attempt succeeded.

    Args:
        symbols: `UK 100` or, as on the wire, `UK%20100`; `*` is all of them.
        on_tick: called with the last tick of each symbol after each connection, and then with
            every one.
        on_connected: called when the server has accepted the subscription, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code such as `login`, and a sentence, when the server refuses;
            `port` = something else than a tick port.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: one of the symbols is too long for one.
    """
    asked = list(_commands([EVERYTHING if each == "*" else wire_symbol(each) for each in symbols]))
    factory = _TickFactory(asked, login, clock, on_tick, on_connected, on_lost, on_error)
    return stay_connected(endpoint, factory, clock)


class _TickProtocol(LineReceiver):
    """Reads ticks until the connection ends."""

    log = Logger()
    factory: "_TickFactory"
    transport: Transport  # type: ignore[assignment]
    MAX_LENGTH = MAX_LINE

    def __init__(self) -> None:
        self._taken, self._reason = False, ""
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        if self._logged_in():
            self._timer = self.factory.clock.callLater(ANSWER_TIMEOUT, self._silent)
            for command in self.factory.asked:
                self.sendLine(command)

    def lineReceived(self, line: bytes) -> None:
        if line.startswith(b"ERR: "):
            self._answered()
            self.factory.on_error(line[5:].decode("utf-8", "replace"))
        elif line.startswith(b"TICK: "):
            self._tick(line)
        elif line.startswith(b"OK: SUBSCRIBED "):
            self._answered()
            if not self._taken:
                self._taken = True
                self.factory.on_connected()
        elif not line.startswith(b"OK: "):
            # A server that echoes its input would be quoted with the password.
            quoted = quote(line) if self.factory.login is None else "not quoted"
            self.factory.on_error(f"port The server is not a tick port: {quoted}")
            self.clearLineBuffer()
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._answered()
        self.factory.on_lost(self._reason or why(reason.value))

    def _answered(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _silent(self) -> None:
        self._reason = f"there was no answer for {ANSWER_TIMEOUT:g} s"
        self.transport.abortConnection()

    def _logged_in(self) -> bool:
        if self.factory.login is None:
            return True
        try:
            check_private(self.transport)
        except ClientError as error:
            self.factory.on_error(f"login {error}")
            self.transport.abortConnection()
            return False
        self.sendLine(self.factory.login.line)
        return True

    def _tick(self, line: bytes) -> None:
        found = _TICK.fullmatch(line)
        try:
            if found is None:
                raise WireError("tick", "A TICK: line is expected, not", line)
            symbol, rest = parse(found[1], {})
        except WireError as error:
            self.log.warn("A line of the server is left out: {error}", error=error)
            return
        fields = [None if each == ABSENT else each.decode() for each in pad(rest)]
        bid, ask, last, volume, time, flags = fields
        moment = None if time is None else int(time)
        changed = None if flags is None else int(flags)
        received, skipped = int(found[2]), int(found[3] or 0)
        self.factory.on_tick(
            Tick(symbol.decode(), bid, ask, last, volume, moment, changed, received, skipped)
        )


@dataclass(eq=False)
class _TickFactory(Factory):
    """Holds what the connections of one subscriber share."""

    asked: list[bytes]
    login: Login | None
    clock: IReactorTime
    on_tick: Callable[[Tick], object]
    on_connected: Callable[[], object]
    on_lost: Callable[[str], object]
    on_error: Callable[[str], object]

    noisy = False
    protocol = _TickProtocol  # type: ignore[assignment]


def _commands(symbols: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines that ask for symbols; a server reads none that is longer."""
    line = b"SUBSCRIBE:"
    for symbol in symbols:
        if len(line) + 1 + len(symbol) > MAX_RECORD:
            yield line
            line = b"SUBSCRIBE:"
        line += b" " + symbol
    yield line


def wire_symbol(symbol: str) -> bytes:
    """
    Return the wire's name of a symbol.

    Raises:
        ClientError: it is too long, or no text at all.
    """
    try:
        return encode_symbol(symbol)
    except (WireError, UnicodeEncodeError) as error:
        raise ClientError(f"Invalid symbol {symbol!r}: {error}.") from error
