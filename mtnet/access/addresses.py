"""
The parser of addresses and networks.

A host is an address, a name or the path of a Unix socket. IPv4 within IPv6 (`::ffff:192.0.2.7`)
counts as IPv4, and the zone of an address (`%eth0`) is left out.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

CACHED = 1_024
"""Hosts whose parsed address is kept, some 400 bytes each: a connection asks for its own several
times until it is logged in."""
NARROW, WIDE = 64, 48
"""Bits of the IPv6 network that one customer gets, and of the one that a company may get, with
65,536 of the others in it."""
MAPPED = 96
"""Bits before the IPv4 address in an IPv6 address that holds one."""


@lru_cache(CACHED)
def parse_address(host: str) -> Address | None:
    """Return the address that a host is; None = it is a name or a path."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def parse_network(text: str) -> Network:
    """
    Return the network that a text is; an address is a network of one.

    Raises:
        ValueError: one sentence.
    """
    try:
        found = ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(
            f"Invalid address or network {text!r}. Example: 192.0.2.7 or 192.0.2.0/24"
        ) from error
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    if mapped is None or found.prefixlen < MAPPED:
        return found
    return ip_network((mapped, found.prefixlen - MAPPED))


@lru_cache(CACHED)
def network_of(host: str) -> str:
    """Return the network that a host is counted in: its /32, or its /64 for IPv6."""
    address = parse_address(host)
    if address is None:
        return host
    text = str(address if address.version == 4 else ip_network((address, NARROW), False))
    return host if text == host else text  # one text for both: many keep it


@lru_cache(CACHED)
def wide_network_of(host: str) -> str:
    """Return the /48 of an IPv6 address; empty = the host has none."""
    address = parse_address(host)
    if address is None or address.version == 4:
        return ""
    return str(ip_network((address, WIDE), False))


@lru_cache(CACHED)
def is_loopback(host: str) -> bool:
    """Return whether a host is an address in 127/8 or ::1; a name or a path is not."""
    address = parse_address(host)
    return address is not None and address.is_loopback
