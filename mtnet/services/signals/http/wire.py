"""
The JSON of signals by HTTP (`docs/http.md`): what is asked, and what is answered.

Pure. Volumes, prices and ids are texts, sequence numbers and times are numbers. Times are
milliseconds since the Unix epoch, UTC.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, cast

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from mtnet.errors import WireError
from mtnet.net.http.long_poll import MAX_WAIT
from mtnet.services.signals.model import Entry
from mtnet.services.signals.reports import wire as reports
from mtnet.services.signals.values import Kind, PauseMode
from mtnet.services.signals.wire import requests
from mtnet.session.fields import SYMBOLS, join_list
from mtnet.session.grammar import Message
from mtnet.values import format_volume

MAX_SIGNALS = 100
"""Signals, acknowledgements or specifications in one request."""
MAX_POSITIONS = 10_000
"""Positions and orders in one whole state; `signals.max_positions` is a limit besides."""
MAX_LIMIT = 1_000
"""Signals in one answer: some 200 kB."""
LIMIT = 500
"""Signals in one answer, unless it is asked for more or fewer."""
POSITIONS = 2_048
"""Positions that are kept: most of a whole state stood in the one before, too."""
SUBSCRIPTIONS = 64
"""Subscriptions that are kept: all who follow a channel ask for what lies behind one signal."""

ChannelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$", examples=["main"])]
PublisherName = Annotated[str, Meta(min_length=1, max_length=64, examples=["shop-7f3a"])]
TerminalName = Annotated[str, Meta(max_length=100, pattern=r"^[^/]*$", examples=["desk-1"])]
Text = Annotated[str, Meta(examples=["0.25"])]


# Asked


class ChannelPath(Struct):
    """The channel in a path."""

    channel: ChannelName


class SignalQuery(Struct):
    """
    Asks for the signals behind one.

    Attributes:
        epoch, after: the journal and the number that the follower knows last; without them the
            answer is a snapshot.
        h: of exactly the entry `after`.
        symbols: signals of others are left out; absent = all.
        limit: signals in one answer.
        wait: seconds to wait for news.
        name: of the program, of several under one login.
    """

    channel: ChannelName
    epoch: str | None = None
    after: str | None = None
    h: str | None = None
    symbols: tuple[str, ...] | None = None
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = LIMIT
    wait: Annotated[float, Meta(ge=0, le=MAX_WAIT)] = 0
    name: TerminalName = ""

    def subscribe(self, channel: str) -> requests.Subscribe:
        """
        Return it as a session would ask.

        Raises:
            WireError: `field`.
        """
        return _subscribe(channel, self.epoch, self.after, self.h, self.symbols)


class NewPosition(Struct, frozen=True):
    """
    A position or an order of a whole state; fields as of PUBLISH in `docs/protocols.md`.

    Attributes:
        volume: lots, signed.
        ticket: of one position among several of its symbol; absent = the net position.
        time: the publisher's, milliseconds.
    """

    symbol: str = ""
    volume: Text = ""
    ticket: str = ""
    type: str = ""
    price: str = ""
    sl: str = ""
    tp: str = ""
    magic: str = ""
    comment: str = ""
    time: str = ""

    def position(self) -> requests.Publish:
        """
        Return it as a session would publish it, without an id.

        Raises:
            WireError: `field`.
        """
        return _read_position(self)


class NewSignal(NewPosition, frozen=True):
    """
    A signal; volume 0 removes the position.

    Attributes:
        id: unique in its channel.
    """

    id: str = ""

    def publish(self, channel: str) -> requests.Publish:
        """
        Return it as a session would ask.

        Raises:
            WireError: `field`.
        """
        message = _message("this signal", {**asdict(self), "channel": channel})
        return cast(requests.Publish, requests.REQUESTS["PUBLISH"](message))


class Published(Struct, kw_only=True):
    """Common keys of all that a publisher sends; see `NewSignals`."""

    publisher: PublisherName
    take: bool = False
    name: TerminalName = ""


class NewSignals(Published, kw_only=True):
    """
    Signals of a publisher; none = it is there.

    Attributes:
        publisher: drawn when the program starts.
        name: of the program, the same at each start: the newest run takes the channel over from
            the one before. Empty = only `take` does.
        take: takes the channel over from another publisher.
        beside: takes no channel, and publishes beside the one who holds it.
    """

    signals: Annotated[list[NewSignal], Meta(max_length=MAX_SIGNALS)]
    beside: bool = False


class NewState(Published, kw_only=True):
    """
    All that a publisher holds.

    Attributes:
        publisher, take, name: as of `NewSignals`.
        n: rises with each request of a publisher.
        symbols: those that it is about; absent = all of the channel.
        flat: confirms that `positions` is empty.
    """

    n: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    positions: Annotated[list[NewPosition], Meta(max_length=MAX_POSITIONS)]
    symbols: list[str] | None = None
    flat: bool = False

    def scope(self) -> frozenset[str] | None:
        """
        Return the symbols that it is about; None = all.

        Raises:
            WireError: `field`.
        """
        if self.symbols is None:
            return None
        found = SYMBOLS.read(join_list(self.symbols))
        if found is None:
            raise WireError("field", f"symbols are {SYMBOLS.expected}")
        return found


class NewAck(Struct):
    """
    The result of a signal at a follower, as ACK in `docs/protocols.md`.

    Attributes:
        seq: of the signal.
        status: `filled`, `failed` or `released`.
        volume: lots that it really holds now.
    """

    seq: str = ""
    status: str = ""
    price: str = ""
    volume: str = ""
    reason: str = ""

    def ack(self, channel: str) -> requests.Ack:
        """
        Return it as a session would send it.

        Raises:
            WireError: `field`.
        """
        message = _message("this request", {**asdict(self), "channel": channel})
        return cast(requests.Ack, requests.REQUESTS["ACK"](message))


class NewAcks(Struct):
    """Results of signals; `name` is that of the follower's requests."""

    acks: Annotated[list[NewAck], Meta(min_length=1, max_length=MAX_SIGNALS)]
    name: TerminalName = ""


