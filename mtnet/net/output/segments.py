"""
Segmented sending: a reader gets whole pieces.

The classic template client stops at the first read that is shorter than 512 bytes. Segments of
the usual sizes (1,448 or 1,460 bytes) make it stop after a few kB. Linux neither merges nor
splits across the end of a send with `MSG_EOR`, so pieces of 1,024 bytes arrive as two full reads.

Within one machine a segment has room for many of them, and nothing between makes it smaller. The
kernel takes none that is longer than half the peer's window, so the first two leave at once. Those
behind may have to wait until the peer has read; the kernel then fills a window that has no room for
a whole segment, and splits that anywhere. Never a piece of 1,024 bytes: no window is that small.
"""

import socket
import sys
from collections.abc import Callable

from twisted.internet.interfaces import (
    IPullProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
)
from twisted.internet.tcp import Connection
from zope.interface import implementer

from mtnet.net.transport import StreamTransport, Transport, innermost

PIECE = 1_024
"""Bytes of a piece: two full reads of the classic client."""
AHEAD = 2
"""Segments that a window has room for before the peer has read anything."""
BURST = 64
"""Pieces sent before other connections have their turn."""


def preserves_segments(transport: Transport) -> bool:
    """Return whether each send reaches the peer as a segment of its own: bare TCP on Linux."""
    if isinstance(transport, Connection):
        return sys.platform == "linux" and not transport.TLS
    return (
        sys.platform == "linux"
        and ITCPTransport.providedBy(transport)
        and ISystemHandle.providedBy(transport)
        and not ISSLTransport.providedBy(transport)
        and innermost(transport) is transport
    )


def first_segments(transport: StreamTransport) -> int:
    """Return how long the first pieces may be that go to a peer on the same machine."""
    handle = transport.getHandle()
    try:
        segment: int = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
    except (AttributeError, OSError):
        return PIECE
    return max(PIECE, segment // PIECE * PIECE)


@implementer(IPullProducer)
class SegmentedSender:
    """
    Segmented sender: `head` and `body` as one stream of whole pieces, each a segment of its own
    to the kernel; register it as a pull producer.

    It writes to the socket itself, so the transport must have nothing of its own to write.

    Args:
        transport: one that `preserves_segments`.
        done: called without arguments when the last byte is in the socket.
        local: the peer is on the same machine, and the first `AHEAD` pieces may be long.

    Attributes:
        sent: bytes that the socket took so far.
    """

    def __init__(
        self,
        transport: StreamTransport,
        head: bytes,
        body: bytes,
        done: Callable[[], None],
        local: bool = False,
    ) -> None:
        self._transport, self._done = transport, done
        self._head, self._body = head, body
        self._size = len(head) + len(body)
        self._first = first_segments(transport) if local and self._size > PIECE else PIECE
        self.sent = 0

    @property
    def finished(self) -> bool:
        """Whether the socket has taken everything, or the connection is gone."""
        return self.sent == self._size

    @property
    def unsent(self) -> int:
        """Bytes that the socket did not take yet."""
        return self._size - self.sent

    def resumeProducing(self) -> None:
        """Send as many pieces as the socket takes now."""
        try:
            self._send()
        except (BlockingIOError, InterruptedError):
            self._transport.startWriting()
        except OSError:
            self._transport.unregisterProducer()
            self._transport.abortConnection()

    def stopProducing(self) -> None:
        """Forget the rest: the connection is gone."""
        self.sent = self._size

    def _send(self) -> None:
        send = self._transport.getHandle().send
        for _ in range(BURST):
            if self.finished:
                self._transport.unregisterProducer()
                self._done()
                return
            self.sent += send(self._piece(), socket.MSG_EOR)
        self._transport.startWriting()

    def _piece(self) -> bytes:
        """Return the rest of the piece that `sent` lies in."""
        long = self._first if self.sent < AHEAD * self._first else PIECE
        end = (self.sent // long + 1) * long
        begin, behind = self.sent, len(self._head)
        return self._head[begin:end] + self._body[max(begin - behind, 0) : max(end - behind, 0)]
