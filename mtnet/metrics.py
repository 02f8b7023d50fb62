"""Metrics as values: counters, gauges and histograms, over plain integers."""

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate
from time import monotonic
from typing import Literal, NamedTuple, TypeVar

T = TypeVar("T")

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Upper bounds of the buckets in seconds, from a quick disk to one that makes followers late."""


class Histogram:
    """
    Cumulative histogram, cheap enough for every commit.

    One thread observes; any thread may read, and sees each observation or not yet.

    Args:
        bounds: the inclusive upper bounds of the buckets, rising; one without a bound is added.

    Attributes:
        sum: of all that was observed.
    """

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value; one below 0, of a clock that was set back, counts as 0."""
        if value < 0.0:
            value = 0.0
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def timed(self, function: Callable[..., T], *args: object) -> T:
        """Call a function, count the seconds that it took, and return what it returns."""
        began = monotonic()
        result = function(*args)
        seconds = monotonic() - began
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self.sum += seconds
        return result

    def buckets(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many values were not above it) pairs; the last is `+Inf`."""
        names = [*map(repr, self._bounds), "+Inf"]
        return list(zip(names, accumulate(self._counts), strict=True))


Value = float | Histogram | Mapping[tuple[str, ...], float]
"""What a metric is now; a mapping has the values of its labels as keys."""


class Metric(NamedTuple):
    """
    One metric of a component.

    Attributes:
        name: as Prometheus has it: it begins with `mtnet_`, the component and `_`, and ends in its
            base unit; that of a counter ends in `_total`.
        kind: of the metric.
        help: a sentence.
        read: returns what it is now, of the kind; it must not block.
        labels: the names of its labels: no login, no address and no money, since many may read
            metrics.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    read: Callable[[], Value]
    labels: tuple[str, ...] = ()
