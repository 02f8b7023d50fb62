"""Manual bans: networks that the owner has banned."""

from math import inf

from mtnet.access.addresses import Address, Network
from mtnet.access.bans.penalties import Key, Penalty

REASON = "by hand"


class ManualBans:
    """
    The bans by network prefix. Only the owner adds to them, so their number is not bounded.

    A lookup takes one step for each prefix length in use, however many bans there are.

    Attributes:
        touched: as of `Penalties`.
    """

    def __init__(self) -> None:
        self._bans: dict[tuple[int, int, int], tuple[Network, Penalty]] = {}
        self._lengths: set[tuple[int, int]] = set()
        self.touched: set[Key] = set()
        self._next_end = inf

    def __len__(self) -> int:
        """Return how many bans there are."""
        return len(self._bans)

    def put(self, network: Network, penalty: Penalty) -> None:
        """Ban a network; replace the ban that it had."""
        self._bans[_prefix(network.network_address, network.prefixlen)] = network, penalty
        self._lengths.add((network.version, network.prefixlen))
        self.touched.add(_key(network))
        self._next_end = min(self._next_end, penalty.until)

    def drop(self, network: Network) -> bool:
        """Lift a ban; return whether there was one."""
        prefix = _prefix(network.network_address, network.prefixlen)
        self.touched.add(_key(network))
        return self._bans.pop(prefix, None) is not None

    def expire(self, when: float) -> None:
        """Remove the bans that are over."""
        if when < self._next_end:
            return
        for network in [network for network, ban in self._bans.values() if not ban.left(when)]:
            self.drop(network)
        self._next_end = min((ban.until for _, ban in self._bans.values()), default=inf)

    def left(self, address: Address, when: float) -> float:
        """Return the seconds for which an address is still banned."""
        around = (_prefix(address, n) for version, n in self._lengths if version == address.version)
        bans = (self._bans[prefix][1] for prefix in around if prefix in self._bans)
        return max((ban.left(when) for ban in bans), default=0.0)

    def current(self, network: Network) -> Penalty | None:
        """Return the ban of exactly this network."""
        found = self._bans.get(_prefix(network.network_address, network.prefixlen))
        return None if found is None else found[1]

    def all(self) -> dict[Key, Penalty]:
        """Return all bans, the expired ones too."""
        return {_key(network): ban for network, ban in self._bans.values()}


def _key(network: Network) -> Key:
    return Key(str(network), by_hand=True)


def _prefix(address: Address, length: int) -> tuple[int, int, int]:
    return address.version, length, int(address) >> (address.max_prefixlen - length)
