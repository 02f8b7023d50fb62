"""The client side of dialect 2: one connection, kept alive and reconnected."""

from collections.abc import Callable, Mapping
from random import uniform
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet import __version__
from mtnet.client.failures import why
from mtnet.client.login import Login, check_private
from mtnet.errors import ClientError, FrameError, WireError
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import FIRST_DELAY, LONGEST_DELAY, Delay, stay_connected
from mtnet.net.transport import Transport
from mtnet.services.signals import wire
from mtnet.services.signals.wire import Answer, read_answer
from mtnet.session import messages
from mtnet.session.grammar import MAX_FRAME, FrameDecoder, parse, salvage
from mtnet.session.messages import Error, Welcome

SILENCE_LIMIT = 12.0
"""Seconds without a byte after which the server counts as gone: it sends one every five."""
DELAY_FACTOR = 1.6
"""Factor of the exponential back-off between attempts."""
STABLE_AFTER = 30.0
"""Seconds after WELCOME until a connection counts as a success, if nothing else shows it earlier:
as long as the longest delay, so that a client never connects more often than that."""
TAKEOVER_DELAY = 600.0
"""Seconds of delay after the ERROR `sessions`: two programs of one account must not disconnect each
other in turns."""

STATE_VERBS = frozenset({"SIGNAL", "SNAPSHOT", "POSITION", "SYNCED"})
"""A client that skipped one of these would hold a wrong state, so it disconnects instead."""


class DialectClient:
    """
    Base of `Follower` and `Publisher`: receives the events of its connection.

    Attributes:
        name: shown in the server's status.
        login: sent only over TLS or within this machine.
        stopped: no event follows, not even of bytes that were read before.
    """

    name: str
    login: Login | None
    stopped = False

    def welcomed(self, connection: "Connection", welcome: Welcome) -> None:
        """Handle WELCOME, on each connection."""
        raise NotImplementedError

    def answered(self, answer: Answer) -> None:
        """Handle a message of the server."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """Handle the loss of the connection; the next attempt follows."""
        raise NotImplementedError


class Connection(Protocol):
    """Sends HELLO, answers heartbeats, and disconnects when the server falls silent."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(
        self, client: DialectClient, clock: IReactorTime, factory: "_ConnectionFactory"
    ) -> None:
        self._client, self._clock, self._factory = client, clock, factory
        self._decoder = FrameDecoder(MAX_FRAME, 2 * MAX_FRAME)
        self._welcomed = False
        self._reason = ""
        self._silence_limit = SILENCE_LIMIT
        self._timer: IDelayedCall | None = None
        self._stability_timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        self._restart_timer()
        login = self._client.login
        try:
            if login is not None:
                check_private(self.transport)
        except ClientError as error:
            self.end(str(error))
            return
        name, password = ("", "") if login is None else (login.name, login.password)
        self.send(messages.hello(name, password, self._client.name, f"mtnet {__version__}"))

    def dataReceived(self, data: bytes) -> None:
        self._restart_timer()
        try:
            for payload in self._decoder.feed(data):
                self._frame(payload)
        except FrameError as error:
            self.end(f"the server's stream cannot be read: {error}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        for timer in (self._timer, self._stability_timer):
            if timer is not None:
                timer.cancel()
        self._timer = self._stability_timer = None
        self._client.lost(self._reason or why(reason.value))

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self.transport.write(frame)

    def end(self, reason: str) -> None:
        """Disconnect; the first reason is the one that is reported."""
        self._reason = self._reason or reason
        self.transport.abortConnection()

    def succeeded(self) -> None:
        """Reset the back-off: the server did what it was asked for."""
        if not self._reason:
            self._factory.succeeded()

    def _proved_stable(self) -> None:
        self._stability_timer = None
        self.succeeded()

    def _frame(self, payload: bytes) -> None:
        # Frames of the same read are dropped after a disconnect by either side.
        if self._reason or self._client.stopped:
            return
        try:
            answer = read_answer(parse(payload))
        except WireError as error:
            # Classic frames may come before WELCOME; a newer server may have more verbs.
            if self._welcomed and error.code != "verb":
                self._skip(salvage(payload).verb, error)
            return
        handle = _HANDLERS.get(type(answer))
        if handle is not None:
            handle(self, answer)
        elif self._welcomed:
            self._client.answered(answer)

    def _take_welcome(self, welcome: Welcome) -> None:
        self._welcomed = True
        if self._stability_timer is None:
            self._stability_timer = self._clock.callLater(STABLE_AFTER, self._proved_stable)
        self._silence_limit = max(SILENCE_LIMIT, SILENCE_LIMIT / 5.0 * welcome.heartbeat)
        self._client.welcomed(self, welcome)

    def _take_heartbeat(self, heartbeat: wire.Heartbeat) -> None:
        self.send(messages.pong())
        self._client.answered(heartbeat)

    def _take_error(self, error: Error) -> None:
        self._factory.refused(error.code)
        self._client.answered(error)

    def _skip(self, verb: str, error: WireError) -> None:
        if verb in STATE_VERBS:
            self.end(f"a frame of the server cannot be read: {error}")
        else:
            self.log.warn("A frame of the server is left out: {error}", error=error)

    def _restart_timer(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(self._silence_limit, self._timed_out)
        else:
            self._timer.reset(self._silence_limit)

    def _timed_out(self) -> None:
        self._timer = None
        what = "nothing was received" if self._welcomed else "there was no WELCOME"
        self.end(f"{what} for {self._silence_limit:g} s")


_HANDLERS: Mapping[type, Callable[[Connection, Any], None]] = {
    wire.Welcome: Connection._take_welcome,
    wire.Heartbeat: Connection._take_heartbeat,
    Error: Connection._take_error,
}


class _ConnectionFactory(Factory):
    """Builds connections, and counts failed attempts for the back-off."""

    noisy = False

    def __init__(self, client: DialectClient, clock: IReactorTime) -> None:
        self._client, self._clock = client, clock
        self._failed_attempts = 0
        self._taken_over = False

    def buildProtocol(self, addr: object) -> Connection:
        self._failed_attempts += 1
        self._taken_over = False
        return Connection(self._client, self._clock, self)

    def succeeded(self) -> None:
        """Reset the back-off."""
        self._failed_attempts = 0

    def refused(self, code: str) -> None:
        """Note the code of an ERROR."""
        self._taken_over = self._taken_over or code == "sessions"

    def failed_attempts(self) -> int:
        """Return the number of attempts since the last success."""
        return self._failed_attempts

    def delay(self, attempt: int) -> float:
        """Return seconds until the next attempt."""
        if not self._taken_over:
            return backoff(attempt)
        self._taken_over = False
        return TAKEOVER_DELAY * uniform(1.0, 1.1)


def dialect_service(
    endpoint: IStreamClientEndpoint, client: DialectClient, clock: Any
) -> ClientService:
    """Return the service that keeps a client connected, with exponential back-off."""
    factory = _ConnectionFactory(client, clock)
    return stay_connected(endpoint, factory, clock, factory.failed_attempts, factory.delay)


def backoff(attempt: int) -> float:
    """Return seconds that grow with each attempt, with jitter so that clients spread out."""
    return _longest_delay(attempt) * uniform(0.5, 1.0)


_longest_delay: Delay = backoffPolicy(
    FIRST_DELAY, LONGEST_DELAY, factor=DELAY_FACTOR, jitter=lambda: 0.0
)
