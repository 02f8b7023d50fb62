"""One path for every byte to a connection, so that it knows when the peer is behind."""

from collections.abc import Callable, Hashable
from typing import Any, Protocol

from twisted.internet.interfaces import IPullProducer, IReactorTime
from zope.interface import implementer

from mtnet.net.output.direct import Way, straight
from mtnet.net.output.segments import StreamTransport, bare
from mtnet.net.transport import Transport


class Circle(Protocol):
    """
    Several connections that are told the same; mtnet.net.output.broadcast has the one.

    Attributes:
        when: seconds of the clock at which that was last.
    """

    when: float

    def turned(self, key: Any, way: Way | None) -> None:
        """Learn that the straight way to one of them has come, or gone."""


@implementer(IPullProducer)
class Outbox:
    """
    Writes to a transport and says when it has passed everything on to the kernel.

    As long as nothing waits, bytes go straight to the socket: through Twisted's buffer each of
    them would cost three more system calls, a turn later.

    Args:
        transport: of a connection that was just made.
        budget: bytes that may wait in the transport before `ready` is False; 1 = one write.
        drained: called when `ready` turns True again.

    Attributes:
        ready: whether more may be written.
        since: seconds of `clock` at which the oldest byte that may still wait was written.
        way: past the transport; None while something waits, and where there is none.
    """

    __slots__ = (
        "_below", "_budget", "_clock", "_crowds", "_drained", "_registered", "_straight",
        "_transport", "_waiting", "ready", "since", "way",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, clock: IReactorTime, budget: int, drained: Callable[[], None]
    ) -> None:
        self._transport, self._clock = transport, clock
        self._budget, self._drained = budget, drained
        self._waiting = 0
        self._registered = self.ready = True
        self._crowds: tuple[tuple[Circle, Hashable], ...] = ()
        self._straight: Way | None = None
        self.way: Way | None = None
        self.since = clock.seconds()
        # A pull producer is resumed each time the buffer is empty. TLS would poll it for ever,
        # so it is registered with the transport below, whose buffer TLS fills.
        self._below: StreamTransport = bare(transport)  # type: ignore[assignment]
        self._below.registerProducer(self, False)
        self._straight = straight(transport, self._below, self.behind)
        if self._straight is not None:
            # It is resumed when what others may have written has gone.
            self._below.startWriting()

    def write(self, data: bytes) -> None:
        """Write `data`; it is sent even when not `ready`."""
        if self.way is not None:
            try:
                sent = self.way.send(data)
            except OSError:
                sent = 0  # it is full or broken; the transport finds out which
            if sent == len(data):
                return
            data = data[sent:]
        self.leave(data)

    def leave(self, data: bytes) -> None:
        """Leave `data` to the transport, which sends it when it can."""
        self.behind(len(data))
        self._transport.write(data)

    def behind(self, size: int) -> None:
        """Take note that so many bytes more wait in the transport."""
        self._turn(None)
        if not self._waiting:
            self.since = self._clock.seconds()
        self._waiting += size
        self.ready = self._waiting < self._budget

    def enter(self, crowd: Circle, key: Hashable) -> None:
        """Tell a crowd whenever `way` has come or gone."""
        self._crowds += ((crowd, key),)

    def part(self, crowd: Circle, key: Hashable) -> None:
        """Tell a crowd no more."""
        self._crowds = tuple(each for each in self._crowds if each != (crowd, key))

    def told(self) -> float:
        """Return the seconds of the clock at which a crowd was told something last."""
        return max((crowd.when for crowd, _ in self._crowds), default=0.0)

    def detour(self) -> None:
        """Take the straight way no more."""
        self._straight = None  # it would keep the connection in memory, too
        self._turn(None)

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
            self._turn(self._straight)
            if not self.ready:
                self.ready = True
                self._drained()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.ready = False
        self._end()

    def _end(self) -> None:
        self.detour()
        self._drained = nothing  # whoever is told holds this one

    def _turn(self, way: Way | None) -> None:
        if way is not self.way:
            self.way = way
            for crowd, key in self._crowds:
                crowd.turned(key, way)


def nothing() -> None:
    """Nobody is told any more."""
