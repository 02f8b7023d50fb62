"""First bytes: which service or kind of client a connection begins like. Pure."""

import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

Recognize = Callable[[bytes], bool | None]
"""Returns whether a connection that begins so is of a service; None = more bytes are needed."""
Service = TypeVar("Service")

HTTP_METHODS = tuple(
    f"{method} ".encode()
    for method in (
        "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT",
    )
)  # fmt: skip
"""How a request of any browser begins."""
COMMANDS = (b"FETCH ", b"FETCHL ", b"STORE ")
"""How a client of template commands begins."""
BROWSER_HEAD = 24
"""First bytes that show whether a web page drives a connection: longer than any method."""

_TOKEN = re.compile(rb"[A-Za-z]+")
TLS_RECORD = b"\x16"
"""The first byte of a TLS handshake, with which no protocol here begins."""
_TLS = TLS_RECORD + b"\x03"
_KINDS = {b"<<": "a frame of signals", _TLS: "a TLS handshake"}


def looks_like_browser(head: bytes) -> bool | None:
    """
    Return whether a browser sent the first bytes `head`; None = more bytes are needed.

    A request of any method begins with a word and a space. A ClientHello counts too: a page can
    have a server of its choice put bytes into it.
    """
    head = head.lstrip(b"\r\n\0")
    word = _TOKEN.match(head)
    if head[:2] == _TLS or (word and head[word.end() : word.end() + 1] == b" "):
        return True
    unsure = word is not None and word.end() == len(head) < BROWSER_HEAD
    return None if unsure or _TLS.startswith(head) else False


def can_become(head: bytes, words: Iterable[bytes]) -> bool:
    """Return whether `head` is the beginning of one of `words`."""
    return any(word.startswith(head) for word in words)


def describe(head: bytes) -> str:
    """
    Describe unexpected first bytes for the log.

    They are not quoted: a client on the wrong port, or with a misspelt command, may send a
    password, too.
    """
    word = next((each for each in (*HTTP_METHODS, *COMMANDS) if head.startswith(each)), None)
    if word is not None:
        return f"{word.decode().strip()} and more"
    return _KINDS.get(head[:2], "bytes of no protocol that is known here")


def begins_with(*words: bytes) -> Recognize:
    """Return a recognizer of connections that begin with one of `words`."""
    longest = max(map(len, words))

    def recognize(head: bytes) -> bool | None:
        if head.startswith(words):
            return True
        return None if len(head) < longest and can_become(head, words) else False

    return recognize


def detect_service(
    head: bytes, choices: Iterable[tuple[Recognize, Service]]
) -> Service | Literal[False] | None:
    """
    Return the service of a connection that begins with `head`.

    Returns:
        One of `choices`; None = more bytes are needed; False = none of them.
    """
    unsure = False
    for recognize, service in choices:
        verdict = recognize(head)
        if verdict:
            return service
        unsure = unsure or verdict is None
    return None if unsure else False