class NewReport(Struct):
    """A terminal about its account, as REPORT in `docs/protocols.md`."""

    name: TerminalName = ""
    trading: bool | None = None
    balance: str = ""
    equity: str = ""
    free: str = ""
    margin: str = ""
    currency: str = ""
    leverage: str = ""
    mode: str = ""
    platform: str = ""
    build: str = ""
    account: str = ""
    server: str = ""
    offset: str = ""

    def report(self) -> reports.Report:
        """
        Return it as a session would send it.

        Raises:
            WireError: `field`.
        """
        trading = None if self.trading is None else str(int(self.trading))
        return cast(reports.Report, _read_report("REPORT", {**asdict(self), "trading": trading}))


class NewSpec(Struct):
    """The specification of a symbol at a broker, as SPEC in `docs/protocols.md`."""

    symbol: str
    name: TerminalName = ""
    min: str = ""
    max: str = ""
    step: str = ""
    contract: str = ""
    digits: str = ""
    tick: str = ""
    tickvalue: str = ""
    currency: str = ""

    def spec(self) -> reports.Spec:
        """
        Return it as a session would send it.

        Raises:
            WireError: `field`.
        """
        return cast(reports.Spec, _read_report("SPEC", asdict(self)))


class Confirmation(Struct):
    """Names the channel once more, so that no slip of the hand stops another one."""

    confirm: str

    def check(self, channel: str) -> None:
        """
        Compare it with the channel of the path.

        Raises:
            WireError: `field`; it names another one.
        """
        if self.confirm != channel:
            right = f"confirm names the channel, {channel}, not"
            raise WireError("field", right, self.confirm.encode())


# Answered


class Presence(Struct, frozen=True):
    """Whether a channel has a publisher, and since when."""

    up: bool
    since: int


class Position(Struct, omit_defaults=True, kw_only=True):
    """
    A position or an order as it was stored; what is not known is absent.

    Attributes:
        seq: of the signal that set it.
        time: when it was stored.
        ptime: the publisher's time.
        opened, popened: when the position was opened, by the server's clock or, if that is
            earlier, the publisher's; and by the publisher's alone.
    """

    seq: int
    symbol: str
    volume: str
    time: int
    ticket: str = ""
    type: Kind = "position"
    comment: str = ""
    magic: str = ""
    price: str = ""
    ptime: int | None = None
    sl: str = ""
    tp: str = ""
    opened: int | None = None
    popened: int | None = None


class Signal(Position):
    """
    A signal; volume 0 = the position is closed.

    Attributes:
        h: of the hash that chains it to all before it.
    """

    h: str


class ChannelRow(Struct):
    """
    A channel in the list.

    Attributes:
        positions: how many positions and orders it holds.
        followers: how many are there now.
    """

    channel: str
    epoch: str
    seq: int
    publisher: Presence
    paused: PauseMode | None
    positions: int
    followers: int


