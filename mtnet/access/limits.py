"""How much of one thing a peer may cause."""

from collections import OrderedDict
from ipaddress import ip_address, ip_network

LOG_BURST = 5
"""Log lines about one network in `LOG_WINDOW`: enough to see what it does."""
LOG_WINDOW = 60.0
"""Seconds after which a network may fill the log anew."""
LOG_NETWORKS = 4_096
"""Networks remembered; the oldest is forgotten first."""


def network(host: str) -> str:
    """Return the network that a host is counted in: its /32, or its /64 for IPv6."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    mapped = getattr(address, "ipv4_mapped", None)
    if address.version == 4 or mapped:
        return str(mapped or address)
    return str(ip_network((address, 64), strict=False))


class LogLimit:
    """
    Keeps one network from filling the log.

    Attributes:
        left_out: how many lines were not written so far.
    """

    def __init__(
        self, burst: int = LOG_BURST, window: float = LOG_WINDOW, networks: int = LOG_NETWORKS
    ) -> None:
        self._burst, self._window, self._networks = burst, window, networks
        self._seen: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self.left_out = 0

    def admits(self, host: str, when: float, kind: str = "") -> bool:
        """
        Count one line about `host` at the time `when` (seconds); say whether to write it.

        Args:
            kind: lines of one kind leave room for those of another.
        """
        key = network(host), kind
        since, count = self._seen.get(key, (when, 0))
        if when - since >= self._window:
            since, count = when, 0
        self._seen[key] = (since, count + 1)
        if len(self._seen) > self._networks:
            self._seen.popitem(last=False)
        self.left_out += count >= self._burst
        return count < self._burst
