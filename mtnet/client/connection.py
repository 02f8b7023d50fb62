"""Runs the state machine of a client over connections of Twisted, kept alive and reconnected."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.callbacks import noop
from mtnet.client.core.address import Address
from mtnet.client.core.driver import Core, Driver
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused, Unreachable
from mtnet.client.core.websocket import session_framing
from mtnet.client.failures import log, monotonic, sentence, warn, why
from mtnet.client.login import clear_peer
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport

E = TypeVar("E")


class Runner(Generic[E]):
    """
    Reconnecting client of Twisted: runs a core over one connection after the other.

    Args:
        clock: the reactor.
        handle: takes each event; an exception of it ends the connection.
        framing: makes the codec of a connection; of one over WebSocket it is given the address.
        speaks_http: whether the session is about signals alone, which can go over HTTP.

    Attributes:
        service: connects, and connects again.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        core: Core[E],
        clock: Any,
        handle: Callable[[E], object],
        framing: Callable[[Address | None], Any] = session_framing,
        speaks_http: bool = False,
    ) -> None:
        self._driver = Driver(core, ReactorClock(clock), handle)
        self.service: ClientService = stay_connected(
            _ObservedEndpoint(endpoint, self._failed),
            _Factory(self._driver, framing, speaks_http),
            clock,
            delay=self._driver.delay,
        )

    def run(self, events: Iterable[E] = ()) -> None:
        """Handle events, and send what waits."""
        self._driver.run(events)

    def start(self) -> None:
        """Begin to connect."""
        self.service.startService()

    def stop(self) -> "Deferred[None]":
        """Send what waits, and disconnect; fires when the connection is closed."""
        self._driver.run()
        return self.service.stopService()

    def when_connected(self, fail_after: int | None) -> "Deferred[IProtocol]":
        """As `whenConnected` of `ClientService`."""
        return self.service.whenConnected(fail_after)

    def _failed(self, error: BaseException | None) -> None:
        self._driver.failed(sentence(error))


class ReactorClock:
    """The reactor as the clock of a client."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def now(self) -> float:
        """Return seconds of a clock that is never set."""
        return monotonic(self._reactor)

    def call_later(self, delay: float, call: Callable[[], object]) -> IDelayedCall:
        """Call after so many seconds."""
        timer: IDelayedCall = self._reactor.callLater(delay, call)
        return timer


class _Connection(Protocol):
    """
    One connection, which knows its driver alone.

    Attributes:
        speaks_http: whether its frames can go over HTTP.
    """

    transport: Transport  # type: ignore[assignment]

    def __init__(
        self, driver: Driver[Any], framing: Callable[[Address | None], Any], speaks_http: bool
    ) -> None:
        self._driver, self._framing, self.speaks_http = driver, framing, speaks_http
        self._address: Address | None = None

    def use_websocket(self, address: Address) -> None:
        """Speak WebSocket; called before the connection is made."""
        self._address = address

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self._driver.connected(self, self._framing(self._address), clear_peer(self.transport))

    def dataReceived(self, data: bytes) -> None:
        self._driver.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._driver.lost(why(reason.value))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)

    def abort(self) -> None:
        """Disconnect at once."""
        self.transport.abortConnection()


class _Factory(Factory):
    noisy = False

    def __init__(
        self, driver: Driver[Any], framing: Callable[[Address | None], Any], speaks_http: bool
    ) -> None:
        self._driver, self._framing, self._speaks_http = driver, framing, speaks_http

    def buildProtocol(self, addr: object) -> _Connection:
        return _Connection(self._driver, self._framing, self._speaks_http)


@implementer(IStreamClientEndpoint)
class _ObservedEndpoint:
    """Reports each attempt that fails."""

    def __init__(
        self, endpoint: IStreamClientEndpoint, failed: Callable[[BaseException | None], object]
    ) -> None:
        self._endpoint, self._failed = endpoint, failed

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect, as the endpoint does."""
        return self._endpoint.connect(factory).addErrback(self._observe)

    def _observe(self, failure: Failure) -> Failure:
        if not failure.check(CancelledError):
            self._failed(failure.value)
        return failure


def subscription(
    endpoint: IStreamClientEndpoint,
    core: Core[Any],
    clock: IReactorTime,
    received: Mapping[Any, Callable[[Any], object]],
    on_connected: Callable[[], object],
    on_lost: Callable[[str], object],
    on_error: Callable[[str, str], object],
) -> ClientService:
    """
    Return a service that receives something in a session, and reconnects when it must.

    Args:
        received: callbacks by the type of what is received.
        on_connected: called when the server has answered, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code, such as `login` or `denied`, and a sentence.
    """
    callbacks: dict[type, Callable[[Any], object]] = {
        Connected: lambda _: on_connected(),
        Lost: lambda lost: on_lost(lost.reason),
        Refused: lambda refused: on_error(refused.code, refused.text),
        LeftOut: lambda left_out: log.warn("{event}", event=left_out),
        Notice: lambda notice: warn(notice.text),
        Unreachable: noop,
        **received,
    }

    def handle(event: Any) -> None:
        callbacks[type(event)](event)

    return Runner(endpoint, core, clock, handle).service
