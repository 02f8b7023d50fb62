"""Writer of batches to one server, in pieces that it takes in time."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.logger import Logger

from mtnet.services.sinks.losses import Counts
from mtnet.services.sinks.model import Batch
from mtnet.services.sinks.target import Target
from mtnet.storage.worker import InThread

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

GROWS = 4
"""Part of `sinks.timeout` in which a write must be over for the next one to be twice as large: what
grows then is over in time, too."""


class BatchWriter:
    """
    Adaptive batch size: after a failure a write has half the ticks of the one before. A server
    that takes a tick a second gets as many as it takes in time, not the same ten thousand for ever.

    Args:
        network: runs a blocking function off the reactor, in a thread of its own: a server that
            hangs holds up nothing else.
        most: ticks of a write, at most.
        timeout: seconds that a write may take.
        seconds: monotonic.

    Attributes:
        counts: of ticks since the start.
    """

    log = Logger()

    def __init__(
        self,
        target: Target,
        network: InThread,
        most: int,
        timeout: float,
        seconds: Callable[[], float],
    ) -> None:
        self._target, self._network = target, network
        self._most = self._size = most
        self._timeout, self._seconds = timeout, seconds
        self._written = 0
        self.counts = Counts()

    @property
    def label(self) -> str:
        """The server, as people are shown it."""
        return self._target.label

    def check(self) -> "Deferred[None]":
        """
        Return what fires once the server has said that it takes ticks.

        It fails with `TargetError`: the server does not.
        """
        return self._network(self._target.check)

    def has(self, batch: Batch) -> bool:
        """Return whether all ticks of a batch are written."""
        return self._written >= batch.last

    async def write(self, name: str, origin: str, batch: Batch) -> None:
        """
        Write the next ticks of a batch.

        Args:
            name: of the sink, for the log.

        Raises:
            TargetError: they are not, or perhaps not, all there.
        """
        piece, began = batch.behind(self._written).head(self._size), self._seconds()
        try:
            done = await self._network(self._target.write, origin, piece)
        except Exception:
            self._size = max(1, self._size // 2)
            raise
        self._written = piece.last
        if self._seconds() - began < self._timeout / GROWS:
            self._size = min(2 * self._size, self._most)
        if done.refused and not self.counts.refusal:
            text = "The sink {name} takes {count} ticks never: {reason}"
            self.log.warn(text, name=name, count=done.refused, reason=done.reason)
        self.counts.add(len(piece.ticks), done)
