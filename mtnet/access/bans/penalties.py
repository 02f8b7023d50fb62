"""Penalties: they add up, become bans, expire, and are forgotten; their number is bounded."""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from typing import NamedTuple

SLACK = 16
"""Outdated entries of the heap that are left until they come up, however few penalties there
are."""


class Key(NamedTuple):
    """
    The holder of a penalty.

    Attributes:
        network: as `network_of` names it, or a wider one.
        login: a name that was tried from there; empty = the network itself.
        by_hand: whether the owner gave it.
    """

    network: str
    login: str = ""
    by_hand: bool = False


class Penalty(NamedTuple):
    """
    The sum of somebody's offences.

    Attributes:
        until: when it ends, in seconds of the clock in use; infinite = never.
        cap: the longest that it can last, seconds.
        enforced: whether it is a ban.
        failures: bad logins that are remembered.
        why: the last offence.
    """

    until: float
    cap: float
    enforced: bool = False
    failures: int = 0
    why: str = ""

    def left(self, when: float) -> float:
        """Return for how many seconds it still bans."""
        return max(0.0, self.until - when) if self.enforced else 0.0

    def grown(self, weight: float, cap: float, threshold: float, when: float) -> "Penalty":
        """
        Return the penalty after another offence.

        Args:
            weight: seconds to add.
            cap: seconds, from now, that an offence of this kind can lead to.
            threshold: seconds from which on a penalty is a ban.
        """
        # An offence with a low cap must not shorten the penalty of one with a high cap.
        until = max(self.until, min(max(self.until, when) + weight, when + cap))
        # As floats, 5 s and 10 s later than some moment are not always 15 s later.
        enforced = self.left(when) > 0 or round(until - when, 3) >= threshold
        return self._replace(until=until, cap=max(self.cap, cap), enforced=enforced)


class Penalties:
    """
    Bounded table of penalties, with a heap of their ends.

    Args:
        capacity: number of penalties; above it, the one that ends first is dropped.
        memory: seconds for which an expired penalty is remembered.

    Attributes:
        touched: the keys whose penalty is new, other or gone; whoever stores them takes them out.
    """

    def __init__(self, capacity: int, memory: float) -> None:
        self._capacity, self._memory = capacity, memory
        self._penalties: dict[Key, Penalty] = {}
        self._of_network: defaultdict[str, set[Key]] = defaultdict(set)
        self.touched: set[Key] = set()
        # A penalty that grew or went leaves its old end in the heap until it comes up.
        self._ends: list[tuple[float, Key]] = []

    def __len__(self) -> int:
        return len(self._penalties)

    def get(self, key: Key, when: float) -> Penalty | None:
        """Return a penalty that is remembered."""
        found = self._penalties.get(key)
        return found if found is not None and found.until + self._memory > when else None

    def put(self, key: Key, penalty: Penalty, when: float) -> None:
        """Remember a penalty, in place of the one before."""
        self._penalties[key] = penalty
        self._of_network[key.network].add(key)
        self.touched.add(key)
        heappush(self._ends, (penalty.until, key))
        self.expire(when)

    def drop(self, key: Key) -> bool:
        """Forget a penalty; return whether there was one."""
        if self._penalties.pop(key, None) is None:
            return False
        keys = self._of_network[key.network]
        keys.discard(key)
        if not keys:
            del self._of_network[key.network]
        self.touched.add(key)
        return True

    def drop_network(self, network: str) -> bool:
        """Forget the penalties of a network and of its logins; return whether there were any."""
        return any([self.drop(key) for key in list(self._of_network.get(network, ()))])

    def expire(self, when: float) -> None:
        """Forget the penalties that are too old, and those that do not fit."""
        while self._ends and self._may_go(when):
            until, key = heappop(self._ends)
            if self._is_current(until, key):
                self.drop(key)
        if len(self._ends) > 2 * len(self._penalties) + SLACK:
            self._ends = [(penalty.until, key) for key, penalty in self._penalties.items()]
            heapify(self._ends)

    def current(self, key: Key) -> Penalty | None:
        """Return a penalty, also one that is to be forgotten."""
        return self._penalties.get(key)

    def all(self) -> dict[Key, Penalty]:
        """Return a copy of all, those too that are to be forgotten."""
        return dict(self._penalties)

    def _may_go(self, when: float) -> bool:
        until, key = self._ends[0]
        full = len(self._penalties) > self._capacity
        return full or until + self._memory <= when or not self._is_current(until, key)

    def _is_current(self, until: float, key: Key) -> bool:
        found = self._penalties.get(key)
        return found is not None and found.until == until
