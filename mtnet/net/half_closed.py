"""
Connections whose peer has closed its half, and may be gone altogether.

At the peer's FIN Twisted stops reading, and the kernel is no longer asked about the connection:
that it was reset since, or that no probe was answered, would be told to nobody, and its place
would be kept for ever. So all of them are looked at together, again and again.
"""

import select
from functools import partial
from typing import Any, Protocol

from twisted.internet import tcp
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorTime
from twisted.internet.tcp import Port, Server
from twisted.python.failure import Failure

from mtnet.net.keepalive import enable_keepalive, is_tcp

try:
    from twisted.internet.unix import Server as UnixServer
except ImportError:  # pragma: no cover - Windows
    UnixServer = tcp.Server  # type: ignore[assignment,misc]

EVERY = 5.0
"""Seconds between two looks."""
IDLE = 20
"""Seconds of silence before a probe. A machine remembers a connection that its program has closed
for 60 s and answers probes as if it lived; the next one is answered with a reset, so that whoever
closed is gone in 85 s, and whoever vanished in 55 s."""


class Connection(Protocol):
    """What is watched."""

    def fileno(self) -> int: ...

    def getHandle(self) -> Any: ...

    def abortConnection(self) -> None: ...


class HalfClosedConnections:
    """
    Ends those whose socket is no longer connected; the others are served as long as they read.

    Where the system has no `poll`, as on Windows, nobody is watched.
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
        """Watch a connection from now on."""
        if self._poll is None or connection in self._descriptors:
            return
        descriptor = connection.fileno()
        handle = connection.getHandle()
        if is_tcp(handle):
            enable_keepalive(handle, IDLE)
        self._by_descriptor[descriptor] = connection
        self._descriptors[connection] = descriptor
        # No event is asked for: errors and the end of both halves are told always.
        self._poll.register(descriptor, 0)
        self._plan()

    def discard(self, connection: Connection) -> None:
        """Watch it no more, before its socket is closed; harmless when it was never watched."""
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
        self._plan()  # first: no connection that cannot be ended ends the looks
        if self._poll is not None:
            for descriptor, _ in self._poll.poll(0):
                connection = self._by_descriptor[descriptor]
                self.discard(connection)
                connection.abortConnection()


class _Watched:
    """Lets a server's connection be watched from the peer's FIN on; goes before its class."""

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


class WatchedUnixServer(_Watched, UnixServer):
    """A connection through a Unix socket."""


KINDS = {UnixServer: WatchedUnixServer, Server: WatchedServer}


def watch_half_closed(port: IListeningPort, clock: IReactorTime) -> None:
    """Watch the half-closed ones of all connections that a port takes from now on."""
    if isinstance(port, Port) and port.transport in KINDS:
        watched = KINDS[port.transport]
        port.transport = partial(watched, HalfClosedConnections(clock))  # type: ignore[assignment]
