"""
Quality of the stored ticks of a symbol: silences while it was traded, and suspicious ticks.

Pure, and of constant memory. Times are milliseconds of the broker's clock.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from heapq import heappushpop

from mtnet.durations import DAY_MS
from mtnet.services.ticks.health.calendar import MINUTE, Calendar
from mtnet.services.ticks.storage.reader import Stored
from mtnet.services.ticks.wire import ABSENT

LIMITS = {"1m": MINUTE, "5m": 5 * MINUTE, "30m": 30 * MINUTE, "1h": 60 * MINUTE, "1d": DAY_MS}
"""Silences that are counted: those of more trading time than these."""
LONGEST = 10
"""Silences that are named."""
BURST = 100
"""Ticks in a second from which on it is a burst: EURUSD has 1.6 on a usual day."""


@dataclass
class Quality:
    """
    Counts of the ticks of a symbol.

    Attributes:
        ticks: how many.
        first, last: their lowest and highest order times; None = there is none.
        silences: how many there were of more trading time than each of `LIMITS`.
        longest: trading time, begin and end of the longest ones; shortest first.
        duplicates: ticks that are equal to the one before, time included.
        stale: ticks that repeat the prices of the one before at another time, without a volume.
        crossed: ticks whose ask is below the bid.
        bursts: seconds with `BURST` ticks and more.
        most: ticks of the second that has most.
    """

    ticks: int = 0
    first: int | None = None
    last: int | None = None
    silences: dict[str, int] = field(default_factory=lambda: dict.fromkeys(LIMITS, 0))
    longest: list[tuple[int, int, int]] = field(default_factory=list)
    duplicates: int = 0
    stale: int = 0
    crossed: int = 0
    bursts: int = 0
    most: int = 0


def judge(
    ticks: Iterable[Stored],
    calendar: Calendar,
    start: int | None = None,
    stop: int | None = None,
    utc: Callable[[int], int] = int,
) -> Quality:
    """
    Judge ticks in order of time.

    Args:
        utc: returns the UTC of a time of the broker's clock.
        start, stop: where the ticks should begin and end: silence there counts; None = with the
            first and the last.
    """
    found, before, prices = Quality(), b"", [b""]
    trading = partial(calendar.trading, utc=utc)
    at, second, count = start, -1, 0
    for tick in ticks:
        if at is not None and tick.time - at > MINUTE:
            _silence(found, trading, at, tick.time)
        fields = tick.rest.split(b" ", 4)
        if tick.rest == before and tick.time == at:
            found.duplicates += 1
        elif fields[:3] == prices and (len(fields) < 4 or fields[3] == ABSENT):
            found.stale += 1
        prices = fields[:3]
        if len(fields) > 1 and ABSENT not in fields[:2] and float(fields[1]) < float(fields[0]):
            found.crossed += 1
        if tick.time // 1_000 == second:
            count += 1
        else:
            _burst(found, count)
            second, count = tick.time // 1_000, 1
        if found.first is None:
            found.first = tick.time
        found.ticks += 1
        at, before = tick.time, tick.rest
        found.last = at
    _burst(found, count)
    if at is not None and stop is not None and stop - at > MINUTE:
        _silence(found, trading, at, stop)
    return found


def _burst(found: Quality, count: int) -> None:
    found.bursts += count >= BURST
    found.most = max(found.most, count)


def _silence(found: Quality, traded: Callable[[int, int], int], begin: int, end: int) -> None:
    trading = traded(begin, end)
    if trading <= MINUTE:
        return
    for name, limit in LIMITS.items():
        found.silences[name] += trading > limit
    silence = (trading, begin, end)
    if len(found.longest) < LONGEST:
        found.longest = sorted([*found.longest, silence])
    else:
        heappushpop(found.longest, silence)
