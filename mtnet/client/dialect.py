"""One connection that speaks dialect 2 with a server of signals."""

from collections.abc import Callable
from random import uniform
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet import __version__
from mtnet.client.calls import why
from mtnet.client.login import Login, check_private
from mtnet.errors import ClientError, FrameError, WireError
from mtnet.net.hold import hold
from mtnet.net.redial import FIRST_DELAY, LONGEST_DELAY, Delay, stay_connected
from mtnet.net.transport import Transport
from mtnet.signals import requests
from mtnet.signals.answers import Answer, Heartbeat, Refusal, Welcome, read_answer
from mtnet.signals.dialect import MAX_FRAME, parse
from mtnet.signals.wire import FrameDecoder

BLIND = 12.0
"""Seconds without a byte after which nothing is known of the server: it speaks every five."""
DELAY_FACTOR = 1.6
"""By which delays between attempts grow."""


class Peer:
    """
    What a follower and a publisher have in common: they are told by their connection.

    Attributes:
        name: what the server's status calls it.
        login: who asks; sent over TLS or within this machine alone.
    """

    name: str
    login: Login | None

    def welcomed(self, connection: "Connection", welcome: Welcome) -> None:
        """The server speaks dialect 2."""
        raise NotImplementedError

    def told(self, answer: Answer) -> None:
        """Take what the server says."""
        raise NotImplementedError

    def lost(self, reason: str) -> None:
        """The connection is gone; another one follows."""
        raise NotImplementedError


class Connection(Protocol):
    """Says HELLO, answers heartbeats, and ends when the server is not heard any more."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(self, peer: Peer, clock: IReactorTime, welcomed: Callable[[], None]) -> None:
        self._peer, self._clock, self._on_welcome = peer, clock, welcomed
        self._decoder = FrameDecoder(MAX_FRAME, 2 * MAX_FRAME)
        self._welcomed = False
        self._reason = ""
        self._patience = BLIND
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        hold(self.transport)
        self._wait()
        login = self._peer.login
        try:
            if login is not None:
                check_private(self.transport)
        except ClientError as error:
            self.end(str(error))
            return
        name, password = ("", "") if login is None else (login.name, login.password)
        self.send(requests.hello(name, password, self._peer.name, f"mtnet {__version__}"))

    def dataReceived(self, data: bytes) -> None:
        self._wait()
        try:
            for payload in self._decoder.feed(data):
                self._frame(payload)
        except FrameError as error:
            self.end(f"the server's stream cannot be read: {error}")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._peer.lost(self._reason or why(reason.value))

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self.transport.write(frame)

    def end(self, reason: str) -> None:
        """Break off."""
        self._reason = self._reason or reason
        self.transport.abortConnection()

    def _frame(self, payload: bytes) -> None:
        if self._reason:
            return
        try:
            answer = read_answer(parse(payload))
        except WireError as error:
            # Before WELCOME frames of the published dialect may come; a newer server may say more.
            if self._welcomed and error.code != "verb":
                self.log.warn("A frame of the server is left out: {error}", error=error)
            return
        if isinstance(answer, Welcome):
            self._welcomed = True
            self._on_welcome()
            self._patience = max(BLIND, BLIND / 5.0 * answer.heartbeat)
            self._peer.welcomed(self, answer)
        elif isinstance(answer, Heartbeat):
            self.send(requests.pong())
            self._peer.told(answer)
        elif self._welcomed or isinstance(answer, Refusal):
            self._peer.told(answer)

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(self._patience, self._silent)
        else:
            self._timer.reset(self._patience)

    def _silent(self) -> None:
        self._timer = None
        heard = "nothing was heard" if self._welcomed else "there was no WELCOME"
        self.end(f"{heard} for {self._patience:g} s")


class _ConnectionFactory(Factory):
    """
    Attributes:
        refused: connections since the last one that was welcome.
    """

    noisy = False

    def __init__(self, peer: Peer, clock: IReactorTime) -> None:
        self._peer, self._clock = peer, clock
        self.refused = 0

    def buildProtocol(self, addr: object) -> Connection:
        self.refused += 1
        return Connection(self._peer, self._clock, self._welcomed)

    def _welcomed(self) -> None:
        self.refused = 0


def service(endpoint: IStreamClientEndpoint, peer: Peer, clock: Any) -> ClientService:
    """Return what keeps a peer connected, with delays that grow until it is welcome."""
    factory = _ConnectionFactory(peer, clock)
    return stay_connected(endpoint, factory, clock, lambda: factory.refused, _delay)


def _delay(attempt: int) -> float:
    """Spread the crowd of followers over half of the delay, not over one second."""
    return _LONGEST(attempt) * uniform(0.5, 1.0)


_LONGEST: Delay = backoffPolicy(FIRST_DELAY, LONGEST_DELAY, factor=DELAY_FACTOR, jitter=lambda: 0.0)