class ChannelState(Struct):
    """
    A channel at one moment.

    Attributes:
        epoch: names its journal.
        seq: of the last signal; 0 = nothing is known, so change nothing.
        h: of that one.
    """

    channel: str
    epoch: str
    seq: int
    h: str
    publisher: Presence
    paused: PauseMode | None
    positions: list[Position]


class Signals(Struct):
    """
    Signals behind one, or a snapshot, of which all that it does not name is flat.

    Attributes:
        seq: up to which this is complete.
        h: of that signal.
        last: of the channel; while `seq` is less, ask again at once.
        diverged: the follower names a signal that is not part of this history.
        max_age: of a view: seconds after which a position is not opened any more.
        max_slippage: of a view: price units from the provider's price beyond which it is not.
    """

    epoch: str
    seq: int
    h: str
    last: int
    publisher: Presence
    paused: PauseMode | None
    signals: list[Signal] | UnsetType = UNSET
    snapshot: list[Position] | UnsetType = UNSET
    diverged: bool | UnsetType = UNSET
    max_age: float | UnsetType = UNSET
    max_slippage: str | UnsetType = UNSET


class Result(Struct, omit_defaults=True):
    """
    Result of a signal: `seq` once it is on disk, else `error` and `text`.

    Attributes:
        closed: of a change of sign the closing is stored, and the opening refused.
    """

    id: str
    seq: int | None = None
    error: str = ""
    text: str = ""
    closed: bool = False


class RefusedPosition(Struct, omit_defaults=True):
    """A difference that was not stored, and why; as `Result`."""

    symbol: str
    error: str
    text: str
    ticket: str = ""
    closed: bool = False


class StateResult(Struct):
    """
    Result of a whole state.

    Attributes:
        seq, h: of the last signal of the channel; it holds what was sent, but for `refused`.
        stored: how many signals it took.
    """

    epoch: str
    seq: int
    h: str
    stored: int
    refused: list[RefusedPosition]
    publisher: Presence
    paused: PauseMode | None


class ChannelChanged(Struct, omit_defaults=True):
    """
    A channel that was paused, frozen, resumed or flattened.

    Attributes:
        closed: how many positions and orders were closed.
    """

    channel: str
    epoch: str
    seq: int
    publisher: Presence
    paused: PauseMode | None
    closed: int | None = None


@lru_cache(POSITIONS)
def _read_position(given: NewPosition) -> requests.Publish:
    return requests.read_position(_message("this position", asdict(given)))


@lru_cache(SUBSCRIPTIONS)
def _subscribe(
    channel: str,
    epoch: str | None,
    after: str | None,
    h: str | None,
    symbols: tuple[str, ...] | None,
) -> requests.Subscribe:
    if symbols == ():
        raise WireError("field", f"symbols are {SYMBOLS.expected}; without symbols it is all")
    shown = None if symbols is None else join_list(symbols)
    fields = {"channel": channel, "epoch": epoch, "after": after, "h": h, "symbols": shown}
    return cast(
        requests.Subscribe, requests.REQUESTS["SUBSCRIBE"](_message("this request", fields))
    )


def position(entry: Entry) -> Position:
    """Return an entry as a position."""
    return cast(Position, _shown(Position, entry))


def encoded_signal(entry: Entry) -> Signal:
    """Return an entry as a signal: its JSON, made once for all followers."""
    return cast(Signal, msgspec.Raw(msgspec.json.encode(_shown(Signal, entry, h=entry.h))))


def _shown(kind: Callable[..., Any], entry: Entry, **more: str) -> Any:
    fields: dict[str, Any] = dict(entry.fields)
    if "ptime" in fields:
        fields["ptime"] = int(fields["ptime"])
    return kind(
        seq=entry.seq,
        symbol=entry.symbol,
        volume=format_volume(entry.volume),
        time=entry.when,
        ticket=entry.ticket,
        type=entry.type,
        opened=entry.opened,
        popened=entry.popened,
        **fields,
        **more,
    )


def _message(what: str, fields: dict[str, str | None]) -> Message:
    """Return the fields that are there; an empty text is as good as none."""
    return Message(what, {key: text for key, text in fields.items() if text})


def _read_report(verb: str, fields: dict[str, str | None]) -> reports.Report | reports.Spec:
    fields.pop("name")
    return reports.REQUESTS[verb](_message("this request", fields))
