"""
Answers of HTTP as the frames that a session would have sent.

Pure. The keys of positions and signals are those of POSITION and SIGNAL.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from mtnet.client.http.exchange import Reply
from mtnet.errors import ClientError, WireError
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire.answers import stored
from mtnet.session import messages
from mtnet.session.grammar import encode

HEARTBEAT = 5.0
"""Seconds that a long poll waits, and between the requests of a client that follows nothing."""
UNKNOWN_EPOCH = "0" * 16
"""Stands in WELCOME for the epoch of a client that may see no channel."""
UNKNOWN_TIME = 0
"""Stands in frames for the server's time, which no answer has; no client uses it."""
CLOSING = frozenset({"login", "banned"})
"""Errors after which nothing more is asked on this connection: each request counts as a guess."""
REFUSALS = CLOSING | {"channel", "denied", "server"}
"""Errors of a long poll that a follower handles; all others end the connection."""

Fields = Mapping[str, str | int | None]
T = TypeVar("T")


class Presence(Struct, frozen=True):
    """Whether a channel has a publisher, and since when, in milliseconds."""

    up: bool
    since: int


class Row(Struct, frozen=True):
    """A channel in the list of all."""

    channel: str
    epoch: str


class News(Struct, frozen=True):
    """Answer to a long poll, as `docs/http.md` describes it."""

    epoch: str
    seq: int
    h: str
    last: int
    publisher: Presence
    paused: PauseMode | None
    signals: tuple[Fields, ...] = ()
    snapshot: tuple[Fields, ...] | None = None
    diverged: bool = False
    max_age: float | None = None
    max_slippage: str | None = None

    @property
    def limits(self) -> dict[str, str]:
        """The fields of a view in SYNCED."""
        found = {} if self.max_age is None else {"max_age": f"{self.max_age:.5f}".rstrip("0")}
        if self.max_slippage is not None:
            found["max_slippage"] = self.max_slippage
        return {key: text.rstrip(".") for key, text in found.items()}


class Result(Struct, frozen=True):
    """Answer to one signal: `seq` once it is on disk, else `error` and `text`."""

    id: str
    seq: int | None = None
    error: str = ""
    text: str = ""
    closed: bool = False


class Fault(Struct, frozen=True):
    """Refusal of a request."""

    error: str
    text: str = ""


def read(reply: Reply, kind: type[T]) -> T:
    """
    Return the body of an answer.

    Raises:
        ClientError: it is another one.
    """
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ClientError(
            f"the server's answer with HTTP status {reply.status} cannot be read ({error})"
        ) from error


def fault(reply: Reply) -> Fault:
    """
    Return the refusal that an answer is.

    Raises:
        ClientError: it is none of a server of signals.
    """
    try:
        return read(reply, Fault)
    except ClientError:
        raise ClientError(
            f"the server answers with HTTP status {reply.status}, and is none for signals"
        ) from None


def refusal(why: Fault, channel: str = "", id: str = "", closed: bool = False) -> bytes:
    """Return the frame of a refusal."""
    return messages.error(why.error, why.text, id or None, channel or None, closed)


def welcome(rows: Iterable[Row]) -> bytes:
    """Return WELCOME for a client that sees these channels."""
    epochs = {each.channel: each.epoch for each in rows}
    return messages.welcome(
        HEARTBEAT, UNKNOWN_TIME, ["signals"], epoch=epochs.get("main", UNKNOWN_EPOCH)
    )


def heartbeat() -> bytes:
    """Return PING."""
    return messages.heartbeat(UNKNOWN_TIME)


def results(reply: Reply, channel: str, ids: list[str]) -> Iterator[bytes]:
    """
    Yield STORED or ERROR for each signal of a request; ERROR alone when the login is refused.

    Raises:
        ClientError: the answer cannot be read, or is not about these signals.
    """
    if not reply.body.lstrip().startswith(b"["):
        why = fault(reply)
        if why.error in CLOSING:
            yield refusal(why)
        else:
            yield from (refusal(why, channel, each) for each in ids)
        return
    found = read(reply, list[Result])
    if [each.id for each in found] != ids:
        raise ClientError("the server's answer is about other signals than were sent")
    yield from (_result(each, channel) for each in found)


def _result(result: Result, channel: str) -> bytes:
    if result.seq is not None:
        return stored(result.id, result.seq)
    return refusal(Fault(result.error, result.text), channel, result.id, result.closed)


def seq_of(fields: Fields) -> int:
    """
    Return the number of a signal.

    Raises:
        ClientError: it has none.
    """
    seq = fields.get("seq")
    if not isinstance(seq, int):
        raise ClientError("a signal in the server's answer has no number")
    return seq


def position(verb: str, channel: str, fields: Fields, **more: Any) -> bytes:
    """
    Return the frame of a position or a signal.

    Raises:
        ClientError: it has a value that no frame can hold.
    """
    try:
        return encode(verb, channel=channel, **{**fields, **more})
    except (WireError, TypeError) as error:
        raise ClientError(f"a position in the server's answer cannot be read ({error})") from error
