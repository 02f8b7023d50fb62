"""How many connections each service has, of whom, and who has to go when there are too many."""

import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from mtnet.access.addresses import network_of
from mtnet.access.throttle import TokenBucket
from mtnet.config.schema import Connections

EARLY = 0.1
"""The share of the strangers that there may be from which on one is closed now and then."""
LEAST = 0.3
"""How often, from there on; always when there are more than there may be (OpenSSH's
`MaxStartups 10:30:100`)."""
CANDIDATES = 4
"""Strangers of whom the one that came first is closed: an honest one has logged in long before
it is the oldest of four, and no crowd can wait until it is."""


class Connection(Protocol, Hashable):
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

    def evict(self) -> None:
        """Close it."""


class EvictionPool:
    """Connections of which some have to go, and it is chance that says which."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._connections: list[Connection] = []
        self._places: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: object) -> bool:
        return connection in self._places

    def add(self, connection: Connection) -> None:
        """Take one in that is not there."""
        self._places[connection] = len(self._connections)
        self._connections.append(connection)

    def discard(self, connection: Connection) -> None:
        """Forget one, if it is there."""
        place = self._places.pop(connection, None)
        if place is None:
            return
        last = self._connections.pop()
        if last is not connection:
            self._connections[place] = last
            self._places[last] = place

    def candidate(self) -> Connection:
        """Return the one that came first of some."""
        count = len(self._connections)
        found = (self._connections[int(self._chance() * count) % count] for _ in range(CANDIDATES))
        return min(found, key=lambda connection: connection.number)


class ConnectionLimiter:
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
        self._rush = TokenBucket(rush, 0.0)
        self._total, self._network = most.total or 0, most.network or 0
        self._most_strangers, self._chance = most.unauthenticated or 0, chance
        self._connections: dict[Connection, None] = {}
        self._networks: Counter[str] = Counter()
        self._unauthenticated, self._silent = EvictionPool(chance), EvictionPool(chance)
        self._arrivals = 0
        self.refused: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """How many there are."""
        return len(self._connections)

    @property
    def unauthenticated(self) -> int:
        """How many may do nothing yet, or have begun to say something and not ended it."""
        return len(self._unauthenticated)

    def over_rate(self, when: float) -> bool:
        """Count a stranger who comes at a time in seconds; say whether too many did just now."""
        if not self._rush.spend(1, when):
            return False
        self._rush.spend(-1, when)
        self.refused["rush"] += 1
        return True

    def admit(self, connection: Connection) -> bool:
        """Count a connection; False = there is no place for it."""
        of = network_of(connection.host)
        if not connection.trusted and self._is_full(of):
            return False
        self._connections[connection] = None
        self._networks[of] += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that entered."""
        of = network_of(connection.host)
        self.mark_active(connection)
        del self._connections[connection]
        self._networks[of] -= 1
        if not self._networks[of]:
            del self._networks[of]

    def mark_unauthenticated(self, connection: Connection, allowed: bool = False) -> None:
        """
        Let a connection wait until it is settled, and close one if need be.

        Args:
            allowed: it may do something without a login, and is no stranger.
        """
        if connection.trusted or connection.known or connection in self._unauthenticated:
            return
        self._silent.discard(connection)
        self._arrivals += 1
        connection.number = self._arrivals
        (self._silent if allowed else self._unauthenticated).add(connection)
        if not allowed and self._chance() < self._pressure():
            self._make_room(self._unauthenticated)

    def mark_active(self, connection: Connection) -> None:
        """A connection waits no more."""
        self._unauthenticated.discard(connection)
        self._silent.discard(connection)

    def evict_if(self, unwanted: Callable[[str], bool]) -> None:
        """Close the connections from the hosts that are not wanted any more."""
        for connection in [*self._connections]:
            if not connection.trusted and unwanted(connection.host):
                connection.evict()

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        return {"connections": self.total, "strangers": self.unauthenticated, **self.refused}

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

    def _make_room(self, among: EvictionPool) -> None:
        self.refused["turned out"] += 1
        gone = among.candidate()
        self.mark_active(gone)  # its connection is still there for a moment
        gone.evict()

    def _pressure(self) -> float:
        """Return how likely it is that one has to go."""
        early = EARLY * self._most_strangers
        over = (self.unauthenticated - early) / (self._most_strangers - early)
        return 0.0 if over <= 0 else LEAST + (1 - LEAST) * over
