"""
Rate limit: a sliding window of events.

Pure: methods take `when`, in seconds of one monotonic clock.
"""

from collections import OrderedDict, deque

WINDOW = 60.0
"""Seconds: limits are for a minute."""
MAX_SENDERS = 4_096
"""Senders that are counted; the one that was heard first is forgotten first."""


class RateLimit:
    """
    Sliding window: at most so many events in any minute.

    Args:
        most: events in a minute.
    """

    def __init__(self, most: int) -> None:
        self._times: deque[float] = deque(maxlen=most)

    def wait(self, when: float) -> float:
        """Return the seconds until there may be one more event."""
        full = len(self._times) == self._times.maxlen
        return max(0.0, self._times[0] + WINDOW - when) if full else 0.0

    def spend(self, when: float) -> None:
        """Count one event."""
        self._times.append(when)


class SenderLimits:
    """LRU table of the rate limits of senders, by name."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._limits: OrderedDict[str, RateLimit] = OrderedDict()

    def wait(self, sender: str, when: float) -> float:
        """Count one event of a sender, if there may be one; return the seconds until then."""
        limit = self._limits.setdefault(sender, RateLimit(self._most))
        self._limits.move_to_end(sender)
        if len(self._limits) > MAX_SENDERS:
            self._limits.popitem(last=False)
        wait = limit.wait(when)
        if not wait:
            limit.spend(when)
        return wait
