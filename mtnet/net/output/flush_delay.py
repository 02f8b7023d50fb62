"""
The flush delay of receivers: a page's news wait for one write, all others' leave at once.

Pure.
"""

from collections.abc import Iterable
from math import inf
from typing import Protocol


class CoalescingReceiver(Protocol):
    """A receiver of news, several of which may leave in one write."""

    def flush_delay(self) -> float:
        """Return the seconds for which it keeps news before they leave; 0 = they leave at once."""


def shared_flush_delay(receivers: Iterable[CoalescingReceiver]) -> float:
    """Return the seconds for which each of some receivers would keep news; 0 = there are none."""
    shortest = inf
    for each in receivers:
        shortest = min(shortest, each.flush_delay())
        if not shortest:  # of thousands, most have none
            return 0.0
    return 0.0 if shortest == inf else shortest
