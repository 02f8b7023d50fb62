"""One path for every byte to a connection, so that it knows when the peer is behind."""

from collections.abc import Callable

from twisted.internet.interfaces import IPullProducer, IReactorTime
from zope.interface import implementer

from mtnet.net.pieces import bare
from mtnet.net.transport import Transport


@implementer(IPullProducer)
class Outbox:
    """
    Writes to a transport and says when it has passed everything on to the kernel.

    Args:
        transport: of a connection that was just made.
        budget: bytes that may wait in the transport before `ready` is False; 1 = one write.
        drained: called when `ready` turns True again.

    Attributes:
        ready: whether more may be written.
        since: seconds of `clock` at which the oldest byte that may still wait was written.
    """

    def __init__(
        self, transport: Transport, clock: IReactorTime, budget: int, drained: Callable[[], None]
    ) -> None:
        self._transport, self._clock = transport, clock
        self._budget, self._drained = budget, drained
        self._waiting = 0
        self._registered = True
        self.ready = True
        self.since = clock.seconds()
        # A pull producer is resumed each time the buffer is empty. TLS would poll it for ever,
        # so it is registered with the transport below, whose buffer TLS fills.
        self._below = bare(transport)
        self._below.registerProducer(self, False)

    def write(self, data: bytes) -> None:
        """Write `data`; it is sent even when not `ready`."""
        if not self._waiting:
            self.since = self._clock.seconds()
        self._waiting += len(data)
        self.ready = self._waiting < self._budget
        self._transport.write(data)

    def close(self) -> None:
        """Let go of the transport, which would otherwise never close."""
        if self._registered:
            self._registered = False
            self.ready = False
            self._below.unregisterProducer()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._waiting = 0
        if getattr(self._below, "disconnecting", False):
            # TLS closes it when the peer has closed, and it never closes with a producer.
            self.close()
        elif not self.ready and self._registered:
            self.ready = True
            self._drained()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.ready = False
