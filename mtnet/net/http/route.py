"""
Routes: the declarations of which the HTTP API is made.

A component lists its routes, and each says all about itself: the method, the path, the right that
it demands, the types of query, body and answers. Reading, rights, errors and the API's own
description (`/v1/openapi.json`) follow from that, once for all of them.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, NoReturn, Protocol

import msgspec
from msgspec import Struct, inspect
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.access.accounts.identity import Identity
from mtnet.access.rights import Rights
from mtnet.errors import ConfigError, JournalError
from mtnet.net.http.errors import unavailable
from mtnet.net.peer import Peer

JSON = "application/json"
JSON_HEADERS: Mapping[bytes, bytes] = {b"Content-Type": f"{JSON}; charset=utf-8".encode()}
"""Of an answer that is JSON already."""

_PATH = re.compile(r"/|(/[a-z0-9._-]+|/\{[a-z_]+\})+", re.ASCII)
_ARRAYS = (inspect.VarTupleType, inspect.ListType, inspect.FrozenSetType)
_RIGHT = re.compile(r"admin|[a-z]+:[a-z][a-z0-9_]*(?:/\{([a-z_]+)\})?", re.ASCII)


def json_bytes(value: object) -> bytes:
    """Return a value as the body of an answer."""
    return msgspec.json.encode(value) + b"\n"


class HttpRequest(Protocol):
    """
    A request, as a handler sees it; its Host, Origin and credentials have been checked.

    Attributes:
        method: such as `GET`.
        rights: what the client may do.
        identity: the account of the client; None = it has not logged in.
        login_session: the session of the page by whose cookie it has logged in; None = by none.
        peer: the other end of the connection.
    """

    method: bytes
    requestHeaders: Any
    rights: Rights
    identity: Identity | None
    login_session: Any
    peer: Peer

    def isSecure(self) -> bool:
        """Return whether the connection has TLS."""
        raise NotImplementedError

    def demand(self, verb: str, service: str, name: str | None = None) -> None:
        """Check a right; raises `HttpError` 401 or 403. Without `name`, any thing will do."""

    def wait(
        self,
        seconds: float,
        answer: Callable[[], Any],
        subscribe: Callable[[Callable[..., None]], Callable[[], object]],
    ) -> "Deferred[Any]":
        """
        Wait for news.

        Args:
            seconds: after which the request is answered anyway.
            answer: makes the answer, or a Deferred with it; it may raise `MtnetError`.
            subscribe: is given what it calls at news, and returns what undoes the subscription.
        """
        raise NotImplementedError


class BodyLimit(NamedTuple):
    """
    The largest body of a request.

    Attributes:
        size: bytes.
        reason: what allows no more: the end of a sentence.
    """

    size: int
    reason: str


NO_BODY = BodyLimit(1_024, "this path takes none")
"""Of a route without a body. What comes is ignored: MQL's StringToCharArray makes one NUL of
nothing, and libraries send `{}`."""
SMALL_BODY = BodyLimit(65_536, "this path takes 65,536 at most")
"""Of a route with a body, unless it says otherwise: hundred signals of every field are shorter."""


class QueryKey(NamedTuple):
    """
    A key of a query.

    Attributes:
        is_array: it is read from `A,B`, and may stand more than once.
    """

    encoded: bytes
    name: str
    is_array: bool


class Content(NamedTuple):
    """A body or an answer that is not JSON: bytes of a media type, such as `text/csv`."""

    type: str = "application/octet-stream"


class Answer(NamedTuple):
    """
    An answer with a status or headers of its own.

    Attributes:
        value: a value for JSON, or bytes as they are; None = no body.
    """

    status: int
    value: Any = None
    headers: Mapping[bytes, bytes] = {}


class Stream(NamedTuple):
    """
    An answer of any length, which is never whole in memory.

    Attributes:
        type: its media type, such as `text/csv`.
        chunks: its bytes, a piece at a time, each made in a few milliseconds; or Deferreds with
            them, of which None is the end. An iterator that has `close` is closed when the client
            leaves.
    """

    type: str
    chunks: "Iterator[bytes | Deferred[bytes | None]]"
    headers: Mapping[bytes, bytes] = {}


@dataclass(frozen=True, kw_only=True, eq=False)
class Route:
    """
    One method of one path.

    Attributes:
        path: such as `/v1/channels/{channel}/signals`; a `{name}` takes one segment, in which
            `%2F` is a slash.
        handler: called with the request; then with the `params`, if there are any; then with the
            body, if there is one. It returns an answer: a value for JSON (a Struct, for example),
            an `Answer`, a `Stream`, None for 204, or a protocol that gets the connection (101); or
            a Deferred with one. It may raise `MtnetError`.
        summary: one line for the description of the API.
        params: a Struct with a field for each `{name}` and for each key of the query. An array is
            read from `A,B`; an unknown key is ignored.
        body: the type of the JSON body, such as a Struct; `Content` = bytes as they came; None =
            there is no body.
        body_limit: None = the usual limit.
        stall_timeout: seconds without progress after which a transfer is given up; None = the
            default.
        right: `VERB:SERVICE`, `VERB:SERVICE/{name}` with a name of the path, or `admin`; empty =
            none, or the handler demands it.
        login: an account with the right must have logged in: trusted loopback is not enough.
        answers: the type of each answer by its status: for JSON, a `Content`, or None = no body.
        errors: the statuses of refusals beside those that every route has.
    """

    method: str
    path: str
    handler: Callable[..., Any]
    summary: str
    params: type[Struct] | None = None
    body: Any = None
    body_limit: BodyLimit | None = None
    stall_timeout: float | None = None
    right: str = ""
    login: bool = False
    answers: Mapping[int, Any] = field(default_factory=lambda: {204: None})
    errors: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        known = {each.name for each in self.fields}
        if _PATH.fullmatch(self.path) is None or not known.issuperset(self.names):
            raise ConfigError(
                f"Invalid route {self.path!r}: expected segments of a-z 0-9 . _ - and {{name}}, "
                "and a field of its params for each name. Example: /v1/notes/{symbol}"
            )
        right = _RIGHT.fullmatch(self.right)
        if self.right and (right is None or right[1] not in (None, *self.names)):
            raise ConfigError(
                f"Invalid right {self.right!r} of {self.path}: expected admin, VERB:SERVICE or "
                "VERB:SERVICE/{name} with a name of the path. Example: read:notes/{symbol}"
            )

    @cached_property
    def segments(self) -> tuple[str, ...]:
        """The segments of its path."""
        return tuple(filter(None, self.path.split("/")))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names in its path, in order."""
        return tuple(each[1:-1] for each in self.segments if each.startswith("{"))

    @cached_property
    def fields(self) -> tuple[inspect.Field, ...]:
        """The fields of its params."""
        if self.params is None:
            return ()
        found = inspect.type_info(self.params)
        assert isinstance(found, inspect.StructType)
        return found.fields

    @cached_property
    def keys(self) -> tuple[QueryKey, ...]:
        """The keys of its query; those in the path are among them."""
        return tuple(
            QueryKey(each.encode_name.encode(), each.encode_name, _is_array(each.type))
            for each in self.fields
        )

    @cached_property
    def demanded(self) -> tuple[str, str, str] | None:
        """The verb, the service and the name in the path of its right; None = there is none."""
        if not self.right:
            return None
        verb, _, thing = self.right.partition(":")
        service, _, name = thing.partition("/")
        return verb, service, name[1:-1]

    @property
    def limit(self) -> BodyLimit:
        """The limit of its body."""
        return self.body_limit or (NO_BODY if self.body is None else SMALL_BODY)


def _is_array(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return any(map(_is_array, kind.types))
    return isinstance(kind, _ARRAYS)


def refuse_disk(failure: Failure, text: str) -> NoReturn:
    """
    Refuse a request with a sentence of the service; that of the disk is for the log.

    Raises:
        HttpError: 503, `server`.
    """
    failure.trap(JournalError)
    raise unavailable(failure.value, text)
