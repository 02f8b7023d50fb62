"""
Requests to a server of templates over HTTP, and the reading of its answers.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar
from urllib.parse import quote as percent_encode
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from mtnet.client.core.events import Unreachable
from mtnet.client.core.login import Login, check_private_peer
from mtnet.client.http.exchange import Exchange, Reply
from mtnet.errors import ClientError, quote

Description = dict[str, Any]
"""A server's description of one template: `symbol`, `period`, `platform`, `size`, `sha256` …"""
Descriptions = list[Description]
ROOT = "/templates"
"""The path of all templates, on the templates port and on the web port."""
HOST = "localhost"
"""The name of the server that requests carry: mtnet knows itself by it."""
NO_HTTP = "The server closed the connection, or is not an HTTP server."
OK, CREATED = 200, 201
"""Statuses of answers that are no refusals."""
T = TypeVar("T")


class Request(Struct, frozen=True):
    """
    A request.

    Attributes:
        path: below `ROOT`.
    """

    method: str
    path: str = ""
    content: bytes = b""


class Answer(Struct, frozen=True):
    """The answer of a server to a request that it has not refused."""

    content: bytes


class Failed(Struct, frozen=True):
    """
    There will be no answer.

    Attributes:
        text: a sentence.
    """

    text: str


TemplateEvent = Answer | Failed | Unreachable
Events = Iterable[TemplateEvent]


def fetching(
    symbol: str, period: str, version: int | None = None, platform: str | None = None
) -> Request:
    """
    Return the request for a template.

    Args:
        period: a name such as `H1`, or the terminal's code such as `16385`.
        version: None = the newest.
        platform: `mt4` or `mt5`; None = the newest of either.
    """
    asked = {"version": version, "platform": platform}
    query = urlencode({key: value for key, value in asked.items() if value is not None})
    return Request("GET", _path(symbol, period) + (query and f"?{query}"))


def storing(symbol: str, period: str, content: bytes) -> Request:
    """Return the request that stores a template."""
    return Request("PUT", _path(symbol, period), content)


def read_json(body: bytes, kind: type[T], quoted: Callable[[bytes], str] = quote) -> T:
    """
    Return what an answer says.

    Args:
        quoted: shows a part of it.

    Raises:
        ClientError: it is none of mtnet.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ClientError(f"The server is not mtnet: {quoted(body)}.") from error


def refusal(status: int, body: bytes, quoted: Callable[[bytes], str] = quote) -> str:
    """Return the sentence of a refusal; `quoted` as of `read_json`."""
    try:
        return str(read_json(body, Description, quoted)["text"])
    except (ClientError, KeyError):
        return f"The server is not mtnet; it answered {status}: {quoted(body)}."


class TemplateCore:
    """
    State machine of one request.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, request: Request, login: Login | None) -> None:
        self.session = HttpOutput()
        self._request, self._login = request, login
        self._exchange = Exchange(HOST)

    @property
    def deadline(self) -> None:
        """No deadline: the program has one for the whole."""

    def begin(self, framing: None, when: float, clear_peer: str = "") -> Events:
        """Send the request."""
        asked, login = self._request, b""
        try:
            if self._login is not None:
                check_private_peer(clear_peer)
                login = self._login.basic
        except ClientError as error:
            return (self._fail(str(error)),)
        target = ROOT + asked.path
        self.session.send(self._exchange.ask(asked.method, target, login, asked.content))
        return ()

    def receive(self, data: bytes, when: float) -> Iterator[TemplateEvent]:
        """Take what the server has sent."""
        if self.session.ending:
            return
        try:
            reply = self._exchange.receive(data)
        except ClientError as error:
            yield self._fail(f"{NO_HTTP[:-1]} ({error}).")
            return
        if reply is not None:
            self.session.ending = "the answer is whole"
            yield _outcome(reply, self._quoted)

    def expire(self, when: float) -> Events:
        """Do nothing: nothing is due."""
        return ()

    def lose(self, reason: str) -> Iterator[TemplateEvent]:
        """Note the end of the connection, which is that of some answers."""
        yield from self.receive(b"", 0.0)
        if not self.session.ending:
            yield self._fail(NO_HTTP)

    def unreachable(self, text: str) -> Events:
        """Note that an attempt to connect has failed."""
        return (Unreachable(text),)

    def stop(self) -> Events:
        """Leave."""
        return ()

    def read(self, body: bytes, kind: type[T]) -> T:
        """
        Return what an answer says.

        Raises:
            ClientError: it is none of mtnet.
        """
        return read_json(body, kind, self._quoted)

    def _fail(self, text: str) -> Failed:
        self.session.ending = text
        return Failed(text)

    def _quoted(self, body: bytes) -> str:
        # A server that echoes its input would be quoted with the password.
        return quote(body) if self._login is None else "not quoted"


class HttpOutput:
    """
    The output of one request, whose connection is not made again.

    Attributes:
        ending: why the connection is to be closed; empty = it is not.
    """

    def __init__(self) -> None:
        self.ending, self._data = "", b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._data += data

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        data, self._data = self._data, b""
        return data

    def delay(self, attempt: int = 0) -> float:
        """Return 0: there is no next attempt."""
        return 0.0


def _outcome(reply: Reply, quoted: Callable[[bytes], str]) -> TemplateEvent:
    if reply.status not in (OK, CREATED):
        return Failed(refusal(reply.status, reply.body, quoted))
    return Answer(reply.body)


def _path(symbol: str, period: str) -> str:
    return f"/{percent_encode(symbol, safe='')}/{percent_encode(period, safe='')}"
