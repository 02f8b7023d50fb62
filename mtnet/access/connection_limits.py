"""How many connections each service has, of whom, and who has to go when there are too many."""

import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from mtnet.access.throttle import Budget, network
from mtnet.config.schema import Connections

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


class Waiting:
    """Connections of which some have to go, and it is chance that says which."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._guests: list[Guest] = []
        self._places: dict[Guest, int] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def __contains__(self, guest: object) -> bool:
        return guest in self._places

    def add(self, guest: Guest) -> None:
        """Take one in that is not there."""
        self._places[guest] = len(self._guests)
        self._guests.append(guest)

    def discard(self, guest: Guest) -> None:
        """Forget one, if it is there."""
        place = self._places.pop(guest, None)
        if place is None:
            return
        last = self._guests.pop()
        if last is not guest:
            self._guests[place] = last
            self._places[last] = place

    def candidate(self) -> Guest:
        """Return the one that came first of some."""
        count = len(self._guests)
        found = (self._guests[int(self._chance() * count) % count] for _ in range(CANDIDATES))
        return min(found, key=lambda guest: guest.number)


class Door:
    """
    The connections of one service, on all its listeners.

    Those that wait are of two kinds. Strangers may do nothing until they log in or say what they
    want: there are few of them at a time. Whoever already may do what the service is for, and is
    silent as some honest clients are, goes only where somebody else would find no place.

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
        self._strangers, self._silent = Waiting(chance), Waiting(chance)
        self._arrivals = 0
        self.refused: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._guests)

    @property
    def strangers(self) -> int:
        """How many may do nothing yet, or have begun to say something and not ended it."""
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

    def wait(self, guest: Guest, allowed: bool = False) -> None:
        """
        Let a connection wait until it is settled, and close one if need be.

        Args:
            allowed: it may do something without a login, and is no stranger.
        """
        if guest.trusted or guest.known or guest in self._strangers:
            return
        self._silent.discard(guest)
        self._arrivals += 1
        guest.number = self._arrivals
        (self._silent if allowed else self._strangers).add(guest)
        if not allowed and self._chance() < self._pressure():
            self._make_room(self._strangers)

    def settle(self, guest: Guest) -> None:
        """A connection waits no more."""
        self._strangers.discard(guest)
        self._silent.discard(guest)

    def turn_out(self, unwanted: Callable[[str], bool]) -> None:
        """Close the connections from the hosts that are not wanted any more."""
        for guest in [*self._guests]:
            if not guest.trusted and unwanted(guest.host):
                guest.turn_out()

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        return {"connections": self.total, "strangers": self.strangers, **self.refused}

    def _is_full(self, of: str) -> bool:
        if of and self._networks[of] >= self._network:
            self.refused["network full"] += 1
        elif self.total < self._total:
            return False
        elif self._silent:
            self._make_room(self._silent)
            return False
        else:
            self.refused["full"] += 1
        return True

    def _make_room(self, among: Waiting) -> None:
        self.refused["turned out"] += 1
        gone = among.candidate()
        self.settle(gone)  # its connection is still there for a moment
        gone.turn_out()

    def _pressure(self) -> float:
        """Return how likely it is that one has to go."""
        early = EARLY * self._most_strangers
        over = (self.strangers - early) / (self._most_strangers - early)
        return 0.0 if over <= 0 else LEAST + (1 - LEAST) * over
