"""
The verbs of signals that the server says in the session dialect: built by it, read by clients.

Pure. Volumes are lots, signed; times are milliseconds since the Unix epoch, UTC. The builders
trust what they are given to be valid: it came through a reader or the configuration.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct

from mtnet.services.signals import model
from mtnet.services.signals.values import (
    CHANNELS,
    EPOCH,
    HASH,
    KIND,
    OPTIONAL,
    PAUSE_MODE,
    PRESENCE,
    PRICE,
    SEQS,
    TICKET,
    VOLUME,
    Fields,
    Kind,
    PauseMode,
    Presence,
)
from mtnet.session import messages
from mtnet.session.fields import (
    ANY,
    CHANNEL,
    ID,
    NUMBER,
    SECONDS,
    SYMBOL,
    join_list,
)
from mtnet.session.grammar import Message, append, enclose, encode, escape
from mtnet.values import format_volume

CACHED = 64
"""Frames of a kind that are kept: clients that reconnect together are sent the same."""
MAX_NAMED = 100
"""Channels in one CHANNELS; so many of the longest names fit."""
MAX_PING = 1_000
"""Bytes of the longest PING of the server."""
MAX_DIGITS = 19
"""Of a time."""
MAX_NOTICE = 500
"""Characters of the sentence in a NOTICE."""


class Welcome(messages.Welcome, frozen=True, kw_only=True):
    """
    WELCOME of a server with signals.

    Attributes:
        epoch: of the journal of `main`.
    """

    epoch: str


class Heartbeat(messages.Heartbeat, frozen=True):
    """The server's PING, with the last seq of each channel that is subscribed to."""

    seqs: Mapping[str, int] = {}


class _Position(Struct, frozen=True):
    channel: str
    seq: int
    symbol: str
    volume: Decimal
    time: int
    ticket: str = ""
    type: Kind = "position"
    fields: Fields = ()


class Entry(_Position, frozen=True, kw_only=True):
    """
    A position as it was stored.

    Attributes:
        time: the server's.
        volume: 0 = it was removed.
        ticket: empty = the net position of the symbol.
        fields: as of `Publish`.
        opened: when the position was opened, by the server's clock or, if that is earlier, by
            the publisher's; None = not known.
        popened: the same by the publisher's clock.
    """

    opened: int | None = None
    popened: int | None = None


class Signal(Entry, frozen=True):
    """
    An entry as news.

    Attributes:
        prev: the seq of the one sent before it, when the subscription leaves some out.
        h: the first 8 hex digits of the hash that chains it to all before it; empty = a server
            that does not say.
    """

    prev: int | None = None
    h: str = ""


class SnapshotPosition(Entry, frozen=True):
    """An entry of a snapshot."""


class Snapshot(Struct, frozen=True):
    """
    Announces `count` positions; all others are flat.

    Attributes:
        seq: of the state; 0 = nothing is known, so change nothing.
        diverged: SUBSCRIBE named an entry that is not part of this history, although the epoch is
            the same: an older copy of the data folder was restored.
    """

    channel: str
    epoch: str
    seq: int
    count: int
    diverged: bool = False


class Synced(Struct, frozen=True):
    """
    Ends a replay or a snapshot; from `seq` + 1 on all is news.

    Attributes:
        h: as in `Signal`, of entry `seq`; zeros for seq 0.
        max_age: of a view: seconds since its opening after which a position is not opened.
        max_slippage: of a view: price units from the provider's price beyond which it is not.
    """

    channel: str
    epoch: str
    seq: int
    h: str = ""
    max_age: float | None = None
    max_slippage: str | None = None


class Stored(Struct, frozen=True):
    """The PUBLISH with this id is on disk."""

    id: str
    seq: int


class ProviderStatus(Struct, frozen=True):
    """Whether a channel has a publisher, and since when."""

    channel: str
    publisher: Presence
    since: int


class Paused(Struct, frozen=True):
    """A channel accepts only reductions of positions from now on, or nothing at all."""

    channel: str
    mode: PauseMode


class Flattened(Struct, frozen=True):
    """The operator has closed every position of a channel and removed every order."""

    channel: str


class Resumed(Struct, frozen=True):
    """A channel accepts everything again."""

    channel: str


class Channels(Struct, frozen=True):
    """Channels that were refused before and are open now."""

    channels: tuple[str, ...]


