"""
What goes straight to a socket, past the buffers of Twisted.

Below TLS, and for the end of our half, it touches names that Twisted keeps to itself. Where one
of them is missing, there is no straight way, and everything goes through the transport.
"""

import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from OpenSSL.SSL import Error
from twisted.internet.interfaces import ISSLTransport, ISystemHandle, ITCPTransport
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol

from mtnet.net.pieces import StreamTransport
from mtnet.net.transport import Transport

MARGIN = 512
"""Bytes that a sealed record may be longer, and what else TLS may have to say with it. A record may
hold as few as 512 bytes, where the client wants that (RFC 6066): so twice the size always holds."""
PRIVATE = "_aggregator", "_appSendBuffer", "_handshakeDone"
"""What is touched of Twisted's TLS transport beside its interface."""
HALVES = "_closeWriteConnection", "_writeDisconnected", "_writeDisconnecting"
"""The same of its TCP transport, as its class has it."""
HAS_HALVES = all(hasattr(Connection, name) for name in HALVES)
BUFFERS = "dataBuffer", "_tempDataBuffer"
"""Where each TCP transport has what waits."""


class Way(Protocol):
    """A socket, or what seals bytes for one."""

    def send(self, data: bytes, /) -> int:
        """Take bytes at once; return how many. Raises OSError where it can take none."""


def straight(transport: Transport, below: Transport, behind: Callable[[int], None]) -> Way | None:
    """
    Return the straight way to a socket; None = there is none.

    Args:
        below: the transport below TLS and every other wrapper.
        behind: is told how many bytes were taken that wait in `below` now.
    """
    if not (ITCPTransport.providedBy(below) and ISystemHandle.providedBy(below)):
        return None
    handle = below.getHandle()
    if not isinstance(handle, socket.socket):
        return None
    if not ISSLTransport.providedBy(transport):
        return handle
    tls = _layer(transport)
    known = _has(tls, PRIVATE) and _has(below, BUFFERS)
    if tls is None or not known or not tls._handshakeDone:
        return None
    return Seal(tls, below, handle, behind)


def end_half(transport: StreamTransport) -> None:
    """
    Close our half of a connection, behind what is written.

    Where nothing waits to be written, Twisted would ask the kernel to tell it when it can write,
    send no byte, and close the half then.
    """
    below: Any = transport
    if _is_idle(below):
        below._writeDisconnecting = below._writeDisconnected = True
        below._closeWriteConnection()
    else:
        transport.loseWriteConnection()


def _is_idle(below: Any) -> bool:
    return (
        isinstance(below, Connection)
        and HAS_HALVES
        and below.producer is None
        and _has(below, BUFFERS)
        and not (below.dataBuffer or below._tempDataBuffer or below.disconnecting)
    )


def _has(thing: object, names: Iterable[str]) -> bool:
    return all(hasattr(thing, name) for name in names)


def _layer(transport: Any) -> TLSMemoryBIOProtocol | None:
    while transport is not None and not isinstance(transport, TLSMemoryBIOProtocol):
        transport = getattr(transport, "transport", None)
    return transport


class Seal:
    """
    Encrypts and sends in one go, where Twisted waits a turn for more to encrypt.

    Args:
        tls: the TLS transport, after its handshake.
        below: takes what the socket does not.
    """

    __slots__ = ("_behind", "_below", "_connection", "_socket", "_tls", "_waiting")

    def __init__(
        self, tls: Any, below: Any, socket: socket.socket, behind: Callable[[int], None]
    ) -> None:
        self._tls, self._below, self._socket, self._behind = tls, below, socket, behind
        self._connection, self._waiting = tls.getHandle(), tls._aggregator._buffer

    def send(self, data: bytes) -> int:
        """Send as much of `data` as TLS takes now; what the socket does not take is behind it."""
        below = self._below
        if self._waiting or self._tls._appSendBuffer or below._tempDataBuffer or below.dataBuffer:
            return 0  # others have written, or TLS itself
        size, taken = len(data), 0
        try:
            taken = self._connection.send(data)
            while taken < size:
                taken += self._connection.send(data[taken:])
        except Error:
            if not taken:
                return 0  # the transport finds out why
        sealed = self._connection.bio_read(2 * size + MARGIN)
        try:
            sent = self._socket.send(sealed)
        except OSError:
            sent = 0
        if sent < len(sealed):
            below.write(sealed[sent:])
            self._behind(len(sealed) - sent)
        return taken
