"""
How many ticks a write has.

Pure.
"""

from mtnet.services.sinks.model import Batch

GROWS = 4
"""Part of `sinks.timeout` in which a write must be over for the next one to be twice as large: what
grows then is over in time, too."""


class Pieces:
    """
    Adaptive batch size: cuts batches into writes that are over in time.

    Args:
        most: ticks of a write, at most.
        timeout: seconds that a write may take.
    """

    def __init__(self, most: int, timeout: float) -> None:
        self._most = self._size = most
        self._timeout = timeout
        self._written = 0

    def next(self, batch: Batch) -> Batch | None:
        """Return the next ticks to write of a batch; None = all are written."""
        rest = batch.behind(self._written)
        return rest.head(self._size) if rest.ticks else None

    def written(self, piece: Batch, seconds: float) -> None:
        """Note that a server has ticks, and how long that took."""
        self._written = piece.last
        if seconds < self._timeout / GROWS:
            self._size = min(2 * self._size, self._most)

    def failed(self) -> None:
        """Note that a write has failed."""
        self._size = max(1, self._size // 2)
