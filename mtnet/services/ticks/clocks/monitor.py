"""
Monitor of brokers' clocks: how far each source is ahead of UTC, by the receipt of its ticks.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from mtnet.callbacks import noop
from mtnet.services.ticks.clocks.measured import QUARTER, measured
from mtnet.services.ticks.wire import Record, time_of

EVERY = 1_000
"""Milliseconds between two samples of a source: 900 in a quarter of an hour are plenty."""
ENOUGH = 3
"""Samples of a quarter of an hour that say something about a clock: a single tick may be late."""

Report = Callable[[str, int, int], object]
"""Is told the name of a source, and by how many milliseconds it was and is ahead of UTC."""


@dataclass
class _Measure:
    quarter: int = 0
    sampled: int = 0
    samples: list[int] = field(default_factory=list)
    ahead: int | None = None


class ClockMonitor:
    """
    Measures the clock of each source, a sample a second and a value each quarter of an hour.

    Attributes:
        report: called when a clock has changed by a quarter of an hour or more.
    """

    def __init__(self) -> None:
        self.report: Report = noop
        self._measures: dict[str, _Measure] = {}

    def ahead(self, source: str) -> int | None:
        """Return by how many milliseconds a clock is ahead of UTC; None = not known yet."""
        found = self._measures.get(source)
        return None if found is None else found.ahead

    def take(self, source: str, records: Sequence[Record], when: int) -> None:
        """Take records of a source that came at `when`."""
        found = self._measures.get(source)
        if found is None:
            found = self._measures[source] = _Measure(when // QUARTER)
        if abs(when - found.sampled) < EVERY or not records:
            return
        time = time_of(records[-1][1])
        if time is None:
            return
        found.sampled = when
        if when // QUARTER != found.quarter:
            self._close(source, found)
            found.quarter = when // QUARTER
        found.samples.append(when - time)

    def _close(self, source: str, found: _Measure) -> None:
        """Measure the quarter of an hour that is over."""
        samples, found.samples = found.samples, []
        if len(samples) < ENOUGH:
            return
        before, found.ahead = found.ahead, -measured(samples)
        if before is not None and before != found.ahead:
            self.report(source, before, found.ahead)


def distance(ahead: int) -> str:
    """Return a distance from UTC as people write it: `UTC+2`, `UTC-5:30`."""
    hours, minutes = divmod(abs(ahead) // 60_000, 60)
    return f"UTC{'-' if ahead < 0 else '+'}{hours}" + f":{minutes:02}" * bool(minutes)
