"""Output buffer: one path for every byte to a connection, with its lag."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer, IReactorTime
from zope.interface import implementer

from mtnet.callbacks import noop
from mtnet.net.output.direct import DirectWriter, direct_writer
from mtnet.net.transport import StreamTransport, Transport, innermost


class Group(Protocol):
    """
    Interface between an output buffer and its `mtnet.net.output.broadcast.BroadcastGroup`.

    Attributes:
        sent_at: seconds of the clock at which that was last.
    """

    sent_at: float

    def writer_changed(self, key: Any, writer: DirectWriter | None) -> None:
        """The direct writer of a member has come, or gone."""


@implementer(IPullProducer)
class OutputBuffer:
    """
    Output buffer with back-pressure: writes to a transport, and knows when everything has
    reached the kernel.

    As long as nothing is buffered, bytes go directly to the socket: Twisted's buffer would cost
    three more system calls for each write, a turn later.

    Args:
        transport: of a connection that was just made.
        budget: bytes that may wait in the transport before `ready` is False; 1 = one write.
        drained: called when `ready` turns True again.

    Attributes:
        ready: whether more may be written.
        since: seconds of `clock` at which the oldest byte that may still wait was written.
        writer: past the transport; None while something waits, and where there is none.
    """

    __slots__ = (
        "_below", "_budget", "_clock", "_direct", "_drained", "_groups", "_registered",
        "_transport", "_waiting", "ready", "since", "writer",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, clock: IReactorTime, budget: int, drained: Callable[[], None]
    ) -> None:
        self._transport, self._clock = transport, clock
        self._budget, self._drained = budget, drained
        self._waiting = 0
        self._registered = self.ready = True
        self._groups: tuple[tuple[Group, Hashable], ...] = ()
        self._direct: DirectWriter | None = None
        self.writer: DirectWriter | None = None
        self.since = clock.seconds()
        # A pull producer is resumed each time the buffer is empty. TLS would poll it endlessly,
        # so it is registered with the transport below, whose buffer TLS fills.
        self._below: StreamTransport = innermost(transport)  # type: ignore[assignment]
        self._below.registerProducer(self, False)
        self._direct = direct_writer(transport, self._below, self.add_lag)
        if self._direct is not None:
            # It is resumed when the bytes that others may have written are sent.
            self._below.startWriting()

    @property
    def stalled(self) -> float | None:
        """Since when bytes wait, in seconds of the clock; None = everything is on its way."""
        return self.since if self._waiting else None

    def write(self, data: bytes) -> None:
        """Write `data`; it is sent even when not `ready`."""
        if self.writer is not None:
            try:
                sent = self.writer.send(data)
            except OSError:
                sent = 0  # it is full or broken; the transport finds out which
            if sent == len(data):
                return
            data = data[sent:]
        self.add_lag(len(data))
        self._transport.write(data)

    def write_buffered(self, data: bytes) -> None:
        """Write `data` through the transport, which sends it when it can."""
        self.add_lag(len(data))
        self._transport.write(data)

    def add_lag(self, size: int) -> None:
        """Count bytes more that wait in the transport."""
        if self.writer is not None:
            self._set_writer(None)
        if not self._waiting:
            self.since = self._clock.seconds()
        self._waiting += size
        self.ready = self._waiting < self._budget

    def join_group(self, group: Group, key: Hashable) -> None:
        """Notify a group whenever `writer` has come or gone."""
        self._groups += ((group, key),)

    def leave_group(self, group: Group, key: Hashable) -> None:
        """Notify a group no more."""
        self._groups = tuple(each for each in self._groups if each != (group, key))

    def last_broadcast(self) -> float:
        """Return the seconds of the clock at the last broadcast to a group of this one."""
        return max((group.sent_at for group, _ in self._groups), default=0.0)

    def use_buffered_path(self) -> None:
        """Write through the transport from now on."""
        self._direct = None  # it would keep the connection in memory, too
        self._set_writer(None)

    def close(self) -> None:
        """Let go of the transport, which would otherwise never close."""
        if self._registered:
            self._registered = self.ready = False
            self._end()
            self._below.unregisterProducer()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._waiting = 0
        if getattr(self._below, "disconnecting", False):
            # TLS closes it when the peer has closed, and it never closes with a producer.
            self.close()
            return
        if self._registered:
            self._set_writer(self._direct)
            if not self.ready:
                self.ready = True
                self._drained()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.ready = False
        self._end()

    def _end(self) -> None:
        self.use_buffered_path()
        self._drained = noop  # it refers back to this buffer

    def _set_writer(self, writer: DirectWriter | None) -> None:
        if writer is not self.writer:
            self.writer = writer
            for group, key in self._groups:
                group.writer_changed(key, writer)
