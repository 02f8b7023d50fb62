"""
Exponential backoff of clients that connect again.

Pure.
"""

from random import uniform

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between attempts to connect again: a server's restart is noticed in half a minute."""
DELAY_FACTOR = 1.6
"""Factor of the exponential back-off between attempts."""


def backoff(attempt: int) -> float:
    """Return seconds that grow with each attempt, with jitter so that clients spread out."""
    return longest_delay(attempt) * uniform(0.5, 1.0)


def longest_delay(attempt: int) -> float:
    """Return the most seconds that `backoff` returns."""
    try:
        return min(LONGEST_DELAY, FIRST_DELAY * DELAY_FACTOR**attempt)
    except OverflowError:
        return LONGEST_DELAY
