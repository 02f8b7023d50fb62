"""
The verbs of signals that clients say in the session dialect: built by them, read by the server.

Pure. Volumes are lots, signed; times are milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.services.signals import model
from mtnet.services.signals.values import (
    EPOCH,
    HASH,
    KIND,
    OPTIONAL,
    PRICE,
    STATUS,
    TAKE,
    TICKET,
    VOLUME,
    Fields,
    Kind,
    Status,
    Take,
)
from mtnet.session import messages
from mtnet.session.fields import (
    ANY,
    CHANNEL,
    ID,
    NUMBER,
    SYMBOL,
    SYMBOLS,
    TEXT,
    FieldType,
    join_list,
)
from mtnet.session.grammar import Message

NO_ID = "-"
"""The id of a position that has none."""


class Subscribe(Struct, frozen=True):
    """
    Asks for a channel, or changes its filter.

    Attributes:
        symbols: None = all.
        epoch, after: the journal and the number that the follower knows last.
        h: of exactly the entry `after`, from its SIGNAL or SYNCED; None = not known.
        observe: the client copies nothing; it is no follower in the status.
    """

    channel: str
    symbols: frozenset[str] | None = None
    epoch: str | None = None
    after: int | None = None
    h: str | None = None
    observe: bool = False


class Unsubscribe(Struct, frozen=True):
    """Ends a subscription."""

    channel: str


class Publish(Struct, frozen=True):
    """
    Sets a position, whole: a field that is left out is absent, not unchanged.

    Attributes:
        id: unique in its channel.
        volume: 0 removes the position.
        ticket: empty = the net position of the symbol.
        fields: of `comment`, `magic`, `price`, `ptime` (the publisher's clock), `sl`, `tp`.
        take: whether it takes the channel over; None = it does. May differ in a repetition.
    """

    id: str
    symbol: str
    volume: Decimal
    channel: str = "main"
    ticket: str = ""
    type: Kind = "position"
    fields: Fields = ()
    take: Take | None = None

    def draft(self, channel: str, when: int, id: str = "") -> model.Entry:
        """Return what it sets in a channel, taken at `when` milliseconds."""
        return model.Entry(
            channel, self.symbol, self.volume, when, self.ticket, id, self.type, self.fields
        )


class Ack(Struct, frozen=True):
    """
    The result of a signal at a follower.

    Attributes:
        volume: lots that it really holds now.
    """

    channel: str
    seq: int
    status: Status | None = None
    price: str | None = None
    volume: Decimal | None = None
    reason: str = ""


Request = (
    messages.Hello
    | Subscribe
    | Unsubscribe
    | Publish
    | Ack
    | messages.Ping
    | messages.Pong
    | messages.Bye
)


def read_request(message: Message) -> Request:
    """
    Read a message of a client.

    Raises:
        WireError: `verb` (unknown) or `field`. Nothing of HELLO is quoted.
    """
    return messages.read(REQUESTS, message)


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
        return messages.request(
            REQUESTS, "SUBSCRIBE", channel=channel, epoch=epoch, after=after, h=h
        )
    joined = join_list(sorted(symbols))
    return messages.request(
        REQUESTS, "SUBSCRIBE", channel=channel, symbols=joined, epoch=epoch, after=after, h=h
    )


def unsubscribe(channel: str = "main") -> bytes:
    """Return the frame that ends a subscription."""
    return messages.request(REQUESTS, "UNSUBSCRIBE", channel=channel)


def publish(position: Publish) -> bytes:
    """Return the frame that sets a position; with every field at its longest it fits."""
    if not OPTIONAL.keys() >= {key for key, _ in position.fields}:
        raise WireError("field", f"The optional fields of PUBLISH are {', '.join(OPTIONAL)}")
    fields = {"time" if key == "ptime" else key: text for key, text in position.fields}
    return messages.request(
        REQUESTS,
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
    """Return the frame that reports the result of a signal."""
    return messages.request(
        REQUESTS,
        "ACK",
        channel=done.channel,
        seq=done.seq,
        status=done.status,
        price=done.price,
        volume=done.volume,
        reason=done.reason or None,
    )


def read_position(message: Message) -> Publish:
    """
    Read a position that has no id, since it is part of a whole state.

    Raises:
        WireError: `field`.
    """
    return _read_publish(Message(message.verb, {**message.fields, "id": NO_ID}))


def _read_subscribe(message: Message) -> Subscribe:
    return Subscribe(
        message.require("channel", CHANNEL),
        message.get("symbols", SYMBOLS),
        message.get("epoch", EPOCH),
        message.get("after", NUMBER),
        message.get("h", HASH),
        message.get("observe", ANY) == "1",
    )


_REQUIRED = ("id", "symbol", "volume")
_PUBLISH: tuple[tuple[str, FieldType[Any]], ...] = (
    ("id", ID),
    ("symbol", SYMBOL),
    ("volume", VOLUME),
    ("type", KIND),
    ("channel", CHANNEL),
    ("ticket", TICKET),
    *(("time" if name == "ptime" else name, type) for name, type in OPTIONAL.items()),
    ("take", TAKE),
)
"""The fields of PUBLISH, in the order in which they are checked."""


def _read_publish(message: Message) -> Publish:
    # Each PUBLISH goes through here: fields that are absent cost next to nothing.
    fields = message.fields
    found: dict[str, Any] = {}
    for key, type in _PUBLISH:
        if key in fields or key in _REQUIRED:
            found[key] = message.require(key, type)
        if key == "type" and key in fields:
            _check_sign(message, found["type"], found["volume"])
    optional = []
    for name in OPTIONAL:
        text = found.get("time" if name == "ptime" else name)
        if text:
            optional.append((name, text))
    return Publish(
        found["id"],
        found["symbol"],
        found["volume"],
        found.get("channel") or "main",
        found.get("ticket") or "",
        found.get("type") or "position",
        tuple(optional),
        found.get("take"),
    )


def _check_sign(message: Message, kind: Kind, volume: Decimal) -> None:
    direction = kind.partition("_")[0]
    if (direction == "buy" and volume < 0) or (direction == "sell" and volume > 0):
        sign = "positive" if direction == "buy" else "negative"
        raise message.refusal(f"volume is {sign} for {kind}", message.fields["volume"])


def _read_ack(message: Message) -> Ack:
    return Ack(
        message.require("channel", CHANNEL),
        message.require("seq", NUMBER),
        message.get("status", STATUS),
        message.get("price", PRICE),
        message.get("volume", VOLUME),
        message.get("reason", TEXT) or "",
    )


REQUESTS: dict[str, Callable[[Message], Request]] = {
    **messages.REQUESTS,
    "SUBSCRIBE": _read_subscribe,
    "UNSUBSCRIBE": lambda message: Unsubscribe(message.require("channel", CHANNEL)),
    "PUBLISH": _read_publish,
    "ACK": _read_ack,
}
"""Readers of what a client sends."""
