"""The classic dialect: net positions, followed."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.client.failures import why
from mtnet.errors import FrameError, WireError
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport
from mtnet.session.classic import parse_position
from mtnet.session.grammar import FrameDecoder


def follow(
    endpoint: IStreamClientEndpoint,
    on_position: Callable[[str, Decimal], object],
    clock: IReactorTime,
    *,
    on_connected: Callable[[], object] = lambda: None,
    on_lost: Callable[[str], object] = lambda reason: None,
    codepage: str = "cp1252",
) -> ClientService:
    """
    Return a service that follows the positions of a server and connects again when it must.

    Start it with `startService()`; `whenConnected(failAfterFailures=1)`, called before, shows
    whether the first attempt succeeded.

    Args:
        on_position: called with a symbol and its net position in lots: for every symbol after
            each connection, and later at changes; a position may be repeated.
        on_connected: called after each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        codepage: of symbols that are not UTF-8.
    """
    factory = _FollowFactory(on_position, on_connected, on_lost, codepage)
    return stay_connected(endpoint, factory, clock)


class _FollowProtocol(Protocol):
    """Reads positions until the connection ends."""

    log = Logger()
    factory: "_FollowFactory"
    transport: Transport  # type: ignore[assignment]

    def __init__(self) -> None:
        self._decoder = FrameDecoder()

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self.factory.on_connected()

    def dataReceived(self, data: bytes) -> None:
        try:
            for payload in self._decoder.feed(data):
                self._position(payload)
        except FrameError as error:
            self.log.warn("The server's stream cannot be read: {error}", error=error)
            self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.factory.on_lost(why(reason.value))

    def _position(self, payload: bytes) -> None:
        try:
            symbol, volume = parse_position(payload, self.factory.codepage)
        except WireError as error:
            self.log.warn("A frame of the server is left out: {error}", error=error)
        else:
            self.factory.on_position(symbol, volume)


@dataclass(eq=False)
class _FollowFactory(Factory):
    """Holds what the connections of one follower share."""

    on_position: Callable[[str, Decimal], object]
    on_connected: Callable[[], object]
    on_lost: Callable[[str], object]
    codepage: str

    noisy = False
    protocol = _FollowProtocol  # type: ignore[assignment]
