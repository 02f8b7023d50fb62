"""
Client's end of an HTTP connection: one request at a time.

Pure: bytes in, answers out. The syntax of HTTP/1.1 is that of h11.
"""

import h11
from msgspec import Struct

from mtnet import __version__
from mtnet.errors import ClientError

MAX_ANSWER = 16_777_216
"""Bytes of an answer: several times a snapshot of the 10,000 positions that a channel may hold."""
MAX_HEAD = 65_536
"""Bytes of the status line and the headers of an answer; proxies add some."""


class Reply(Struct, frozen=True):
    """An answer: its status and its body."""

    status: int
    body: bytes


class Exchange:
    """
    Requests and answers of one connection.

    Args:
        host: and port of the server, as in a URL.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._connection = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._status = 0
        self._body = bytearray()

    @property
    def idle(self) -> bool:
        """Whether a request can be sent."""
        return self._connection.our_state is h11.IDLE

    @property
    def finished(self) -> bool:
        """Whether the server takes no further request on this connection."""
        return self._connection.our_state in (h11.MUST_CLOSE, h11.CLOSED)

    def ask(self, method: str, target: str, login: bytes = b"", body: bytes = b"") -> bytes:
        """
        Return the bytes of a request; the connection is idle.

        Args:
            login: the value of `Authorization`; empty = none is sent.
        """
        headers = [("Host", self._host), ("User-Agent", f"mtnet {__version__}")]
        if login:
            headers.append(("Authorization", login.decode()))
        if method == "POST":
            headers.append(("Content-Type", "application/json"))
        if method in ("POST", "PUT"):
            headers.append(("Content-Length", str(len(body))))
        request = h11.Request(method=method, target=target, headers=headers)
        events = [request, h11.Data(body), h11.EndOfMessage()]
        return b"".join(self._connection.send(event) or b"" for event in events)

    def receive(self, data: bytes) -> Reply | None:
        """
        Take bytes of the server; return the answer that they complete.

        Args:
            data: empty = the server has closed its half.

        Raises:
            ClientError: they are no HTTP, or belong to no request.
        """
        if not data and not self._status:
            return None  # between two answers the server may close
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                    return None
                if isinstance(event, h11.EndOfMessage):
                    return self._complete()
                self._take(event)
        except h11.RemoteProtocolError as error:
            raise ClientError(f"the server's answer is no whole one of HTTP ({error})") from error

    def _take(self, event: object) -> None:
        if isinstance(event, h11.Response):
            self._status = event.status_code
        elif isinstance(event, h11.Data):
            self._body += event.data
            if len(self._body) > MAX_ANSWER:
                raise ClientError(f"an answer of the server has more than {MAX_ANSWER} bytes")

    def _complete(self) -> Reply:
        reply = Reply(self._status, bytes(self._body))
        self._body.clear()
        self._status = 0
        if self._connection.their_state is h11.DONE and self._connection.our_state is h11.DONE:
            self._connection.start_next_cycle()
        return reply
