"""
What the server says in dialect 2: built here by the server, read here by clients.

Pure. Volumes are lots, signed; times are milliseconds since the Unix epoch, UTC. The builders
trust what they are given to have come through `requests` or the configuration.
"""

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import TypeVar

from msgspec import Struct

from mtnet.errors import PolicyError, WireError
from mtnet.services.signals.fields import (
    ANY,
    CHANNEL,
    CHANNELS,
    EPOCH,
    HASH,
    IDENTITY,
    KIND,
    NUMBER,
    PAUSE_MODE,
    PERIOD,
    PRESENCE,
    SEQS,
    SYMBOL,
    TICKET,
    VOLUME,
    Kind,
    PauseMode,
    Presence,
    join_list,
)
from mtnet.services.signals.grammar import (
    MAX_FRAME,
    VERSION,
    Fields,
    Message,
    append,
    enclose,
    encode,
    escape,
    read_fields,
    spell_volume,
)

CLOSING = frozenset({"frame", "login", "slow", "banned", "timeout"})
"""Behind an ERROR with one of these codes the server closes."""
CODES = CLOSING | {"verb", "field", "denied", "channel", "fenced", "id", "server"}
"""What ERROR may say."""
SHARED = 64
"""Frames of a kind that are not built anew: those who come back together are told the same."""
NAMED = 100
"""Channels in one CHANNELS; so many of the longest names fit."""
MAX_TEXT = 500
"""Characters of the sentence in an ERROR."""


class Welcome(Struct, frozen=True):
    """
    Answers HELLO.

    Attributes:
        epoch: of the journal of `main`.
        heartbeat: seconds of silence before the server's PING.
    """

    epoch: str
    heartbeat: float
    time: int


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
        fields: as of `requests.Publish`.
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
    Announces `count` positions; what they do not name is flat.

    Attributes:
        seq: of the state; 0 = nothing is known, so change nothing.
        diverged: what SUBSCRIBE named is no part of this history, although the epoch is the
            same: a copy of the data folder was put back.
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
    """

    channel: str
    epoch: str
    seq: int
    h: str = ""


class Stored(Struct, frozen=True):
    """The PUBLISH with this id is on disk."""

    id: str
    seq: int


class ProviderStatus(Struct, frozen=True):
    """Says whether a channel has a publisher, and since when."""

    channel: str
    publisher: Presence
    since: int


class Heartbeat(Struct, frozen=True):
    """The server's PING, with the last seq of channels that are subscribed to."""

    time: int
    seqs: Mapping[str, int] = {}


class Echo(Struct, frozen=True):
    """The server's PONG, with the `t` of the PING."""

    time: int
    t: str | None = None


class Refusal(Struct, frozen=True):
    """
    ERROR.

    Attributes:
        code: mostly one of `CODES`.
        id, channel: what it answers; empty = neither is known.
        closed: the position that stood there is closed; what should have opened is refused.
    """

    code: str
    text: str = ""
    id: str = ""
    channel: str = ""
    closed: bool = False


class Paused(Struct, frozen=True):
    """A channel takes only what reduces positions from now on, or nothing at all."""

    channel: str
    mode: PauseMode


class Flattened(Struct, frozen=True):
    """Whoever runs the server has closed every position of a channel and removed every order."""

    channel: str


class Resumed(Struct, frozen=True):
    """A channel takes everything again."""

    channel: str


class Channels(Struct, frozen=True):
    """Names channels that were refused before and may be asked for now."""

    channels: tuple[str, ...]


class Notice(Struct, frozen=True):
    """A sentence for whoever sits before the client."""

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
    | Echo
    | Refusal
    | Paused
    | Flattened
    | Resumed
    | Channels
    | Notice
    | Unsubscribed
)


def welcome(epoch: str, heartbeat: float, time: int) -> bytes:
    """Return the answer to HELLO; `heartbeat` in seconds."""
    seconds = f"{heartbeat:.5f}".rstrip("0").rstrip(".")
    return encode("WELCOME", v=VERSION, epoch=epoch, heartbeat=seconds, time=time)


