"""
What clients say in dialect 2: built here by clients, read here by the server.

Pure. Volumes are lots, signed; times are milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.services.signals.classic.wire import MAX_PAYLOAD
from mtnet.services.signals.fields import (
    CHANNEL,
    EPOCH,
    HASH,
    IDENTITY,
    KIND,
    LOGIN,
    NUMBER,
    OPTIONAL,
    PASSWORD,
    PRICE,
    STATUS,
    SYMBOL,
    SYMBOLS,
    TAKE,
    TICKET,
    VOLUME,
    WORDS,
    Kind,
    Status,
    Take,
    join_list,
)
from mtnet.services.signals.grammar import VERSION, Fields, Message, encode, parse, read_fields

_MARKS = 6
"""Bytes of a frame that are no payload."""


class Hello(Struct, frozen=True):
    """
    Opens the dialect.

    Attributes:
        login: empty = nobody in particular.
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


class Subscribe(Struct, frozen=True):
    """
    Asks for a channel, or changes its filter.

    Attributes:
        symbols: None = all.
        epoch, after: the journal and the number that the follower knows last.
        h: of exactly the entry `after`, as its SIGNAL or SYNCED said; None = it is not known.
    """

    channel: str
    symbols: frozenset[str] | None = None
    epoch: str | None = None
    after: int | None = None
    h: str | None = None


class Unsubscribe(Struct, frozen=True):
    """Ends a subscription."""

    channel: str


class Publish(Struct, frozen=True):
    """
    Sets a position, whole: a field that is left out is absent, not unchanged.

    Attributes:
        id: names it in its channel, for ever.
        volume: 0 removes the position.
        ticket: empty = the net position of the symbol.
        fields: of `comment`, `magic`, `price`, `ptime` (the publisher's clock), `sl`, `tp`.
        take: whether it takes the channel over; None = it does. No part of what an id names.
    """

    id: str
    symbol: str
    volume: Decimal
    channel: str = "main"
    ticket: str = ""
    type: Kind = "position"
    fields: Fields = ()
    take: Take | None = None


class Ack(Struct, frozen=True):
    """
    What a follower did with a signal.

    Attributes:
        volume: what it really holds now.
    """

    channel: str
    seq: int
    status: Status | None = None
    price: str | None = None
    volume: Decimal | None = None
    reason: str = ""


class Ping(Struct, frozen=True):
    """
    Asks for a PONG.

    Attributes:
        t: comes back as it is.
    """

    t: str | None = None


class Pong(Struct, frozen=True):
    """Answers the server's PING."""


class Bye(Struct, frozen=True):
    """Ends the connection."""


Request = Hello | Subscribe | Unsubscribe | Publish | Ack | Ping | Pong | Bye


def read_request(message: Message) -> Request:
    """
    Read what a client says.

    Raises:
        WireError: `verb` (unknown) or `field`. Of HELLO nothing is quoted.
    """
    reader = _READERS.get(message.verb)
    if reader is None:
        raise WireError(
            "verb", f"A client says one of {', '.join(_READERS)}, not", message.verb.encode()
        )
    return reader(message)


def hello(login: str = "", password: str = "", name: str = "", client: str = "") -> bytes:
    """
    Return the frame that opens the dialect.

    Raises:
        WireError: `field`, as for every frame here: the server would refuse it.
    """
    return _request(
        "HELLO",
        v=VERSION,
        login=login or None,
        password=password or None,
        name=name or None,
        client=client or None,
    )


def subscribe(
    channel: str = "main",
    symbols: Iterable[str] | None = None,
    epoch: str | None = None,
    after: int | None = None,
    h: str | None = None,
) -> bytes:
    """
    Return the frame that asks for a channel.

    Args:
        symbols: None = all. About a hundred fit.
    """
    if symbols is None:
        return _request("SUBSCRIBE", channel=channel, epoch=epoch, after=after, h=h)
    joined = join_list(sorted(symbols))
    return _request("SUBSCRIBE", channel=channel, symbols=joined, epoch=epoch, after=after, h=h)