class Notice(Struct, frozen=True):
    """A sentence for the user of the client."""

    text: str


class Unsubscribed(Struct, frozen=True):
    """Answers UNSUBSCRIBE; nothing of the channel follows."""

    channel: str


Answer = (
    Welcome
    | Signal
    | SnapshotPosition
    | Snapshot
    | Synced
    | Stored
    | ProviderStatus
    | Heartbeat
    | messages.Welcome
    | messages.Heartbeat
    | messages.Pong
    | messages.Error
    | Paused
    | Flattened
    | Resumed
    | Channels
    | Notice
    | Unsubscribed
)


def read_answer(message: Message) -> Answer:
    """
    Read a message of the server.

    Raises:
        WireError: `verb` (a newer server may have more of them) or `field`.
    """
    return messages.read(ANSWERS, message)


def signal(entry: model.Entry, prev: int | None = None) -> bytes:
    """Return the frame of an entry; for filtered subscriptions see `with_prev`."""
    frame = _entry("SIGNAL", entry, f"|h={entry.h}" if entry.h else "")
    return frame if prev is None else with_prev(frame, prev)


def with_prev(frame: bytes, prev: int) -> bytes:
    """Return a SIGNAL for one filtered subscription: the frame itself is built once for all."""
    return append(frame, "prev", prev)


def position(entry: model.Entry) -> bytes:
    """Return the frame of an entry in a snapshot, with the seq that set it."""
    return _entry("POSITION", entry)


def snapshot(channel: str, epoch: str, seq: int, count: int, diverged: bool = False) -> bytes:
    """Return the head of a snapshot of `count` positions."""
    flag = "1" if diverged else None
    return encode("SNAPSHOT", channel=channel, epoch=epoch, seq=seq, count=count, diverged=flag)


@lru_cache(CACHED)
def synced(channel: str, epoch: str, seq: int, h: str = "", **limits: str) -> bytes:
    """Return the end of a replay or a snapshot; `limits` are fields of a view, see `Synced`."""
    return encode("SYNCED", channel=channel, epoch=epoch, seq=seq, h=h or None, **limits)


def stored(id: str, seq: int) -> bytes:
    """Return the answer to PUBLISH, for when the commit has returned."""
    return b"<<STORED|id=%b|seq=%d>>\r\n" % (id.encode(), seq)  # an id needs no escape


@lru_cache(CACHED)
def status(channel: str, up: bool, since: int) -> bytes:
    """Return the news that a channel has a publisher, or has none."""
    return encode("STATUS", channel=channel, publisher="up" if up else "down", since=since)


def join_seqs(seqs: Mapping[str, int]) -> str:
    """
    Return `seqs` of the heartbeat.

    Of more channels than fit, 17 of the longest names, the last are left out: thousands of
    sessions are sent one each few seconds.
    """
    shown, room = "", MAX_PING - len("<<PING|time=|seqs=>>\r\n") - MAX_DIGITS
    for channel, seq in seqs.items():
        more = f"{shown and ','}{channel}:{seq}"
        if len(shown) + len(more) > room:
            break
        shown += more
    return shown


@lru_cache(CACHED)
def paused(channel: str, mode: PauseMode) -> bytes:
    """Return the news that a channel takes less than usual."""
    return encode("PAUSED", channel=channel, mode=mode)


def flattened(channel: str) -> bytes:
    """Return the news that every position of a channel is closed."""
    return encode("FLATTENED", channel=channel)


def resumed(channel: str) -> bytes:
    """Return the news that a channel takes everything again."""
    return encode("RESUMED", channel=channel)


def channels(names: Iterable[str]) -> bytes:
    """Return the news that channels are open, in as many frames as they fill."""
    rest, frames = sorted(names), []
    while rest:
        frames.append(encode("CHANNELS", channels=join_list(rest[:MAX_NAMED])))
        del rest[:MAX_NAMED]
    return b"".join(frames)


def notice(text: str) -> bytes:
    """Return a sentence for people, cut to `MAX_NOTICE` characters."""
    return encode("NOTICE", text=text[:MAX_NOTICE])


def unsubscribed(channel: str) -> bytes:
    """Return the answer to UNSUBSCRIBE."""
    return encode("UNSUBSCRIBED", channel=channel)


