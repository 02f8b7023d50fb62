"""
WebSocket connections below `/ws`: what all have, and the road of a session.

A client that floods is read in slices and at a limited rate, as on the other ports.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from wsproto.frame_protocol import CloseReason, Opcode
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.daemon.environment import Environment
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.output.queue import Encoder
from mtnet.net.peer import Peer, abort_on_error
from mtnet.net.throttle import ReadRateLimit
from mtnet.net.transport import StreamTransport
from mtnet.session import grammar, json, messages
from mtnet.session.road import Form
from mtnet.session.session import Session, SessionFactory
from mtnet.session.websocket import (
    MessageReader,
    Upgrade,
    close_frame,
    deflated_frame,
    frame,
    text_frame,
)

SLICE = 4_096
"""Bytes that are read before it is seen whether the client must wait: 700 of the smallest frames,
some 7 ms."""
IDLE = 20.0
"""Seconds between two pings to a client that uses no service, or is a page that only looks on: what
lies between forgets a silent connection after a minute or more."""
KEPT = 2_048
"""Messages that are kept encoded, some 400 bytes each: followers that come back one behind the
other have missed nearly the same, of which a channel keeps 1,000 entries in memory."""
LONGEST_KEPT = 1_024
"""Bytes of a message that is kept: the status of many followers has 30,000, and comes once."""
PING = frame(Opcode.PING, b"")
CLOSE_CODES = {
    "": CloseReason.NORMAL_CLOSURE,
    "evicted": CloseReason.GOING_AWAY,
    "timeout": CloseReason.GOING_AWAY,
    "slow": CloseReason.TRY_AGAIN_LATER,
    "server": CloseReason.INTERNAL_ERROR,
}
"""The code of the close frame behind an ERROR with some codes; of all others: policy violation."""


@lru_cache(KEPT)
def _json_frame(payload: bytes) -> bytes:
    return text_frame(json.encode(grammar.parse(payload)))


@lru_cache(KEPT)
def _deflated_json_frame(payload: bytes) -> bytes:
    return deflated_frame(json.encode(grammar.parse(payload)))


def _json_frames(frames: bytes) -> bytes:
    """Return the WebSocket frames of some frames of the dialect."""
    return b"".join(_each(_json_frame, frames))


def _deflated_json_frames(frames: bytes) -> bytes:
    """Return the same, compressed where that makes them shorter."""
    return b"".join(_each(_deflated_json_frame, frames))


def _each(kept: Any, frames: bytes) -> Iterator[bytes]:
    """Yield each frame as `kept` makes it; it keeps short ones alone."""
    for payload in grammar.payloads(frames):
        yield (kept if len(payload) <= LONGEST_KEPT else kept.__wrapped__)(payload)


def _form(encoder: Encoder, browser: bool) -> Form:
    return Form(
        lambda data, _: json.parse(data),
        json.salvage,
        json.is_login,
        encoder,
        browser,
        PING,
        IDLE,
    )


FORMS = _form(_json_frames, False), _form(_deflated_json_frames, True)
"""Of a session over WebSocket: one JSON object a message, for programs, and deflated for pages."""


@implementer(IHalfCloseableProtocol)
class WebSocketConnection(Protocol):
    """
    One WebSocket connection: reads messages in slices, at the rate of `signals.frames`.

    Args:
        upgrade: its opening handshake, which is not answered yet.
        limit: bytes of a message.
    """

    log = Logger()
    transport: StreamTransport  # type: ignore[assignment]

    def __init__(
        self, env: Environment, peer: Peer, upgrade: Upgrade, limit: int, rate: int
    ) -> None:
        self.env, self.peer, self.upgrade = env, peer, upgrade
        self._reader = MessageReader(self, limit, upgrade.deflate)
        self.throttle = ReadRateLimit(self, env.clock, rate)  # type: ignore[arg-type]
        self._incoming = b""
        self._working = self._peer_ended = False

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)

    def dataReceived(self, data: bytes) -> None:
        self._incoming += data
        self._read()

    def readConnectionLost(self) -> None:
        """The client has said all: close what has only waited for that."""
        self._peer_ended = True
        if self.peer.closing:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed; the client closes its own."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._reader.end()
        self.throttle.stop()

    # Of the throttle

    def pauseProducing(self) -> None:
        """Read nothing more."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """Read on, first what has come already."""
        self._read()
        if not self.throttle.paused:
            self.transport.resumeProducing()

    def _read(self) -> None:
        if not self._working:
            self._working = True
            self._read_slices(b"")
            self._working = False

    @abort_on_error
    def _read_slices(self, _: bytes) -> None:
        while self._incoming and not self.throttle.paused:
            data, self._incoming = self._incoming[:SLICE], self._incoming[SLICE:]
            count = self._reader.feed(data)
            if not self.peer.trusted:
                self.throttle.spend(count)

    # Of the client

    def text(self, data: bytes) -> None:
        """Take a text message."""
        raise NotImplementedError

    def ping(self, payload: bytes) -> None:
        """Answer; it is a sign of life."""
        raise NotImplementedError

    def pong(self) -> None:
        """Note the answer to a ping."""
        raise NotImplementedError

    def binary(self, data: bytes) -> None:
        """Refuse a binary message: nothing here has one."""
        self._reader.end()
        self.ended(CloseReason.UNSUPPORTED_DATA, True)

    def ended(self, code: int, broken: bool) -> None:
        """Close with a code: the client has closed, or broken a rule."""
        if broken:
            self.peer.report_abuse(Offence.FRAME)

    def end(self) -> None:
        """
        Close behind what is on its way, as long as it moves; what still comes is dropped.

        Only our half: a close of both, with bytes of the client unread, would be a reset that
        takes what we said last out of its hands.
        """
        self._reader.end()
        half = not self._peer_ended
        if half and not ISSLTransport.providedBy(self.transport):
            self.transport.resumeProducing()
        self.peer.close(half)


class JsonConnection(WebSocketConnection):
    """
    The road of a session: one JSON object a message (`docs/protocols.md`, WebSocket), and pings of
    WebSocket.
    """

    _code = 0
    _deadline: IDelayedCall | None = None
    _session: Session

    def __init__(
        self, env: Environment, peer: Peer, upgrade: Upgrade, sessions: SessionFactory
    ) -> None:
        super().__init__(env, peer, upgrade, json.MAX_MESSAGE, sessions.settings.frames)
        self._sessions = sessions
        self.form = FORMS[upgrade.deflate]

    def connectionMade(self) -> None:
        super().connectionMade()
        self.peer.connected(self.transport, self)
        self.peer.mark_unauthenticated()
        self._session = self._sessions.open(self)
        self._session.queue.write(self.upgrade.answer)
        self._wait()

    def readConnectionLost(self) -> None:
        super().readConnectionLost()
        self._session.finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._stop()
        self._session.close()
        self.peer.disconnected()

    def text(self, data: bytes) -> None:
        self._session.frame(data)

    def ping(self, payload: bytes) -> None:
        self._session.heard()
        self._session.queue.write(frame(Opcode.PONG, payload))

    def pong(self) -> None:
        self._session.heard()

    def ended(self, code: int, broken: bool) -> None:
        super().ended(code, broken)
        self._code = code
        self._session.close_with(b"")

    def end(self) -> None:
        self._stop()
        super().end()

    def farewell(self, code: str) -> bytes:
        """Return the close frame: of the code of the client, else of that of the last ERROR."""
        return close_frame(self._code or CLOSE_CODES.get(code, CloseReason.POLICY_VIOLATION), code)

    def session_welcomed(self) -> None:
        """Wait for HELLO no more."""
        self._stop()

    def session_ended(self) -> None:
        """Close behind the close frame."""
        self.end()

    def evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        self._session.close_with(b"", "evicted")

    def _wait(self) -> None:
        seconds = self.env.config.access.login
        self._deadline = self.env.clock.callLater(seconds, self._mute, seconds)

    def _mute(self, seconds: float) -> None:
        self._deadline = None
        if self.peer.login_pending:  # it waits for us
            self._wait()
            return
        if self.peer.identity is None:
            self.peer.report_abuse(Offence.DEADLINE)
        text = f"HELLO must come within {seconds:g} s"
        self._session.close_with(messages.error("timeout", text), "timeout")

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
