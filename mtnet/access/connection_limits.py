"""
Connection limiter: how many connections a service has, and which one is closed above a limit.

Connections that may do nothing yet are dropped at random, as by OpenSSH's `MaxStartups`: a crowd
that waits cannot keep honest clients out.
"""

import random
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Protocol

from mtnet.access.addresses import network_of
from mtnet.access.throttle import TokenBucket
from mtnet.config.schema import Connections

EARLY = 0.1
"""Share of the limit of unauthenticated connections above which some are closed."""
LEAST = 0.3
"""Probability of that at `EARLY`; it rises to 1 at the limit (`MaxStartups 10:30:100`)."""
CANDIDATES = 4
"""Connections drawn, of which the oldest is closed: an honest client has logged in long before it
is the oldest of four, and a crowd cannot wait until it is not."""


class Connection(Protocol, Hashable):
    """
    A connection.

    Attributes:
        host: the address it comes from; empty = a Unix socket.
        trusted: it comes from this machine's owner, and limits do not apply.
        known: somebody has logged in from its network.
        number: its place in the order of arrival.
    """

    host: str
    trusted: bool
    known: bool
    number: int

    def evict(self) -> None:
        """Close it."""


class EvictionPool:
    """Set of connections from which a random old one can be drawn."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._connections: list[Connection] = []
        self._places: dict[Connection, int] = {}

    def __len__(self) -> int:
        return len(self._connections)

    def __contains__(self, connection: object) -> bool:
        return connection in self._places

    def add(self, connection: Connection) -> None:
        """Add a connection that is not in the pool."""
        self._places[connection] = len(self._connections)
        self._connections.append(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection, if it is in the pool."""
        place = self._places.pop(connection, None)
        if place is None:
            return
        last = self._connections.pop()
        if last is not connection:
            self._connections[place] = last
            self._places[last] = place

    def candidate(self) -> Connection:
        """Return the oldest of some that are drawn at random."""
        count = len(self._connections)
        drawn = (self._connections[int(self._chance() * count) % count] for _ in range(CANDIDATES))
        return min(drawn, key=lambda connection: connection.number)


class ConnectionLimiter:
    """
    The connections of one service, on all its listeners.

    A connection without any right is evictable until it logs in. One with anonymous rights that
    is silent, as some honest clients are, is closed only where another would find no place.

    Args:
        rate: unauthenticated connections a second.
        chance: returns a number from 0 to 1.

    Attributes:
        refused: how many connections were closed, by the reason.
    """

    def __init__(
        self, limits: Connections, rate: int, chance: Callable[[], float] = random.random
    ) -> None:
        self._rate = TokenBucket(rate, 0.0)
        self._max_total, self._max_network = limits.total or 0, limits.network or 0
        self._max_known = max(self._max_network, limits.known_network or 0)
        self._max_unauthenticated, self._chance = limits.unauthenticated or 0, chance
        self._connections: dict[Connection, None] = {}
        self._networks: Counter[str] = Counter()
        self._unauthenticated, self._silent = EvictionPool(chance), EvictionPool(chance)
        self._arrivals = 0
        self.refused: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Number of connections."""
        return len(self._connections)

    @property
    def unauthenticated(self) -> int:
        """Number of those that may do nothing yet, or have begun a command and not ended it."""
        return len(self._unauthenticated)

    def over_rate(self, when: float) -> bool:
        """Count an unauthenticated connection at a time in seconds; return whether to close it."""
        if not self._rate.spend(1, when):
            return False
        self._rate.spend(-1, when)
        self.refused["rush"] += 1
        return True

    def admit(self, connection: Connection) -> bool:
        """Count a connection; return whether there is a place for it."""
        network = network_of(connection.host)
        if not connection.trusted and self._is_full(network, connection.known):
            return False
        self._connections[connection] = None
        self._networks[network] += 1
        return True

    def remove(self, connection: Connection) -> None:
        """Forget a connection that was admitted."""
        network = network_of(connection.host)
        self.mark_active(connection)
        del self._connections[connection]
        self._networks[network] -= 1
        if not self._networks[network]:
            del self._networks[network]

    def mark_unauthenticated(self, connection: Connection, allowed: bool = False) -> None:
        """
        Make a connection evictable until it is active, and evict one when there are too many.

        Args:
            allowed: it has rights without a login.
        """
        if connection.trusted or connection.known or connection in self._unauthenticated:
            return
        self._silent.discard(connection)
        self._arrivals += 1
        connection.number = self._arrivals
        (self._silent if allowed else self._unauthenticated).add(connection)
        if not allowed and self._chance() < self._pressure():
            self._evict_from(self._unauthenticated)

    def mark_active(self, connection: Connection) -> None:
        """Make a connection not evictable."""
        self._unauthenticated.discard(connection)
        self._silent.discard(connection)

    def evict_if(self, unwanted: Callable[[str], bool]) -> None:
        """Close the connections whose host is unwanted."""
        for connection in [*self._connections]:
            if not connection.trusted and unwanted(connection.host):
                connection.evict()

    def report(self) -> dict[str, int]:
        """Return the figures for `mtnet status`."""
        return {"connections": self.total, "strangers": self.unauthenticated, **self.refused}

    def _is_full(self, network: str, known: bool) -> bool:
        most = self._max_known if known else self._max_network
        if network and self._networks[network] >= most:
            self.refused["network full"] += 1
        elif self.total < self._max_total:
            return False
        elif self._silent:
            self._evict_from(self._silent)
            return False
        else:
            self.refused["full"] += 1
        return True

    def _evict_from(self, pool: EvictionPool) -> None:
        self.refused["turned out"] += 1
        evicted = pool.candidate()
        self.mark_active(evicted)  # its connection still exists for a moment
        evicted.evict()

    def _pressure(self) -> float:
        """Return the probability that one is closed."""
        early = EARLY * self._max_unauthenticated
        over = (self.unauthenticated - early) / (self._max_unauthenticated - early)
        return 0.0 if over <= 0 else LEAST + (1 - LEAST) * over
