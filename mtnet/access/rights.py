"""What each connection may do, as long as nobody has logged in."""

from collections.abc import Iterable
from ipaddress import ip_address

RIGHTS = ("follow", "publish", "send", "read", "fetch", "admin")
"""`follow` and `publish` signals, `send` and `read` ticks, `fetch` templates (`publish` also
stores them), `admin`."""


def is_loopback(host: str) -> bool:
    """Say whether `host` is an address in 127/8 or ::1; a name or a path is not."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


class Access:
    """
    Rights of connections without an account.

    Whoever reaches the daemon through the loopback interface is its owner and may do all.
    Behind a proxy every connection seems to come from there, so there nobody is.
    """

    def __init__(self, anonymous: Iterable[str] | None) -> None:
        self.said = anonymous is not None
        self.anonymous = frozenset(anonymous or ())

    def rights(self, host: str, proxied: bool) -> frozenset[str]:
        """
        Return what a connection may do.

        Args:
            host: the address of our own end of it.
            proxied: whether its listener stands behind `haproxy:`.
        """
        if is_loopback(host) and not proxied:
            return frozenset(RIGHTS)
        return self.anonymous
