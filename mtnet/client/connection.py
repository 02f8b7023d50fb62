"""Runs the state machine of a client over connections of Twisted, kept alive and reconnected."""

from collections.abc import Callable, Iterable
from typing import Any, Generic, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.client.core.framing import FrameFraming, Framing
from mtnet.client.core.session import Session
from mtnet.client.failures import monotonic, sentence, why
from mtnet.client.login import clear_peer
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport

SOONEST = 1e-6
"""Seconds until a timer that fired before its deadline fires again: sums of floats differ."""
E = TypeVar("E", covariant=True)
H = TypeVar("H")


class Core(Protocol[E]):
    """A client's state machine, as of `mtnet.client.core`."""

    session: Session

    @property
    def deadline(self) -> float | None: ...

    def begin(self, framing: Framing, when: float, clear_peer: str = "") -> Iterable[E]: ...

    def receive(self, data: bytes, when: float) -> Iterable[E]: ...

    def expire(self, when: float) -> Iterable[E]: ...

    def lose(self, reason: str) -> Iterable[E]: ...

    def unreachable(self, text: str) -> Iterable[E]: ...


class Runner(Generic[H]):
    """
    Event loop adapter: carries the bytes, the deadlines and the events of a core.

    Args:
        handle: takes each event; an exception of it ends the connection.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        core: Core[H],
        clock: Any,
        handle: Callable[[H], object],
    ) -> None:
        self._core, self._clock, self._handle = core, clock, handle
        self._transport: Transport | None = None
        self._timer: IDelayedCall | None = None
        self._planned = 0.0
        self._service = stay_connected(
            _ObservedEndpoint(endpoint, self._failed),
            _Factory(self),
            clock,
            delay=core.session.delay,
        )

    def start(self) -> None:
        """Begin to connect."""
        self._service.startService()

    def stop(self) -> "Deferred[None]":
        """Disconnect; fires when the connection is closed."""
        self._flush()
        return self._service.stopService()

    def when_connected(self, fail_after: int | None) -> "Deferred[IProtocol]":
        """As `whenConnected` of `ClientService`."""
        return self._service.whenConnected(fail_after)

    def run(self, events: Iterable[H] = ()) -> None:
        """Handle events, and send what waits."""
        try:
            for event in events:
                self._handle(event)
        finally:
            self._flush()
            self._plan()

    # Events of the connection

    def connected(self, transport: Transport) -> None:
        """Begin on a new connection."""
        configure_keepalive(transport)
        self._transport = transport
        self.run(self._core.begin(FrameFraming(), monotonic(self._clock), clear_peer(transport)))

    def received(self, data: bytes) -> None:
        """Take bytes."""
        self.run(self._core.receive(data, monotonic(self._clock)))

    def lost(self, reason: str) -> None:
        """Note the end of the connection; the next attempt follows."""
        self._transport = None
        self.run(self._core.lose(reason))

    def _failed(self, error: BaseException | None) -> None:
        self.run(self._core.unreachable(sentence(error)))

    def _flush(self) -> None:
        if self._transport is None:
            return
        data = self._core.session.data_to_send()
        if data:
            self._transport.write(data)
        if self._core.session.ending:
            transport, self._transport = self._transport, None
            transport.abortConnection()

    # The timer

    def _plan(self) -> None:
        deadline = self._core.deadline
        if self._timer is not None:
            if deadline is not None and self._planned <= deadline:
                return  # it fires early, and is made again then: most deadlines move with each read
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            left, self._planned = deadline - monotonic(self._clock), deadline
            delay = max(left, SOONEST) if left > 0 else 0
            self._timer = self._clock.callLater(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self.run(self._core.expire(monotonic(self._clock)))


class _Connection(TwistedProtocol):
    """One connection, which knows its runner alone."""

    transport: Transport  # type: ignore[assignment]

    def __init__(self, runner: Runner[Any]) -> None:
        self._runner = runner

    def connectionMade(self) -> None:
        self._runner.connected(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._runner.received(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._runner.lost(why(reason.value))


class _Factory(Factory):
    noisy = False

    def __init__(self, runner: Runner[Any]) -> None:
        self._runner = runner

    def buildProtocol(self, addr: object) -> _Connection:
        return _Connection(self._runner)


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
