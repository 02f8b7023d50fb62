"""What a connection may do that has not logged in: by where it came from."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from mtnet.access.rights import EVERYTHING, Rights
from mtnet.access.throttle import RECENT, parse_address
from mtnet.errors import ConfigError


@lru_cache(RECENT)
def is_loopback(host: str) -> bool:
    """Say whether `host` is an address in 127/8 or ::1; a name or a path is not."""
    address = parse_host(host)
    return address is not None and address.is_loopback


def parse_host(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is, without its zone, IPv4 as such; None = it is none."""
    try:
        address = parse_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class AnonymousAccess:
    """
    Rights of connections without an account.

    Whoever reaches the daemon through the loopback interface is its owner and may do all, as
    long as the loopback interface is trusted. Behind a proxy every connection seems to come
    from there, so there nobody is.

    Args:
        anonymous: what strangers may do; None = nobody said.
        networks: what those may do besides who come from an address or a network.
        loopback: whether it is trusted.

    Attributes:
        configured: whether somebody said what strangers may do.
        anonymous: what they may do.

    Raises:
        ConfigError: a right or a network is none.
    """

    def __init__(
        self,
        anonymous: Iterable[str] | None,
        networks: Mapping[str, Iterable[str]] | None = None,
        loopback: bool = True,
    ) -> None:
        self.configured = anonymous is not None or bool(networks)
        self.loopback = loopback
        self.anonymous = _rights("access.anonymous", anonymous or ())
        self._networks = [
            (_network(text), self.anonymous | _rights(f'access.networks."{text}"', rights))
            for text, rights in (networks or {}).items()
        ]

    def rights(self, own: str, peer: str, proxied: bool) -> Rights:
        """
        Return what a connection may do.

        Args:
            own: the address of our end of it.
            peer: the address of the other end.
            proxied: whether its listener stands behind `haproxy:`.
        """
        if self.is_owner(own, proxied):
            return EVERYTHING
        return self.of_network(peer)

    def is_owner(self, own: str, proxied: bool) -> bool:
        """Say whether a connection comes from this machine, whose users are trusted."""
        return self.loopback and is_loopback(own) and not proxied

    def of_network(self, peer: str) -> Rights:
        """Return what strangers at an address may do."""
        found, address = self.anonymous, parse_host(peer) if self._networks else None
        for network, rights in self._networks:
            if address is not None and address in network:
                found = found | rights
        return found


def _rights(where: str, texts: Iterable[str]) -> Rights:
    try:
        return Rights(texts)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError as error:
        raise ConfigError(
            f"access.networks names {text!r}, which is no address nor network: 192.0.2.7 or "
            "192.0.2.0/24 would be one."
        ) from error
