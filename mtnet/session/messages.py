"""
Messages that every session has, whatever its verbs: built on one side, read on the other.

Pure. Times are milliseconds since the Unix epoch, UTC. The server's builders trust what they
are given to be valid: it came through a reader or the configuration.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from msgspec import Struct

from mtnet.errors import PolicyError, WireError
from mtnet.session.fields import (
    ANY,
    CHANNEL,
    ID,
    LOGIN,
    NUMBER,
    PASSWORD,
    SECONDS,
    SERVICES,
    TEXT,
    join_list,
)
from mtnet.session.grammar import MAX_PAYLOAD, VERSION, Message, encode, parse

CLOSING = frozenset({"frame", "login", "slow", "banned", "timeout"})
"""The server closes after an ERROR with one of these codes."""
CODES = CLOSING | {"verb", "field", "denied", "channel", "fenced", "id", "server"}
"""The codes of ERROR."""
MAX_SENTENCE = 500
"""Characters of the sentence in an ERROR."""

_MARKS = 6
"""Bytes of a frame that are not payload."""
M = TypeVar("M")


class Hello(Struct, frozen=True):
    """
    Opens the session.

    Attributes:
        login: empty = an anonymous client.
        password: never shown by `repr`.
        name: what the follower or publisher calls itself.
        client: its program and version.
    """

    login: str = ""
    password: str = ""
    name: str = ""
    client: str = ""

    def __repr__(self) -> str:
        return f"Hello(login={self.login!r}, name={self.name!r}, client={self.client!r})"


class Ping(Struct, frozen=True):
    """
    Asks the server for a PONG.

    Attributes:
        t: is returned as it is.
    """

    t: str | None = None


class Pong(Struct, frozen=True):
    """
    Answers a PING.

    Attributes:
        time: the server's; None = this is the client's PONG.
        t: that of the PING.
    """

    time: int | None = None
    t: str | None = None


class Bye(Struct, frozen=True):
    """Ends the connection."""


class Welcome(Struct, frozen=True):
    """
    Answers HELLO.

    Attributes:
        heartbeat: seconds of silence before the server's PING.
        services: those that this login may use; a client asks no other. None = a server that
            does not say: it knows the verbs of signals up to ACK.
    """

    heartbeat: float
    time: int
    services: tuple[str, ...] | None = None


class Heartbeat(Struct, frozen=True):
    """The server's PING."""

    time: int


class Error(Struct, frozen=True):
    """
    A request that is refused.

    Attributes:
        code: mostly one of `CODES`.
        text: a sentence without its full stop: people are shown it within others.
        id, channel: of the request; empty = not known.
        closed: the position that stood there is closed; its reopening is refused.
    """

    code: str
    text: str = ""
    id: str = ""
    channel: str = ""
    closed: bool = False


def hello(login: str = "", password: str = "", name: str = "", client: str = "") -> bytes:
    """
    Return the frame that opens a session.

    Raises:
        WireError: `field`, as for every client's frame here: the server would refuse it.
    """
    return request(
        REQUESTS,
        "HELLO",
        v=VERSION,
        login=login or None,
        password=password or None,
        name=name or None,
        client=client or None,
    )


def ping(t: str | None = None) -> bytes:
    """Return the frame that asks for a PONG."""
    return request(REQUESTS, "PING", t=t)


def pong(time: int | None = None, t: str | None = None) -> bytes:
    """Return the answer to a PING; of a client without fields."""
    return encode("PONG", t=t, time=time)


def bye() -> bytes:
    """Return the frame that ends the connection."""
    return request(REQUESTS, "BYE")


def welcome(
    heartbeat: float, time: int, services: Iterable[str] | None = None, **fields: str
) -> bytes:
    """
    Return the answer to HELLO.

    Args:
        heartbeat: seconds.
        services: as of `Welcome`.
        fields: of the services.
    """
    seconds = f"{heartbeat:.5f}".rstrip("0").rstrip(".")
    names = None if services is None else join_list(services)
    return encode("WELCOME", v=VERSION, **fields, heartbeat=seconds, time=time, services=names)


