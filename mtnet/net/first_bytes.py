"""What the first bytes of a stranger tell, before they are read as what they should be."""

import re
from collections.abc import Iterable

HTTP_METHODS = tuple(
    f"{method} ".encode()
    for method in (
        "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    )
)  # fmt: skip
"""How a request of any browser begins."""
COMMANDS = (b"FETCH ", b"FETCHL ", b"STORE ")
"""How a client of templates begins that speaks no HTTP."""
WORDS = {"signals": (b"<<",), "web": HTTP_METHODS, "templates": COMMANDS}
"""How the clients of a service begin; those of ticks begin with anything else."""
OTHERS = "ticks"
_ALL = tuple(word for words in WORDS.values() for word in words)
BROWSER_HEAD = 24
"""First bytes that tell whether a web page drives a connection: longer than any method."""

_TOKEN = re.compile(rb"[A-Za-z]+")
_TLS = b"\x16\x03"
_KINDS = {b"<<": "a frame of signals", _TLS: "a TLS handshake"}


def looks_like_browser(head: bytes) -> bool | None:
    """
    Say whether a browser sent the first bytes `head`; None = more bytes will tell.

    A request of any method begins with a word and a space. A ClientHello counts too: a page can
    have a server of its choice put bytes into it.
    """
    head = head.lstrip(b"\r\n\0")
    word = _TOKEN.match(head)
    if head[:2] == _TLS or (word and head[word.end() : word.end() + 1] == b" "):
        return True
    unsure = word is not None and word.end() == len(head) < BROWSER_HEAD
    return None if unsure or _TLS.startswith(head) else False


def starts_with(head: bytes, words: Iterable[bytes]) -> bytes | None:
    """Return the one of `words` that `head` begins with, or None."""
    return next((word for word in words if head.startswith(word)), None)


def can_become(head: bytes, words: Iterable[bytes]) -> bool:
    """Say whether more bytes behind `head` could still make it begin with one of `words`."""
    return any(word.startswith(head) for word in words)


def describe(head: bytes) -> str:
    """
    Say what first bytes are that do not belong where they came, for the log.

    They are not quoted: whoever takes the wrong port, or misspells a command, sends a password
    there as well.
    """
    word = starts_with(head, (*HTTP_METHODS, *COMMANDS))
    if word is not None:
        return f"{word.decode().strip()} and more"
    return _KINDS.get(head[:2], "bytes of no protocol that is known here")


def detect_service(head: bytes) -> str | None:
    """Return the service that the first bytes `head` are for; None = more bytes will tell."""
    for service, words in WORDS.items():
        if starts_with(head, words):
            return service
    return None if can_become(head, _ALL) else OTHERS
