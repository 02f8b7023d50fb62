"""The road of a session: the connection that carries it, and the form of its messages there."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from mtnet.net.output.queue import Encoder
from mtnet.net.peer import Peer
from mtnet.net.throttle import ReadThrottle
from mtnet.net.transport import Transport
from mtnet.session.grammar import Message, is_login, parse, salvage


class Form(NamedTuple):
    """
    The form of the messages on a road: frames, or JSON.

    Attributes:
        read: makes a message of a payload, whose text is in the code page where it is not UTF-8;
            raises WireError.
        salvage: returns `id` and `channel` of a payload that cannot be read.
        is_login: returns whether a payload may hold a login.
        encoder: makes the bytes that are sent from frames; None = they leave as they are.
        gathers: whether somebody looks at it: what can wait a moment leaves together.
        ping: asks the client for a sign of life, as it is sent; None = the PING of the session.
        idle: seconds of silence before a client is pinged that uses no service, or only looks on;
            0 = as the others.
    """

    read: Callable[[bytes, str], Message]
    salvage: Callable[[bytes], Message]
    is_login: Callable[[bytes], bool]
    encoder: Encoder | None
    gathers: bool = False
    ping: bytes | None = None
    idle: float = 0.0

    def encoded(self, frames: bytes) -> bytes:
        """Return frames as they are sent."""
        return frames if self.encoder is None else self.encoder(frames)


FRAMES = Form(parse, salvage, is_login, None)
"""The form of TCP and TLS."""


class Road(Protocol):
    """
    The connection of a session, and what its protocol does for it.

    Attributes:
        throttle: stops reading from the connection.
        form: of the messages.
    """

    @property
    def transport(self) -> Transport: ...

    @property
    def peer(self) -> Peer: ...

    @property
    def throttle(self) -> ReadThrottle: ...

    @property
    def form(self) -> Form: ...

    def farewell(self, code: str) -> bytes:
        """Return the last bytes to the client, behind an ERROR of a code; empty = without one."""

    def session_welcomed(self) -> None:
        """HELLO has succeeded; called each time."""

    def session_ended(self) -> None:
        """Close the connection after everything that was written."""


class FrameRoad:
    """Mixin of a protocol that carries a session by frames, over TCP or TLS."""

    form = FRAMES

    def farewell(self, code: str) -> bytes:
        """Return the last bytes to the client, behind an ERROR of a code: none."""
        return b""
