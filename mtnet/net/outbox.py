"""One path for every byte to a connection, so that it knows when the peer is behind."""

import socket
from collections.abc import Callable

from twisted.internet.interfaces import (
    IPullProducer,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
)
from zope.interface import implementer

from mtnet.net.pieces import StreamTransport, bare
from mtnet.net.transport import Transport

FLAGS = getattr(socket, "MSG_DONTWAIT", 0) | getattr(socket, "MSG_NOSIGNAL", 0)
"""How bytes go straight to a socket: at once, or not at all."""

Send = Callable[[bytes, int], int]
"""`socket.send`: takes bytes and flags, returns how many bytes it took."""


@implementer(IPullProducer)
class Outbox:
    """
    Writes to a transport and says when it has passed everything on to the kernel.

    As long as nothing waits, bytes of a plain TCP connection go straight to its socket: through
    Twisted's buffer each of them would cost three more system calls, a turn later.

    Args:
        transport: of a connection that was just made.
        budget: bytes that may wait in the transport before `ready` is False; 1 = one write.
        drained: called when `ready` turns True again.

    Attributes:
        ready: whether more may be written.
        since: seconds of `clock` at which the oldest byte that may still wait was written.
        idle: whether nothing waits, and `send` can be used.
        send: of the socket.
    """

    __slots__ = (
        "_below", "_budget", "_clock", "_drained", "_registered", "_transport", "_waiting",
        "idle", "ready", "send", "since",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, clock: IReactorTime, budget: int, drained: Callable[[], None]
    ) -> None:
        self._transport, self._clock = transport, clock
        self._budget, self._drained = budget, drained
        self._waiting = 0
        self._registered = True
        self.ready, self.idle = True, False
        self.send: Send | None = None
        self.since = clock.seconds()
        # A pull producer is resumed each time the buffer is empty. TLS would poll it for ever,
        # so it is registered with the transport below, whose buffer TLS fills.
        self._below: StreamTransport = bare(transport)  # type: ignore[assignment]
        self._below.registerProducer(self, False)
        self.send = _straight(transport, self._below)
        if self.send is not None:
            # It is resumed when what others may have written has gone.
            self._below.startWriting()

    def write(self, data: bytes) -> None:
        """Write `data`; it is sent even when not `ready`."""
        if self.idle and self.send is not None:
            try:
                sent = self.send(data, FLAGS)
            except OSError:
                sent = 0  # it is full or broken; the transport finds out which
            if sent == len(data):
                return
            data = data[sent:]
        self.leave(data)

    def leave(self, data: bytes) -> None:
        """Leave `data` to the transport, which sends it when it can."""
        self.idle = False
        if not self._waiting:
            self.since = self._clock.seconds()
        self._waiting += len(data)
        self.ready = self._waiting < self._budget
        self._transport.write(data)

    def close(self) -> None:
        """Let go of the transport, which would otherwise never close."""
        if self._registered:
            self._registered = self.ready = self.idle = False
            self._below.unregisterProducer()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._waiting = 0
        if getattr(self._below, "disconnecting", False):
            # TLS closes it when the peer has closed, and it never closes with a producer.
            self.close()
            return
        self.idle = self._registered and self.send is not None
        if not self.ready and self._registered:
            self.ready = True
            self._drained()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.ready = self.idle = False


def _straight(transport: Transport, below: StreamTransport) -> Send | None:
    """Return the `send` of the socket, where bytes reach it as they are; None elsewhere."""
    if ISSLTransport.providedBy(transport) or not ITCPTransport.providedBy(below):
        return None
    handle = below.getHandle() if ISystemHandle.providedBy(below) else None
    return handle.send if isinstance(handle, socket.socket) else None
