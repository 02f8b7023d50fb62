"""Networks that the owner has banned."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from mtnet.access.bans.penalties import Key, Penalty
from mtnet.errors import WireError

WHY = "by hand"
MAPPED = 96
"""Bits before the IPv4 address in an IPv6 address that stands for one."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Prefix = tuple[int, int, int]
"""Version, length and leading bits of a network."""


def parse_network(text: str) -> Network:
    """
    Read an address or a network, IPv4 as such.

    Raises:
        WireError: `network`; it is neither.
    """
    try:
        found = ip_network(text, strict=False)
    except ValueError as error:
        raise WireError(
            "network",
            f"{text!r} is no address nor network: 192.0.2.7 or 192.0.2.0/24 would be one",
        ) from error
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is None or found.prefixlen < MAPPED:
        return found
    return ip_network((mapped, found.prefixlen - MAPPED))


class ManualBans:
    """The bans, by network; only the owner adds to them, so that they are not bounded."""

    def __init__(self) -> None:
        self._held: dict[Prefix, tuple[Network, Penalty]] = {}
        self._sizes: dict[int, set[int]] = {4: set(), 6: set()}

    def put(self, network: Network, penalty: Penalty) -> None:
        """Ban a network, instead of what was said of it before."""
        self._held[_prefix(network)] = network, penalty
        self._sizes[network.version].add(network.prefixlen)

    def drop(self, network: Network) -> bool:
        """Lift a ban; say whether there was one."""
        return self._held.pop(_prefix(network), None) is not None

    def tidy(self, when: float) -> None:
        """Forget the bans that are over."""
        over = [network for network, ban in self._held.values() if not ban.left(when)]
        for network in over:
            self.drop(network)

    def __len__(self) -> int:
        """Return how many bans there are."""
        return len(self._held)

    def left(self, address: Address, when: float) -> float:
        """Return for how many seconds an address is kept out still."""
        # One look for each length that a network ever had, however many bans there are.
        bits, version, longest = int(address), address.version, address.max_prefixlen
        around = ((version, size, bits >> (longest - size)) for size in self._sizes[version])
        bans = (self._held[prefix][1] for prefix in around if prefix in self._held)
        return max((ban.left(when) for ban in bans), default=0.0)

    def all(self) -> dict[Key, Penalty]:
        """Return all, those too that are over."""
        return {Key(str(network), by_hand=True): ban for network, ban in self._held.values()}


def _prefix(network: Network) -> Prefix:
    bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
    return network.version, network.prefixlen, bits
