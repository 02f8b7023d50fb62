"""The part of a Twisted transport that the protocols use."""

import socket
import struct
from typing import Any, NamedTuple, Protocol

from twisted.internet.interfaces import IAddress

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover - Windows
    ioctl = None  # type: ignore[assignment]


class Transport(Protocol):
    """Twisted spreads this over ITCPTransport, IConsumer and IPushProducer."""

    def write(self, data: bytes) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...

    def getPeer(self) -> IAddress: ...

    def getHost(self) -> IAddress: ...

    def getHandle(self) -> Any: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class StreamTransport(Transport, Protocol):
    """A bare TCP transport of Twisted, which can do more."""

    def startWriting(self) -> None: ...

    def loseWriteConnection(self) -> None: ...


def innermost(transport: Transport) -> Transport:
    """Return the transport below TLS and every other wrapper."""
    while (inner := getattr(transport, "transport", None)) is not None:
        transport = inner
    return transport


class InFlight(NamedTuple):
    """
    Bytes that the peer's machine has not taken.

    Attributes:
        resent: whether the kernel repeats them, since no answer comes. Else the machine answers
            that its program does not read, or there was no time for an answer.
    """

    size: int
    resent: bool = False


_INT = struct.Struct("i")
_ROOM = bytes(_INT.size)
_NOTHING = InFlight(0)


def in_flight(transport: Transport) -> InFlight | None:
    """
    Return what the kernel has for the peer that its machine has not acknowledged.

    None = unknown: it is no socket of an open connection, or this system does not tell.
    """
    below = innermost(transport)
    if not getattr(below, "connected", True):
        return None  # a protocol may still work on what it read; Twisted has no socket then
    handle = getattr(below, "getHandle", lambda: None)()
    if ioctl is None or not isinstance(handle, socket.socket):
        return None
    try:
        (size,) = _INT.unpack(ioctl(handle.fileno(), TIOCOUTQ, _ROOM))
    except OSError:
        return None
    return InFlight(size, _resends(handle)) if size else _NOTHING


def _resends(handle: socket.socket) -> bool:
    """Return whether the oldest byte was sent again: `tcpi_retransmits` of Linux's tcp_info."""
    try:
        return handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 3)[2] > 0
    except (AttributeError, OSError):
        return False  # another system, or no TCP