def signal(
    channel: str,
    seq: int,
    symbol: str,
    volume: Decimal,
    time: int,
    ticket: str = "",
    type: Kind = "position",
    fields: Fields = (),
    opened: int | None = None,
    popened: int | None = None,
    *,
    prev: int | None = None,
    h: str = "",
) -> bytes:
    """Return the frame of an entry; for filtered subscriptions see `with_prev`."""
    frame = _entry(
        "SIGNAL", channel, seq, symbol, volume, time, ticket, type, fields, opened, popened, h
    )
    return frame if prev is None else with_prev(frame, prev)


def with_prev(frame: bytes, prev: int) -> bytes:
    """Return a SIGNAL for one filtered subscription: the frame itself is built once for all."""
    return append(frame, "prev", prev)


def position(
    channel: str,
    seq: int,
    symbol: str,
    volume: Decimal,
    time: int,
    ticket: str = "",
    type: Kind = "position",
    fields: Fields = (),
    opened: int | None = None,
    popened: int | None = None,
) -> bytes:
    """Return the frame of an entry in a snapshot, with the seq that set it."""
    return _entry(
        "POSITION", channel, seq, symbol, volume, time, ticket, type, fields, opened, popened
    )


def snapshot(channel: str, epoch: str, seq: int, count: int, diverged: bool = False) -> bytes:
    """Return the head of a snapshot of `count` positions."""
    told = "1" if diverged else None
    return encode("SNAPSHOT", channel=channel, epoch=epoch, seq=seq, count=count, diverged=told)


@lru_cache(SHARED)
def synced(channel: str, epoch: str, seq: int, h: str = "") -> bytes:
    """Return the end of a replay or a snapshot."""
    return encode("SYNCED", channel=channel, epoch=epoch, seq=seq, h=h or None)


def stored(id: str, seq: int) -> bytes:
    """Return the answer to PUBLISH, for when the commit has returned."""
    return encode("STORED", id=id, seq=seq)


@lru_cache(SHARED)
def status(channel: str, up: bool, since: int) -> bytes:
    """Return the news that a channel has a publisher, or has none."""
    return encode("STATUS", channel=channel, publisher="up" if up else "down", since=since)


def ping(time: int, seqs: Mapping[str, int]) -> bytes:
    """
    Return the heartbeat.

    Of more channels than fit, 70 of the longest names, the last are left out: a heartbeat
    must not fail.
    """
    shown, room = "", MAX_FRAME - len("<<PING|time=|seqs=>>\r\n") - len(str(time))
    for channel, seq in seqs.items():
        more = f"{shown and ','}{channel}:{seq}"
        if len(shown) + len(more) > room:
            break
        shown += more
    return encode("PING", time=time, seqs=shown or None)


def pong(time: int, t: str | None = None) -> bytes:
    """Return the answer to the client's PING."""
    return encode("PONG", t=t, time=time)


def error(
    code: str,
    text: str,
    id: str | None = None,
    channel: str | None = None,
    closed: bool = False,
) -> bytes:
    """Return an ERROR, whose sentence is cut to `MAX_TEXT` characters."""
    shown = text[:MAX_TEXT]
    return encode(
        "ERROR", code=code, text=shown, id=id, channel=channel, closed=int(closed) or None
    )


def refused(why: WireError, message: Message | None = None) -> bytes:
    """Return the ERROR that says what was wrong with a frame, and names what it answers."""
    fields = {} if message is None else message.fields
    closed = isinstance(why, PolicyError) and why.closed
    return error(
        # What the codecs below call more narrowly is a field here.
        why.code if why.code in CODES else "field",
        str(why),
        IDENTITY.read(fields.get("id", "")),
        CHANNEL.read(fields.get("channel", "")),
        closed,
    )


@lru_cache(SHARED)
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
    """Return the news that channels may be asked for, in as many frames as they fill."""
    rest, frames = sorted(names), []
    while rest:
        frames.append(encode("CHANNELS", channels=join_list(rest[:NAMED])))
        del rest[:NAMED]
    return b"".join(frames)


def notice(text: str) -> bytes:
    """Return a sentence for people, cut to `MAX_TEXT` characters."""
    return encode("NOTICE", text=text[:MAX_TEXT])


def unsubscribed(channel: str) -> bytes:
    """Return the answer to UNSUBSCRIBE."""
    return encode("UNSUBSCRIBED", channel=channel)


def read_answer(message: Message) -> Answer:
    """
    Read what the server says.

    Raises:
        WireError: `verb` (a newer server may say more than this) or `field`.
    """
    reader = _READERS.get(message.verb)
    if reader is None:
        raise WireError("verb", "This is nothing that a server says", message.verb.encode())
    return reader(message)


