"""
Patience of receivers: a page lets news wait until it is drawn, all others are sent them at once.

Pure.
"""

from collections.abc import Iterable
from math import inf
from typing import Protocol


class Patient(Protocol):
    """A receiver of news."""

    def patience(self) -> float:
        """Return the seconds for which it keeps news before they leave; 0 = they leave at once."""


def shared_patience(receivers: Iterable[Patient]) -> float:
    """Return the seconds for which each of some receivers would keep news; 0 = there are none."""
    shortest = inf
    for each in receivers:
        shortest = min(shortest, each.patience())
        if not shortest:  # of thousands, most have none
            return 0.0
    return 0.0 if shortest == inf else shortest
