"""Penalties that add up, keep out, end, and are forgotten; no more of them than fit."""

from heapq import heapify, heappop, heappush
from typing import NamedTuple

SLACK = 16
"""Outdated ends that wait to be swept out, however few penalties there are."""


class Key(NamedTuple):
    """
    Who has a penalty.

    Attributes:
        network: as `limits.network` names it, or a wider one.
        login: a name that was tried from there; empty = the network itself.
        by_hand: whether the owner gave it.
    """

    network: str
    login: str = ""
    by_hand: bool = False


class Penalty(NamedTuple):
    """
    What somebody has earned.

    Attributes:
        until: when it ends, in seconds of whoever holds it; infinite = never.
        most: the longest that it can last, seconds.
        bars: whether it keeps out while it lasts.
        bad: bad logins that are remembered.
        why: what it was given for last.
    """

    until: float
    most: float
    bars: bool = False
    bad: int = 0
    why: str = ""

    def left(self, when: float) -> float:
        """Return for how many seconds it keeps out still."""
        return max(0.0, self.until - when) if self.bars else 0.0

    def grown(self, weight: float, cap: float, enforced: float, when: float) -> "Penalty":
        """
        Return what it becomes with another offence.

        Args:
            weight: seconds that are added.
            cap: seconds, from now, that an offence of this kind can lead to.
            enforced: seconds from which on a penalty keeps out.
        """
        # An offence with a low cap must not shorten what one with a high cap has led to.
        until = max(self.until, min(max(self.until, when) + weight, when + cap))
        # 5 s and 10 s later than some moment are, as floats, not always 15 s later.
        bars = self.left(when) > 0 or round(until - when, 3) >= enforced
        return self._replace(until=until, most=max(self.most, cap), bars=bars)


class Penalties:
    """
    Everybody's, for as long as they are remembered.

    Args:
        entries: how many fit; when there are more, that goes which ends first.
        forget: seconds, after a penalty has ended, for which it is remembered.
    """

    def __init__(self, entries: int, forget: float) -> None:
        self._entries, self._forget = entries, forget
        self._held: dict[Key, Penalty] = {}
        # A heap. A penalty that grew or went leaves its old end behind, until it comes up.
        self._ends: list[tuple[float, Key]] = []

    def get(self, key: Key, when: float) -> Penalty | None:
        """Return a penalty that is remembered."""
        found = self._held.get(key)
        return found if found is not None and found.until + self._forget > when else None

    def put(self, key: Key, penalty: Penalty, when: float) -> None:
        """Remember a penalty, instead of what was there."""
        self._held[key] = penalty
        heappush(self._ends, (penalty.until, key))
        self.tidy(when)

    def drop(self, key: Key) -> bool:
        """Forget a penalty; say whether there was one."""
        return self._held.pop(key, None) is not None

    def tidy(self, when: float) -> None:
        """Forget what is old, and what does not fit."""
        while self._ends and self._may_go(when):
            until, key = heappop(self._ends)
            if self._is_current(until, key):
                del self._held[key]
        if len(self._ends) > 2 * len(self._held) + SLACK:
            self._ends = [(penalty.until, key) for key, penalty in self._held.items()]
            heapify(self._ends)

    def all(self) -> dict[Key, Penalty]:
        """Return a copy of all, those too that are to be forgotten."""
        return dict(self._held)

    def __len__(self) -> int:
        return len(self._held)

    def _may_go(self, when: float) -> bool:
        until, key = self._ends[0]
        full = len(self._held) > self._entries
        return full or until + self._forget <= when or not self._is_current(until, key)

    def _is_current(self, until: float, key: Key) -> bool:
        held = self._held.get(key)
        return held is not None and held.until == until
