"""How much of one thing a peer may cause."""

from collections import OrderedDict
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

LOG_BURST = 5
"""Log lines about one network in `LOG_WINDOW`: enough to see what it does."""
LOG_WINDOW = 60.0
"""Seconds after which a network may fill the log anew."""
LOG_NETWORKS = 4_096
"""Networks remembered; the oldest is forgotten first."""
RECENT = 4_096
"""Hosts that are not worked out again: each connection asks several times."""
LOG_KIND = 15
"""Log lines of one kind in `LOG_WINDOW`, of all networks: who has many fills no disk either."""


@lru_cache(RECENT)
def parse_address(host: str) -> IPv4Address | IPv6Address:
    """
    Return the address that a host is.

    Raises:
        ValueError: it is none.
    """
    return ip_address(host)


@lru_cache(RECENT)
def network(host: str) -> str:
    """Return the network that a host is counted in: its /32, or its /64 for IPv6."""
    try:
        address = parse_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ip_network((address, 64), strict=False))


class LogThrottle:
    """
    Keeps one network, and many together, from filling the log.

    Attributes:
        left_out: how many lines were not written so far.
    """

    def __init__(
        self,
        burst: int = LOG_BURST,
        window: float = LOG_WINDOW,
        networks: int = LOG_NETWORKS,
        kind: int = LOG_KIND,
    ) -> None:
        self._burst, self._window, self._networks, self._kind = burst, window, networks, kind
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._kinds: dict[str, tuple[float, int]] = {}
        self.left_out = 0

    def admits(self, host: str, when: float, kind: str = "") -> bool:
        """
        Count one line about `host` at the time `when` (seconds); say whether to write it.

        Args:
            kind: lines of one kind leave room for those of another. There are few.
        """
        admitted = self._count(host, when, kind) and self._count_kind(when, kind)
        self.left_out += not admitted
        return admitted

    def _count(self, host: str, when: float, kind: str) -> bool:
        key = network(host), kind
        since, count = self._going_on(self._seen.get(key), when)
        self._seen[key] = since, count + 1
        if len(self._seen) > self._networks:
            self._seen.popitem(last=False)
        return count < self._burst

    def _count_kind(self, when: float, kind: str) -> bool:
        since, count = self._going_on(self._kinds.get(kind), when)
        self._kinds[kind] = since, count + 1
        return count < self._kind

    def _going_on(self, found: tuple[float, int] | None, when: float) -> tuple[float, int]:
        """Return since when it is counted, and how many there were."""
        return (when, 0) if found is None or when - found[0] >= self._window else found


class TokenBucket:
    """
    So much a second, of which a second's worth may come at once.

    Args:
        rate: how much.
        when: seconds of the clock.
    """

    __slots__ = ("_free", "_rate", "_when")

    def __init__(self, rate: float, when: float) -> None:
        self._rate, self._when, self._free = rate, when, rate

    def spend(self, count: float, when: float) -> float:
        """Take `count` of it; return the seconds until there is something left again."""
        gained = (when - self._when) * self._rate
        self._free = min(self._rate, self._free + gained) - count
        self._when = when
        return max(0.0, -self._free / self._rate)
