"""The part of a Twisted transport that the protocols use."""

import socket
import struct
from typing import Any, Protocol

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


def in_flight(transport: Transport) -> int | None:
    """
    Return how many bytes the kernel has for the peer that its machine has not acknowledged.

    None = unknown: it is no socket of an open connection, or this system does not tell.
    """
    below = innermost(transport)
    if not getattr(below, "connected", True):
        return None  # a protocol may still work on what it read; Twisted has no socket then
    handle = getattr(below, "getHandle", lambda: None)()
    if ioctl is None or not isinstance(handle, socket.socket):
        return None
    try:
        return int(struct.unpack("i", ioctl(handle.fileno(), TIOCOUTQ, b"\0" * 4))[0])
    except OSError:
        return None
