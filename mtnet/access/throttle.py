"""Rate limits: a token bucket, and a throttle for log lines."""

from collections import OrderedDict
from sys import intern

from mtnet.access.addresses import network_of

LOG_BURST = 5
"""Log lines about one network in `LOG_WINDOW`: enough to see what it does."""
LOG_WINDOW = 60.0
"""Seconds after which the count of log lines starts again."""
LOG_NETWORKS = 1_024
"""Networks counted, 250 bytes each; the one that was seen first is dropped first."""
LOG_KIND = 15
"""Log lines of one kind in `LOG_WINDOW`, of all networks: an attacker with many networks cannot
fill the disk either."""


class LogThrottle:
    """
    Fixed-window counter of log lines, for each network and for all together.

    Attributes:
        left_out: how many lines were not written so far.
    """

    def __init__(
        self,
        burst: int = LOG_BURST,
        window: float = LOG_WINDOW,
        networks: int = LOG_NETWORKS,
        kind: int = LOG_KIND,
    ) -> None:
        self._burst, self._window, self._networks, self._kind = burst, window, networks, kind
        self._seen: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()
        self._kinds: dict[str, tuple[float, int]] = {}
        self.left_out = 0

    def admits(self, host: str, when: float, kind: str = "", login: str = "") -> bool:
        """
        Count one line about `host` at the time `when` (seconds); return whether to write it.

        Args:
            kind: lines of one kind do not use up the room of another. There are few kinds.
            login: each one of a network has room of its own.
        """
        key = network_of(host), login, intern(kind)
        admitted = self._count(key, when) and self._count_kind(when, kind)
        self.left_out += not admitted
        return admitted

    def _count(self, key: tuple[str, str, str], when: float) -> bool:
        since, count = self._window_of(self._seen.get(key), when)
        self._seen[key] = since, count + 1
        if len(self._seen) > self._networks:
            self._seen.popitem(last=False)
        return count < self._burst

    def _count_kind(self, when: float, kind: str) -> bool:
        since, count = self._window_of(self._kinds.get(kind), when)
        self._kinds[kind] = since, count + 1
        return count < self._kind

    def _window_of(self, found: tuple[float, int] | None, when: float) -> tuple[float, int]:
        """Return when the current window began, and how many lines it has."""
        return (when, 0) if found is None or when - found[0] >= self._window else found


def take_tokens(full: float, cost: float, when: float) -> tuple[float, float]:
    """
    Take tokens of a bucket that holds those of one second, and may go into debt.

    Args:
        full: seconds of the clock at which all are back.
        cost: seconds in which as many come as are taken.
        when: seconds of the clock.

    Returns:
        When all are back now, and the seconds until there is one again.
    """
    full = max(full, when) + cost
    return full, max(0.0, full - when - 1.0)


class TokenBucket:
    """
    Token bucket that holds the tokens of one second; it may go into debt.

    Args:
        rate: tokens a second.
        when: seconds of the clock.
    """

    __slots__ = ("_full", "_rate")

    def __init__(self, rate: float, when: float) -> None:
        self._rate, self._full = rate, when

    def spend(self, count: float, when: float) -> float:
        """Take `count` tokens; return the seconds until there is one again."""
        self._full, delay = take_tokens(self._full, count / self._rate, when)
        return delay
