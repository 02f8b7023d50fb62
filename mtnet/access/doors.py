"""How many connections each service has, of whom, and who has to go when there are too many."""

import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from mtnet.access.limits import Budget, network
from mtnet.settings import Connections

EARLY = 0.1
"""The share of the strangers that there may be from which on one is closed now and then."""
LEAST = 0.3
"""How often, from there on; always when there are more than there may be (OpenSSH's
`MaxStartups 10:30:100`)."""
CANDIDATES = 4
"""Strangers of whom the one that came first is closed: an honest one has logged in long before
it is the oldest of four, and no crowd can wait until it is."""


class Guest(Protocol, Hashable):
    """
    A connection.

    Attributes:
        host: the address it came from; empty = a Unix socket.
        trusted: it is from this machine's owner, and counts for nothing.
        known: somebody logged in from its network before.
        number: of the strangers that came before it.
    """

    host: str
    trusted: bool
    known: bool
    number: int

    def turn_out(self) -> None:
        """Close it."""


class Door:
    """
    The connections of one service, on all its listeners.

    Args:
        rush: strangers who may come in a second.
        chance: returns a number from 0 to 1.

    Attributes:
        refused: how many found no place, by the reason.
    """

    def __init__(
        self, most: Connections, rush: int, chance: Callable[[], float] = random.random
    ) -> None:
        self._rush = Budget(rush, 0.0)
        self._total, self._network = most.total or 0, most.network or 0
        self._most_strangers, self._chance = most.strangers or 0, chance
        self._guests: dict[Guest, None] = {}
        self._networks: Counter[str] = Counter()
        self._strangers: list[Guest] = []
        self._places: dict[Guest, int] = {}
        self._arrivals = 0
        self.refused: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._guests)

    @property
    def strangers(self) -> int:
        """How many have neither logged in nor done what they may do without."""
        return len(self._strangers)

    def rushed(self, when: float) -> bool:
        """Count a stranger who comes at a time in seconds; say whether too many did just now."""
        if not self._rush.spend(1, when):
            return False
        self._rush.spend(-1, when)
        self.refused["rush"] += 1
        return True

    def enter(self, guest: Guest) -> bool:
        """Count a connection; False = there is no place for it."""
        of = network(guest.host)
        if not guest.trusted and self._is_full(of):
            return False
        self._guests[guest] = None
        self._networks[of] += 1
        return True

    def leave(self, guest: Guest) -> None:
        """Forget a connection that entered."""
        of = network(guest.host)
        self.settle(guest)
        del self._guests[guest]
        self._networks[of] -= 1
        if not self._networks[of]:
            del self._networks[of]

    def wait(self, guest: Guest) -> None:
        """Count a connection as a stranger's, until it is settled, and close one if need be."""
        if guest.trusted or guest.known:
            return
        self._arrivals += 1
        guest.number = self._arrivals
        self._places[guest] = len(self._strangers)
        self._strangers.append(guest)
        if self._chance() < self._pressure():
            self.refused["turned out"] += 1
            gone = self._candidate()
            self.settle(gone)  # its connection is still there for a moment
            gone.turn_out()

    def settle(self, guest: Guest) -> None:
        """A stranger is none any more."""
        place = self._places.pop(guest, None)
        if place is None:
            return
        last = self._strangers.pop()
        if last is not guest:
            self._strangers[place] = last
            self._places[last] = place

    def turn_out(self, unwanted: Callable[[str], bool]) -> None:
        """Close the connections from the hosts that are not wanted any more."""
        for guest in [*self._guests]:
            if not guest.trusted and unwanted(guest.host):
                guest.turn_out()

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        return {"connections": self.total, "strangers": self.strangers, **self.refused}

    def _is_full(self, of: str) -> bool:
        if self.total >= self._total:
            self.refused["full"] += 1
        elif of and self._networks[of] >= self._network:
            self.refused["network full"] += 1
        else:
            return False
        return True

    def _pressure(self) -> float:
        """Return how likely it is that one has to go."""
        early = EARLY * self._most_strangers
        over = (self.strangers - early) / (self._most_strangers - early)
        return 0.0 if over <= 0 else LEAST + (1 - LEAST) * over

    def _candidate(self) -> Guest:
        found = (
            self._strangers[int(self._chance() * self.strangers) % self.strangers]
            for _ in range(CANDIDATES)
        )
        return min(found, key=lambda guest: guest.number)