def _entry(verb: str, entry: model.Entry, end: str = "") -> bytes:
    # Each signal goes through here; of all these values a symbol and a comment alone may hold
    # what must be escaped.
    payload = (
        f"{verb}|channel={entry.channel}|seq={entry.seq}"
        f"|symbol={entry.symbol if entry.symbol.isalnum() else escape(entry.symbol)}"
        f"|volume={format_volume(entry.volume)}|time={entry.when}"
    )
    if entry.ticket:
        payload += f"|ticket={entry.ticket}"
    if entry.type != "position":
        payload += f"|type={entry.type}"
    for key, text in entry.fields:
        payload += f"|{key}={escape(text) if key == 'comment' else text}"
    if entry.opened is not None:
        payload += f"|opened={entry.opened}"
    if entry.popened is not None:
        payload += f"|popened={entry.popened}"
    return enclose(payload + end)


def _read_fields(message: Message) -> Fields:
    """
    Return the optional fields of a position; an empty comment, which terminals send, is absent.

    Raises:
        WireError: `field`.
    """
    found = []
    for name, type in OPTIONAL.items():
        text = message.get(name, type) if name in message.fields else None
        if text:
            found.append((name, text))
    return tuple(found)


def _read_welcome(message: Message) -> Welcome:
    common = messages.read_welcome(message)
    epoch = message.require("epoch", EPOCH)
    return Welcome(common.heartbeat, common.time, common.services, epoch=epoch)


def _read_heartbeat(message: Message) -> Heartbeat:
    common = messages.read_heartbeat(message)
    return Heartbeat(common.time, message.get("seqs", SEQS) or {})


E = TypeVar("E", Signal, SnapshotPosition)


def _read_opened(message: Message, make: Callable[..., E], **more: int | str | None) -> E:
    return make(
        *_read_entry(message),
        **more,
        opened=message.get("opened", NUMBER),
        popened=message.get("popened", NUMBER),
    )


def _read_entry(
    message: Message,
) -> tuple[str, int, str, Decimal, int, str, Kind, Fields]:
    return (
        message.require("channel", CHANNEL),
        message.require("seq", NUMBER),
        message.require("symbol", SYMBOL),
        message.require("volume", VOLUME),
        message.require("time", NUMBER),
        message.get("ticket", TICKET) or "",
        message.get("type", KIND) or "position",
        _read_fields(message),
    )


ANSWERS: dict[str, Callable[[Message], Answer]] = {
    **messages.ANSWERS,
    "WELCOME": _read_welcome,
    "PING": _read_heartbeat,
    "SIGNAL": lambda message: _read_opened(
        message,
        Signal,
        prev=message.get("prev", NUMBER),
        h=message.get("h", HASH) or "",
    ),
    "POSITION": lambda message: _read_opened(message, SnapshotPosition),
    "SNAPSHOT": lambda message: Snapshot(
        message.require("channel", CHANNEL),
        message.require("epoch", EPOCH),
        message.require("seq", NUMBER),
        message.require("count", NUMBER),
        message.get("diverged", ANY) == "1",
    ),
    "SYNCED": lambda message: Synced(
        message.require("channel", CHANNEL),
        message.require("epoch", EPOCH),
        message.require("seq", NUMBER),
        message.get("h", HASH) or "",
        message.get("max_age", SECONDS),
        message.get("max_slippage", PRICE),
    ),
    "STORED": lambda message: Stored(message.require("id", ID), message.require("seq", NUMBER)),
    "STATUS": lambda message: ProviderStatus(
        message.require("channel", CHANNEL),
        message.require("publisher", PRESENCE),
        message.require("since", NUMBER),
    ),
    "PAUSED": lambda message: Paused(
        message.require("channel", CHANNEL), message.require("mode", PAUSE_MODE)
    ),
    "FLATTENED": lambda message: Flattened(message.require("channel", CHANNEL)),
    "RESUMED": lambda message: Resumed(message.require("channel", CHANNEL)),
    "CHANNELS": lambda message: Channels(message.require("channels", CHANNELS)),
    "NOTICE": lambda message: Notice(message.require("text", ANY)),
    "UNSUBSCRIBED": lambda message: Unsubscribed(message.require("channel", CHANNEL)),
}
"""Readers of what the server sends."""