def unsubscribe(channel: str = "main") -> bytes:
    """Return the frame that ends a subscription."""
    return _request("UNSUBSCRIBE", channel=channel)


def publish(position: Publish) -> bytes:
    """Return the frame that sets a position; with every field at its longest it fits."""
    if not OPTIONAL.keys() >= {key for key, _ in position.fields}:
        raise WireError("field", f"The optional fields of PUBLISH are {', '.join(OPTIONAL)}")
    fields = {"time" if key == "ptime" else key: text for key, text in position.fields}
    return _request(
        "PUBLISH",
        id=position.id,
        symbol=position.symbol,
        volume=position.volume,
        channel=position.channel,
        ticket=position.ticket or None,
        type=None if position.type == "position" else position.type,
        take=position.take,
        **fields,
    )


def ack(done: Ack) -> bytes:
    """Return the frame that says what became of a signal."""
    return _request(
        "ACK",
        channel=done.channel,
        seq=done.seq,
        status=done.status,
        price=done.price,
        volume=done.volume,
        reason=done.reason or None,
    )


def ping(t: str | None = None) -> bytes:
    """Return the frame that asks for a PONG."""
    return _request("PING", t=t)


def pong() -> bytes:
    """Return the answer to the server's PING."""
    return _request("PONG")


def bye() -> bytes:
    """Return the frame that ends the connection."""
    return _request("BYE")


def _request(verb: str, /, **fields: str | int | Decimal | None) -> bytes:
    frame = encode(verb, **fields)
    if len(frame) - _MARKS > MAX_PAYLOAD:
        raise WireError("field", f"The fields of {verb} have more than {MAX_PAYLOAD} bytes")
    # Better refused here than by the server, when the market moves.
    read_request(parse(frame[2:-4]))
    return frame


def _read_hello(message: Message) -> Hello:
    if message.need("v", WORDS) != VERSION:
        raise WireError("field", f"In HELLO v is {VERSION}, the only version spoken here")
    said = Hello(
        message.take("login", LOGIN) or "",
        message.take("password", PASSWORD) or "",
        message.take("name", WORDS) or "",
        message.take("client", WORDS) or "",
    )
    if bool(said.login) != bool(said.password):
        raise WireError("field", "HELLO has both login and password, or neither")
    return said


def _read_subscribe(message: Message) -> Subscribe:
    return Subscribe(
        message.need("channel", CHANNEL),
        message.take("symbols", SYMBOLS),
        message.take("epoch", EPOCH),
        message.take("after", NUMBER),
        message.take("h", HASH),
    )


def _read_publish(message: Message) -> Publish:
    identity = message.need("id", IDENTITY)
    symbol, volume = message.need("symbol", SYMBOL), message.need("volume", VOLUME)
    kind = message.take("type", KIND) or "position"
    direction = kind.partition("_")[0]
    if (direction == "buy" and volume < 0) or (direction == "sell" and volume > 0):
        sign = "positive" if direction == "buy" else "negative"
        raise message.refuse(f"volume is {sign} for {kind}", message.fields["volume"])
    return Publish(
        identity,
        symbol,
        volume,
        message.take("channel", CHANNEL) or "main",
        message.take("ticket", TICKET) or "",
        kind,
        read_fields(message, "time"),
        message.take("take", TAKE),
    )


def _read_ack(message: Message) -> Ack:
    return Ack(
        message.need("channel", CHANNEL),
        message.need("seq", NUMBER),
        message.take("status", STATUS),
        message.take("price", PRICE),
        message.take("volume", VOLUME),
        message.take("reason", WORDS) or "",
    )


_READERS: dict[str, Callable[[Message], Request]] = {
    "HELLO": _read_hello,
    "SUBSCRIBE": _read_subscribe,
    "UNSUBSCRIBE": lambda message: Unsubscribe(message.need("channel", CHANNEL)),
    "PUBLISH": _read_publish,
    "ACK": _read_ack,
    "PING": lambda message: Ping(message.take("t", WORDS)),
    "PONG": lambda message: Pong(),
    "BYE": lambda message: Bye(),
}
VERBS: frozenset[str] = frozenset(_READERS)
"""What a client may say."""
