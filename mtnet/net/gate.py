"""What stands between a listener and its protocol: rights, and the first bytes of a stranger."""

import re
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
COMMANDS = (b"FETCH ", b"FETCHL ", b"STORE ")
"""How a client of templates begins that speaks no HTTP."""
FOREIGN = 24
"""First bytes that tell whether a web page drives a connection: longer than any method."""

_TOKEN = re.compile(rb"[A-Za-z]+")
_TLS = b"\x16\x03"


def is_foreign(head: bytes) -> bool | None:
    """
    Say whether a browser sent the first bytes `head`; None = more bytes will tell.

    A request of any method begins with a word and a space. A ClientHello counts too: a page can
    have a server of its choice put bytes into it.
    """
    head = head.lstrip(b"\r\n\0")
    word = _TOKEN.match(head)
    if head[:2] == _TLS or (word and head[word.end() : word.end() + 1] == b" "):
        return True
    unsure = word is not None and word.end() == len(head) < FOREIGN
    return None if unsure or _TLS.startswith(head) else False


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
