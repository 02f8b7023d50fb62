"""What stands between a listener and its protocol: rights, and the first bytes of a stranger."""

from collections.abc import Iterable

from twisted.internet.interfaces import IAddress

from mtnet.access.rights import Access
from mtnet.net.endpoints import Listener, host_of

HTTP_METHODS = tuple(
    f"{method} ".encode()
    for method in (
        "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    )
)  # fmt: skip
"""How a request of any browser begins."""


def starts_with(head: bytes, words: Iterable[bytes]) -> bytes | None:
    """Return the one of `words` that `head` begins with, or None."""
    return next((word for word in words if head.startswith(word)), None)


def can_become(head: bytes, words: Iterable[bytes]) -> bool:
    """Say whether more bytes behind `head` could still make it begin with one of `words`."""
    return any(word.startswith(head) for word in words)


class Gate:
    """The rights of the connections of one listener."""

    def __init__(self, access: Access, listener: Listener) -> None:
        self._access = access
        self.listener = listener

    def rights(self, own: IAddress) -> frozenset[str]:
        """Return what a connection whose own end is `own` may do."""
        return self._access.rights(host_of(own), self.listener.proxied)
