"""Losses of ticks: the datagrams that the kernel dropped, and what the log says of all losses."""

from collections.abc import Callable

from twisted.logger import Logger

from mtnet.services.ticks.sources import Counts

SHOWN = 10.0
"""Seconds for which a loss is trouble: while nobody waits for events, trouble is looked for every
five seconds, and what lasts for one flush would be missed."""


class LossReport:
    """
    Edge-triggered log of losses: one line when ticks begin to be lost, one when that ends.

    Args:
        counts: of the records since the start.
        max_symbols: `ticks.max_symbols`, for the log.

    Attributes:
        rejected: records of symbols beyond `max_symbols` since the last report.
        losing: whether ticks were lost within `SHOWN` before the last report.
    """

    log = Logger()

    def __init__(self, counts: Counts, max_symbols: int) -> None:
        self._counts, self._max_symbols = counts, max_symbols
        self._drop_counters: list[Callable[[], int]] = []
        self._drops_stored = 0
        self._reported = 0, 0, 0
        self.rejected, self._rejecting = 0, False
        self.losing, self._lost = False, float("-inf")

    def add_drop_counter(self, dropped: Callable[[], int]) -> None:
        """Count the datagrams that a port lost: `dropped` returns how many, of all time."""
        self._drop_counters.append(dropped)

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel dropped since the start."""
        return sum(dropped() for dropped in self._drop_counters)

    def take_kernel_drops(self) -> int:
        """Return how many they are since the last call."""
        drops = self.kernel_drops() - self._drops_stored
        self._drops_stored += drops
        return drops

    def report(self, disk_is_full: bool, when: float) -> bool:
        """
        Log the beginning and the end of losses; return whether ticks are being lost.

        Args:
            when: monotonic, seconds.
        """
        before = self._reported
        after = self._counts.dropped, self.kernel_drops(), self._counts.unstored
        self._reported = after
        dropped, drops, unstored = (new - old for new, old in zip(after, before, strict=True))
        if dropped or drops:
            self._lost = when
        was_losing, self.losing = self.losing, when - self._lost < SHOWN
        begins, ends = self.losing and not was_losing, was_losing and not self.losing
        if begins:
            self._log_begin(dropped, drops, _reason(unstored, disk_is_full))
        elif ends:
            self._log_end()
        self._report_rejected()
        return self.losing

    def _log_begin(self, dropped: int, drops: int, reason: str) -> None:
        parts = []
        if dropped:
            parts.append(f"{dropped} dropped ({reason})")
        if drops:
            parts.append(f"{drops} datagrams lost by the kernel")
        self.log.warn("Ticks are lost: {what}", what=", ".join(parts))

    def _log_end(self) -> None:
        self.log.info(
            "Ticks are no longer lost; since the start {dropped} dropped, {lost} by the kernel",
            dropped=self._reported[0],
            lost=self._reported[1],
        )

    def _report_rejected(self) -> None:
        """Log once that records of new symbols are refused, as long as they come."""
        rejected, self.rejected = self.rejected, 0
        if rejected and not self._rejecting:
            self.log.warn(
                "{count} records are refused: there are {most} symbols (ticks.max_symbols), and "
                "theirs are new",
                count=rejected,
                most=self._max_symbols,
            )
        self._rejecting = bool(rejected)


def _reason(unstored: int, disk_is_full: bool) -> str:
    if unstored:
        return "the store rejects them"
    return "the disk is nearly full" if disk_is_full else "the queue was full"