def heartbeat(time: int, **fields: str) -> bytes:
    """Return the server's PING, with the fields of the services."""
    return encode("PING", time=time, **fields)


def error(
    code: str,
    text: str,
    id: str | None = None,
    channel: str | None = None,
    closed: bool = False,
) -> bytes:
    """Return an ERROR, whose sentence is cut to `MAX_SENTENCE` characters."""
    shown = text[:MAX_SENTENCE]
    return encode(
        "ERROR", code=code, text=shown, id=id, channel=channel, closed=int(closed) or None
    )


def error_for(why: WireError, message: Message | None = None) -> bytes:
    """Return the ERROR that explains what is wrong with a frame, and names its request."""
    fields = {} if message is None else message.fields
    closed = isinstance(why, PolicyError) and why.closed
    return error(
        # The narrower codes of the codecs are all `field` here.
        why.code if why.code in CODES else "field",
        str(why),
        ID.read(fields.get("id", "")),
        CHANNEL.read(fields.get("channel", "")),
        closed,
    )


def request(
    readers: "Mapping[str, Callable[[Message], object]]",
    verb: str,
    /,
    **fields: str | int | Decimal | None,
) -> bytes:
    """
    Return the frame of a client, encoded and checked by the reader that the server uses.

    Raises:
        WireError: `field`; better refused here than by the server, when the market moves.
    """
    frame = encode(verb, **fields)
    if len(frame) - _MARKS > MAX_PAYLOAD:
        raise WireError("field", f"The fields of {verb} have more than {MAX_PAYLOAD} bytes")
    readers[verb](parse(frame[2:-4]))
    return frame


def read(readers: "Mapping[str, Callable[[Message], M]]", message: Message) -> M:
    """
    Read a message by the reader of its verb.

    Raises:
        WireError: `verb` (unknown) or `field`. Nothing of HELLO is quoted.
    """
    reader = readers.get(message.verb)
    if reader is None:
        raise unknown_verb(message, readers)
    return reader(message)


def unknown_verb(message: Message, known: Iterable[str]) -> WireError:
    """Return the error of a verb that is not one of `known`."""
    return WireError("verb", f"A verb is one of {', '.join(known)}, not", message.verb.encode())


def read_heartbeat(message: Message) -> Heartbeat:
    """Read the server's PING without the fields of services."""
    return Heartbeat(message.require("time", NUMBER))


def read_welcome(message: Message) -> Welcome:
    """Read WELCOME without the fields of services."""
    if message.require("v", ANY) != VERSION:
        raise message.refusal(f"v is {VERSION}", message.fields["v"])
    return Welcome(
        message.require("heartbeat", SECONDS),
        message.require("time", NUMBER),
        message.get("services", SERVICES),
    )


def _read_hello(message: Message) -> Hello:
    if message.require("v", TEXT) != VERSION:
        raise WireError("field", f"In HELLO v is {VERSION}, the only version of this server")
    hello = Hello(
        message.get("login", LOGIN) or "",
        message.get("password", PASSWORD) or "",
        message.get("name", TEXT) or "",
        message.get("client", TEXT) or "",
    )
    if bool(hello.login) != bool(hello.password):
        raise WireError("field", "HELLO has both login and password, or neither")
    return hello


def _read_error(message: Message) -> Error:
    return Error(
        message.require("code", ANY),
        (message.get("text", ANY) or "").removesuffix("."),
        message.get("id", ANY) or "",
        message.get("channel", ANY) or "",
        message.get("closed", ANY) == "1",
    )


REQUESTS: "dict[str, Callable[[Message], Hello | Ping | Pong | Bye]]" = {
    "HELLO": _read_hello,
    "PING": lambda message: Ping(message.get("t", TEXT)),
    "PONG": lambda message: Pong(),
    "BYE": lambda message: Bye(),
}
"""Readers of what a client sends."""
ANSWERS: "dict[str, Callable[[Message], Welcome | Heartbeat | Pong | Error]]" = {
    "WELCOME": read_welcome,
    "PING": read_heartbeat,
    "PONG": lambda message: Pong(message.require("time", NUMBER), message.get("t", ANY)),
    "ERROR": _read_error,
}
"""Readers of what the server sends."""
