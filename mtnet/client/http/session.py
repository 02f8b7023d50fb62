"""
A session over HTTP, which its client sees as one connection of frames.

Pure: the clock and the connections are handed in. `mtnet.client.aio` and
`mtnet.client.http.endpoint` run it.
"""

from collections.abc import Callable
from typing import Protocol

from mtnet.client.core.driver import SOONEST, Clock, Timer
from mtnet.client.http.gateway import Gateway, Road

DRAIN_TIMEOUT = 5.0
"""Seconds in which what waits must be answered before a session is closed."""


class Connection(Protocol):
    """A connection to the server."""

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class HttpSession:
    """
    Runs a gateway over its connections, and opens them when they are needed.

    Args:
        dial: opens a connection; calls `opened`, or `closed` with the reason. The first one, for
            polls, is opened by the owner.
        receive: takes the frames of the server; none = a sign of life.
        lost: called once, with the reason, when the session is over.

    Attributes:
        over: it is lost or closed.
    """

    def __init__(
        self,
        gateway: Gateway,
        clock: Clock,
        dial: Callable[[Road], object],
        receive: Callable[[bytes], object],
        lost: Callable[[str], object],
    ) -> None:
        self._gateway, self._clock, self._dial = gateway, clock, dial
        self._receive, self._lost = receive, lost
        self._connections: dict[Road, Connection] = {}
        self._timer: Timer | None = None
        self._closing: Timer | None = None
        self.over = False
        gateway.opening(Road.POLL, clock.now())

    # The client

    def write(self, frames: bytes) -> None:
        """Send frames."""
        self._gateway.send(frames, self._clock.now())
        self._flush()

    def abort(self, reason: str = "it was closed") -> None:
        """Disconnect at once."""
        if self.over:
            return
        self.over = True
        for timer in (self._timer, self._closing):
            if timer is not None:
                timer.cancel()
        for connection in list(self._connections.values()):
            connection.abort()
        self._clock.call_later(0.0, lambda: self._lost(reason))

    def close(self) -> None:
        """Disconnect once everything is answered, within `DRAIN_TIMEOUT`."""
        if not self.over and self._closing is None:
            self._closing = self._clock.call_later(DRAIN_TIMEOUT, self._give_up)
            self._flush()

    def _give_up(self) -> None:
        self._closing = None
        self.abort()

    def pause(self) -> None:
        """Read no news until `resume`."""
        if Road.POLL in self._connections:
            self._connections[Road.POLL].pause_reading()

    def resume(self) -> None:
        """Read again."""
        if Road.POLL in self._connections:
            self._connections[Road.POLL].resume_reading()

    # Connections

    def opened(self, road: Road, connection: Connection) -> None:
        """Begin on a new connection."""
        if self.over:
            connection.abort()
            return
        self._connections[road] = connection
        self._gateway.connected(road)
        self._flush()

    def received(self, road: Road, data: bytes) -> None:
        """
        Take bytes of the server; none = it has closed its half.

        Raises:
            Exception: of `receive`; the session is over then.
        """
        frames = self._gateway.receive(road, data, self._clock.now())
        if self.over:
            return
        if frames or (data and road is Road.POLL):  # any byte of a poll is a sign of life
            try:
                self._receive(frames)
            except Exception:
                self.abort("the program failed")
                raise
        if self._gateway.is_finished(road) and road in self._connections:
            self._connections[road].abort()
        self._flush()

    def closed(self, road: Road, reason: str) -> None:
        """Note the end of a connection; one that owes nothing is opened again when it is needed."""
        self._connections.pop(road, None)
        if self._gateway.closed(road):
            self.abort(reason)
        self._flush()

    def _flush(self) -> None:
        if self.over:
            return
        if self._gateway.ending or (self._closing is not None and self._gateway.idle):
            self.abort(self._gateway.ending or "it was closed")
            return
        now = self._clock.now()
        for road in Road:
            if road in self._connections:
                data = self._gateway.data_to_send(road, now)
                if data:
                    self._connections[road].write(data)
            elif self._gateway.wants(road, now):
                self._gateway.opening(road, now)
                self._dial(road)
        self._plan()

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._gateway.deadline
        if deadline is not None and not self.over:
            left = deadline - self._clock.now()
            delay = max(left, SOONEST) if left > 0 else 0.0
            self._timer = self._clock.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._timer = None
        self._gateway.expire(self._clock.now())
        self._flush()
