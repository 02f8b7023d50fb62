"""
Direct writers: bytes to a socket, past the buffers of Twisted.

Below TLS, and at the end of our half, private names of Twisted and pyOpenSSL are used. Where one
of them is missing there is no direct writer, and everything goes through the transport.
"""

import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet.interfaces import ISSLTransport, ISystemHandle, ITCPTransport
from twisted.internet.tcp import Connection
from twisted.protocols.tls import TLSMemoryBIOProtocol

from mtnet.net.transport import StreamTransport, Transport

LONGEST = 131_072
"""Bytes that are encrypted at once: two chunks of a send queue. The transport has the rest."""
SEALED = 2 * LONGEST + 512
"""Room for them when they are encrypted: a record may hold as few as 512 bytes and is 22 longer,
where the client asks for that (RFC 6066); and for alerts and tickets of TLS between them."""
PRIVATE = "_aggregator", "_appSendBuffer", "_handshakeDone"
"""Private names of Twisted's TLS transport that are used here."""
CONNECTION = "_ssl", "_from_ssl", "_raise_ssl_error"
"""The same of pyOpenSSL's connection, whose own `send` and `bio_read` take three times as long."""
HALVES = "_closeWriteConnection", "_writeDisconnected", "_writeDisconnecting"
"""Private names of Twisted's TCP transport, as its class has them."""
HAS_HALVES = all(hasattr(Connection, name) for name in HALVES)
BUFFERS = "dataBuffer", "_tempDataBuffer"
"""Where a TCP transport has its unsent bytes."""


_ffi, _lib = getattr(SSL, "_ffi", None), getattr(SSL, "_lib", None)
SSL_write, BIO_read = getattr(_lib, "SSL_write", None), getattr(_lib, "BIO_read", None)
_BUFFER: Any = None if _ffi is None else _ffi.new("char[]", SEALED)
"""Where bytes lie between the encryption and the socket."""


class DirectWriter(Protocol):
    """A socket, or the encryption above one."""

    def send(self, data: bytes, /) -> int:
        """Take bytes at once; return how many. Raises OSError where it can take none."""


def direct_writer(
    transport: Transport, below: Transport, add_lag: Callable[[int], None]
) -> DirectWriter | None:
    """
    Return the direct writer to a socket; None = there is none.

    Args:
        below: the transport below TLS and every other wrapper.
        add_lag: called with the number of bytes that wait in `below` now.
    """
    if not (ITCPTransport.providedBy(below) and ISystemHandle.providedBy(below)):
        return None
    handle = below.getHandle()
    if not isinstance(handle, socket.socket):
        return None
    if not ISSLTransport.providedBy(transport):
        return handle
    tls = _layer(transport)
    known = (
        _has(tls, PRIVATE) and _has(below, BUFFERS) and None not in (SSL_write, BIO_read, _BUFFER)
    )
    if tls is None or not known or not tls._handshakeDone or not _has(tls.getHandle(), CONNECTION):
        return None
    return TlsDirectWriter(tls, below, handle, add_lag)


def end_half(transport: StreamTransport) -> None:
    """
    Close our half of a connection, after the written bytes.

    When nothing is buffered, Twisted would poll for writing, send no byte, and close the half in
    the next turn: three more system calls for each one-shot answer.
    """
    below: Any = transport
    if HAS_HALVES and _is_idle(below) and below.producer is None:
        below._writeDisconnecting = below._writeDisconnected = True
        below._closeWriteConnection()
    else:
        transport.loseWriteConnection()


def write_at_once(transport: Transport, data: bytes) -> None:
    """
    Write data; when nothing is buffered, the socket gets it at once.

    Twisted would poll for writing, and send in the next turn, behind all that is done before.
    """
    below: Any = transport
    if _is_idle(below) and below.connected:
        with suppress(OSError):  # the socket is full or broken; the transport finds out which
            data = data[below.getHandle().send(data) :]
    if data:
        transport.write(data)


def _is_idle(below: Any) -> bool:
    return (
        isinstance(below, Connection)
        and not getattr(below, "TLS", True)  # else it would encrypt
        and _has(below, BUFFERS)
        and not (below.dataBuffer or below._tempDataBuffer or below.disconnecting)
    )


def _has(thing: object, names: Iterable[str]) -> bool:
    return all(hasattr(thing, name) for name in names)


def _layer(transport: Any) -> TLSMemoryBIOProtocol | None:
    while transport is not None and not isinstance(transport, TLSMemoryBIOProtocol):
        transport = getattr(transport, "transport", None)
    return transport


class TlsDirectWriter:
    """
    Direct writer below TLS: encrypts and sends at once, where Twisted waits a turn for more.

    Args:
        tls: the TLS transport, after its handshake.
        below: the TCP transport, which gets the bytes that the socket does not take.
    """

    __slots__ = ("_add_lag", "_below", "_bio", "_connection", "_socket", "_ssl", "_tls", "_waiting")

    def __init__(
        self, tls: Any, below: Any, socket: socket.socket, add_lag: Callable[[int], None]
    ) -> None:
        self._tls, self._below, self._socket, self._add_lag = tls, below, socket, add_lag
        self._waiting = tls._aggregator._buffer
        # The connection owns the memory that the others point to.
        self._connection = connection = tls.getHandle()
        self._ssl, self._bio = connection._ssl, connection._from_ssl

    def send(self, data: bytes) -> int:
        """Send as much of `data` as TLS takes now; the transport gets what the socket leaves."""
        below = self._below
        if self._waiting or self._tls._appSendBuffer or below._tempDataBuffer or below.dataBuffer:
            return 0  # others have written, or TLS has
        taken = self._encrypt(data, min(len(data), LONGEST))
        if not taken:
            return 0
        size = BIO_read(self._bio, _BUFFER, SEALED)  # type: ignore[misc]
        sealed = _ffi.buffer(_BUFFER, size)  # type: ignore[union-attr]
        try:
            sent = self._socket.send(sealed)
        except OSError:
            sent = 0
        if sent < size:
            below.write(sealed[sent:])
            self._add_lag(size - sent)
        return taken

    def _encrypt(self, data: bytes, size: int) -> int:
        """Encrypt the first `size` bytes; return how many TLS took."""
        taken = 0
        while taken < size:
            rest = data[taken:size] if taken or size < len(data) else data
            done = SSL_write(self._ssl, rest, len(rest))  # type: ignore[misc]
            if done <= 0:
                # It is taken off OpenSSL's error queue; the transport finds it again.
                with suppress(SSL.Error):
                    self._connection._raise_ssl_error(self._ssl, done)
                break
            taken += done
        return taken
