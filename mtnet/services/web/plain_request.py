"""
Requests of Twisted without what an API does not need: forms, a tree of resources, and headers that
are made anew for each answer.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from time import time
from typing import cast
from urllib.parse import unquote_to_bytes

from twisted.python.failure import Failure
from twisted.web.http import datetimeToString, parse_qs
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from mtnet.net.http.router import RoutedRequest, Router

COMMON = {b"X-Content-Type-Options": b"nosniff", b"Cache-Control": b"no-store"}
"""Headers of every answer, unless it has its own."""
NO_ARGS: dict[bytes, list[bytes]] = {}
KNOWN = 256
"""Heads that are kept: those of JSON, of each status, and of the files of the page."""


_ABSOLUTE = re.compile(rb"(?:https?|wss?)://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)


class PlainRequest(Request):
    """
    A request whose answer is written at once.

    Attributes:
        authority: the host that an absolute request target names; None = it names none.
        args: the values of each key of the query.
        postpath: the segments of the path, unescaped.
    """

    authority: bytes | None
    content: BytesIO
    args: dict[bytes, list[bytes]]
    postpath: list[bytes]

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Take a whole request; called by the channel."""
        self.authority = None
        if not path.startswith(b"/"):
            self.authority, path = split_target(path)
        self.method, self.uri, self.clientproto = command, path, version
        self.path, _, query = path.partition(b"?")
        self.args = _parameters(query) if query else NO_ARGS
        self.content.seek(0)
        self.process()

    def render_by(self, root: Router) -> None:
        """Let the route of the path answer."""
        path = self.path
        self.postpath = segments(path) if b"%" in path else path[1:].split(b"/")
        try:
            root.render(cast(RoutedRequest, self))
        except Exception:
            self.processingFailed(Failure())
        self.args = NO_ARGS  # a request that waits is kept small

    def answer(self, status: int, body: bytes, headers: Mapping[bytes, bytes]) -> None:
        """
        Answer; HEAD, 204 and 304 leave the body out by themselves.

        Args:
            headers: besides those that were set.
        """
        lines = [fixed_head(self.clientproto, status, tuple(headers.items()))]
        for name, values in self.responseHeaders.getAllRawHeaders():
            lines += (b"%b: %b\r\n" % (name, value) for value in values)
        if status != 204:  # which has none (RFC 9110, 8.6)
            lines.append(b"Content-Length: %d\r\n" % len(body))
        bare = status in (204, 304) or self.method == b"HEAD"
        self.startedWriting = 1
        lines += (date_line(int(time())), b"" if bare else body)
        self.channel.write(b"".join(lines))
        self.finish()


@lru_cache(KNOWN)
def fixed_head(version: bytes, status: int, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """
    Return a status line and headers; line breaks in values become blanks.

    Args:
        version: of HTTP, such as `HTTP/1.1`.
        headers: besides those of every answer, or in place of them.
    """
    pairs = {**COMMON, **dict(headers)}.items()
    clean = Headers({name: [value] for name, value in pairs}).getAllRawHeaders()
    lines = [b"%b %d %b" % (version, status, HTTPStatus(status).phrase.encode())]
    return b"\r\n".join([*lines, *(b"%b: %b" % (name, each[0]) for name, each in clean), b""])


@lru_cache(2)
def date_line(seconds: int) -> bytes:
    """Return the header `Date`, the last one, of a time since the Unix epoch."""
    return b"Date: %b\r\n\r\n" % datetimeToString(seconds)


def split_target(target: bytes) -> tuple[bytes | None, bytes]:
    """
    Return the host and the path of a request target.

    Terminals and proxies send `GET http://host/path` (RFC 9112, 3.2.2).
    """
    absolute = _ABSOLUTE.fullmatch(target)
    if absolute is None:
        return None, target
    path = absolute[2] if absolute[2].startswith(b"/") else b"/" + absolute[2]
    return absolute[1], path


def segments(path: bytes) -> list[bytes]:
    """Return the segments of a path, unescaped."""
    return [*map(unquote_to_bytes, path[1:].split(b"/"))]


def _parameters(query: bytes) -> dict[bytes, list[bytes]]:
    """Return the values of each key of a query; keys without `=` are left out."""
    found: dict[bytes, list[bytes]]
    if b"%" in query or b"+" in query or b";" in query:
        found = parse_qs(query, True)
        return found
    found = {}
    for pair in query.split(b"&"):
        key, equals, value = pair.partition(b"=")
        if equals:
            found.setdefault(key, []).append(value)
    return found
