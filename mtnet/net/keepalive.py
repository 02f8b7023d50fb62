"""
TCP keepalive, and the connections whose peer has closed its half.

At the peer's FIN Twisted stops reading, and does not poll the connection any more: a later reset,
or unanswered probes, would go unnoticed, and the connection would keep its place. So all
half-closed connections are polled together, every few seconds.
"""

import select
import socket
from functools import partial
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime, ITCPTransport
from twisted.internet.tcp import Port, Server
from twisted.python.failure import Failure

from mtnet.net.tcp_options import enable_keepalive, is_tcp
from mtnet.net.transport import Transport, innermost

try:
    from twisted.internet.unix import Server as UnixServer
except ImportError:  # pragma: no cover - Windows
    UnixServer = tcp.Server  # type: ignore[assignment,misc]

EVERY = 5.0
"""Seconds between two polls."""
IDLE = 20
"""Seconds of silence before a probe. A machine answers the probes of a connection that
its program has closed for 60 s; the next probe is answered with a reset. So a closed peer is gone
in 85 s, and a vanished one in 55 s."""


def configure_keepalive(transport: Transport, send_buffer: int | None = None) -> None:
    """
    Set keepalive, no delay and the send buffer of a TCP connection; ignore other transports.

    Args:
        send_buffer: bytes that the kernel may keep for a peer that does not read; None =
            the kernel's choice.
    """
    below = innermost(transport)  # TLS provides ITCPTransport, and has no socket
    if not ITCPTransport.providedBy(below):
        return
    tcp: ITCPTransport = ITCPTransport(below)
    sock: socket.socket = below.getHandle()
    if not is_tcp(sock):  # in Twisted a Unix socket provides ITCPTransport, too
        return
    tcp.setTcpNoDelay(True)
    if send_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    enable_keepalive(sock)


def limit_unsent(transport: Transport, most: int) -> None:
    """
    Let the kernel take no more of a TCP connection than it can send soon; ignore other transports.

    Else it keeps megabytes for a peer that reads slowly, and all that is written later waits
    behind them. Only Linux and macOS can; a peer's own buffer stays as it is.

    Args:
        most: bytes that may wait in the kernel before they are sent.
    """
    below, option = innermost(transport), getattr(socket, "TCP_NOTSENT_LOWAT", None)
    sock = below.getHandle() if ITCPTransport.providedBy(below) else None
    if option is not None and isinstance(sock, socket.socket) and is_tcp(sock):
        sock.setsockopt(socket.IPPROTO_TCP, option, most)


class Connection(Protocol):
    """The part of a connection that is polled."""

    def fileno(self) -> int: ...

    def getHandle(self) -> Any: ...

    def abortConnection(self) -> None: ...


class HalfClosedConnections:
    """
    Poller of half-closed connections: aborts those whose socket is no longer connected.

    Where the system has no `poll`, as on Windows, none is polled.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._poll = select.poll() if hasattr(select, "poll") else None
        self._by_descriptor: dict[int, Connection] = {}
        self._descriptors: dict[Connection, int] = {}
        self._timer: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._descriptors)

    def add(self, connection: Connection) -> None:
        """Poll a connection from now on."""
        if self._poll is None or connection in self._descriptors:
            return
        descriptor = connection.fileno()
        handle = connection.getHandle()
        if is_tcp(handle):
            enable_keepalive(handle, IDLE)
        self._by_descriptor[descriptor] = connection
        self._descriptors[connection] = descriptor
        # No events: errors and the end of both halves are always reported.
        self._poll.register(descriptor, 0)
        self._plan()

    def discard(self, connection: Connection) -> None:
        """Stop polling it, before its socket is closed; harmless when it was never polled."""
        descriptor = self._descriptors.pop(connection, None)
        if descriptor is None or self._poll is None:
            return
        del self._by_descriptor[descriptor]
        self._poll.unregister(descriptor)
        if not self._descriptors and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _plan(self) -> None:
        if self._timer is None and self._descriptors:
            self._timer = self._clock.callLater(EVERY, self._look)

    def _look(self) -> None:
        self._timer = None
        self._plan()  # first: an error below must not end the polling
        if self._poll is not None:
            for descriptor, _ in self._poll.poll(0):
                connection = self._by_descriptor[descriptor]
                self.discard(connection)
                connection.abortConnection()


class _Watched:
    """Mixin: a server's connection is polled from the peer's FIN on."""

    def __init__(self, half_closed: HalfClosedConnections, *arguments: Any) -> None:
        self._half_closed = half_closed
        super().__init__(*arguments)

    def readConnectionLost(self, reason: Failure) -> None:
        """Called by the reactor when the peer has closed its half."""
        super().readConnectionLost(reason)  # type: ignore[misc]
        if self.connected:  # type: ignore[attr-defined]
            self._half_closed.add(self)  # type: ignore[arg-type]

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor when the connection is over."""
        self._half_closed.discard(self)  # type: ignore[arg-type]
        super().connectionLost(reason)  # type: ignore[misc]


class WatchedServer(_Watched, Server):
    """A TCP connection."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Twisted makes two texts for each connection, 160 bytes; one for each protocol will do.
        self.logstr = self.repstr = type(self.protocol).__name__

    def __repr__(self) -> str:
        return f"<{self.logstr} #{self.sessionno} of {self.hostname}>"


class WatchedUnixServer(_Watched, UnixServer):
    """A connection through a Unix socket."""


KINDS = {UnixServer: WatchedUnixServer, Server: WatchedServer}


def watch_half_closed(port: IListeningPort, clock: IReactorTime) -> None:
    """Poll the half-closed ones of all connections that a port accepts from now on."""
    if isinstance(port, Port) and port.transport in KINDS:
        watched = KINDS[port.transport]
        port.transport = partial(watched, HalfClosedConnections(clock))  # type: ignore[assignment]