def _entry(
    verb: str,
    channel: str,
    seq: int,
    symbol: str,
    volume: Decimal,
    time: int,
    ticket: str,
    type: Kind,
    fields: Fields,
    opened: int | None,
    popened: int | None,
    h: str = "",
) -> bytes:
    # Each signal goes through here; of all these values a symbol and a comment alone may hold
    # what must be escaped.
    payload = (
        f"{verb}|channel={channel}|seq={seq}|symbol={escape(symbol)}"
        f"|volume={spell_volume(volume)}|time={time}"
    )
    if ticket:
        payload += f"|ticket={ticket}"
    if type != "position":
        payload += f"|type={type}"
    for key, text in fields:
        payload += f"|{key}={escape(text)}"
    if opened is not None:
        payload += f"|opened={opened}"
    if popened is not None:
        payload += f"|popened={popened}"
    if h:
        payload += f"|h={h}"
    return enclose(payload)


def _read_welcome(message: Message) -> Welcome:
    if message.need("v", ANY) != VERSION:
        raise message.refuse(f"v is {VERSION}", message.fields["v"])
    return Welcome(
        message.need("epoch", EPOCH),
        message.need("heartbeat", PERIOD),
        message.need("time", NUMBER),
    )


E = TypeVar("E", Signal, SnapshotPosition)


def _read_opened(message: Message, make: Callable[..., E], **more: int | str | None) -> E:
    return make(
        *_read_entry(message),
        **more,
        opened=message.take("opened", NUMBER),
        popened=message.take("popened", NUMBER),
    )


def _read_entry(
    message: Message,
) -> tuple[str, int, str, Decimal, int, str, Kind, Fields]:
    return (
        message.need("channel", CHANNEL),
        message.need("seq", NUMBER),
        message.need("symbol", SYMBOL),
        message.need("volume", VOLUME),
        message.need("time", NUMBER),
        message.take("ticket", TICKET) or "",
        message.take("type", KIND) or "position",
        read_fields(message, "ptime"),
    )


_READERS: dict[str, Callable[[Message], Answer]] = {
    "WELCOME": _read_welcome,
    "SIGNAL": lambda message: _read_opened(
        message,
        Signal,
        prev=message.take("prev", NUMBER),
        h=message.take("h", HASH) or "",
    ),
    "POSITION": lambda message: _read_opened(message, SnapshotPosition),
    "SNAPSHOT": lambda message: Snapshot(
        message.need("channel", CHANNEL),
        message.need("epoch", EPOCH),
        message.need("seq", NUMBER),
        message.need("count", NUMBER),
        message.take("diverged", ANY) == "1",
    ),
    "SYNCED": lambda message: Synced(
        message.need("channel", CHANNEL),
        message.need("epoch", EPOCH),
        message.need("seq", NUMBER),
        message.take("h", HASH) or "",
    ),
    "STORED": lambda message: Stored(message.need("id", IDENTITY), message.need("seq", NUMBER)),
    "STATUS": lambda message: ProviderStatus(
        message.need("channel", CHANNEL),
        message.need("publisher", PRESENCE),
        message.need("since", NUMBER),
    ),
    "PING": lambda message: Heartbeat(
        message.need("time", NUMBER), message.take("seqs", SEQS) or {}
    ),
    "PONG": lambda message: Echo(message.need("time", NUMBER), message.take("t", ANY)),
    "ERROR": lambda message: Refusal(
        message.need("code", ANY),
        message.take("text", ANY) or "",
        message.take("id", ANY) or "",
        message.take("channel", ANY) or "",
        message.take("closed", ANY) == "1",
    ),
    "PAUSED": lambda message: Paused(
        message.need("channel", CHANNEL), message.need("mode", PAUSE_MODE)
    ),
    "FLATTENED": lambda message: Flattened(message.need("channel", CHANNEL)),
    "RESUMED": lambda message: Resumed(message.need("channel", CHANNEL)),
    "CHANNELS": lambda message: Channels(message.need("channels", CHANNELS)),
    "NOTICE": lambda message: Notice(message.need("text", ANY)),
    "UNSUBSCRIBED": lambda message: Unsubscribed(message.need("channel", CHANNEL)),
}
VERBS: frozenset[str] = frozenset(_READERS)
"""What a server may say."""
