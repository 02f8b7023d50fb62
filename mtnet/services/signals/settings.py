"""The section `[signals]`."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta, field

from mtnet.config.schema import Count, Positive, Seconds, Section
from mtnet.durations import DAY
from mtnet.services.signals.views.settings import ViewSettings

ChannelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
SourceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]


class Port(Section, frozen=True):
    """`[signals.ports."ENDPOINT"]`."""

    channel: ChannelName = "main"


class RiskLimits(Section, frozen=True):
    """`[signals.channels.NAME]`: guard rails, which refuse a slip of the hand."""

    max_volume: Decimal | None = None
    """Most lots that one position may have, bought or sold."""
    max_change: Decimal | None = None
    """Most lots by which a position may change at once; closing is always allowed."""
    symbols: tuple[str, ...] = ()
    """The symbols that may be traded; empty = all."""

    def __post_init__(self) -> None:
        for most in (self.max_volume, self.max_change):
            if most is not None and not (most.is_finite() and most > 0):
                raise ValueError("`max_volume` and `max_change` are lots above 0")


class Source(Section, frozen=True):
    """`[signals.sources.NAME]`: a classic SignalServer to dial."""

    connect: str
    channel: ChannelName = "main"


class SignalSettings(Section, frozen=True):
    """`[signals]`."""

    renamed: ClassVar[Mapping[str, str]] = {"again": "resend_after", "flat": "repeat_closed"}

    grace: Seconds = 0.3
    """Silence after which a connection is a classic follower."""
    pace: Seconds = 2.5
    """Between two frames to a classic follower, which reads once a second and keeps the
    last frame of what it read; 0 = no pacing."""
    repeat: Seconds = 60.0
    """How often a classic follower is sent the whole state again; 0 = never."""
    resend_after: tuple[Seconds, ...] = (10.0, 30.0)
    """When a change is sent again to a classic follower, which may miss any one frame."""
    repeat_closed: Seconds = 900.0
    """How long a symbol that went flat stays in the repeat cycle."""
    remember: Seconds = 7 * DAY
    """How long a flat symbol is sent to new connections, at most twice to each."""
    remember_followers: Seconds = 7 * DAY
    """How long a follower that went offline is shown, and warned of: over a holiday."""
    retry: Positive = 1.0
    """Between two attempts to store what the disk refused."""
    stalled: Positive = 60.0
    """A follower whose connection took no byte for so long is closed; it comes back fresh."""
    backlog: Count = 1_000
    """Changes that wait for the disk before their publishers are paused."""
    refusals: Count = 200
    """Refused frames of one connection within a minute before it is reset; a classic
    publisher that has one symbol too long for us sends a few."""
    max_positions: Count = 10_000
    """Positions and orders of each channel: brokers let an account hold a few hundred to a
    thousand. Each costs memory, and a place in every snapshot."""
    max_symbols: Count = 4_096
    """Symbols of one channel, remembered flat ones included."""
    heartbeat: Positive = 5.0
    """Silence after which a client of dialect 2 is pinged; after three it is closed."""
    queue: Count = 1_048_576
    """Bytes of news that wait for a follower of dialect 2 before it is closed, to come back."""
    retain: Count = 1_000_000
    """Entries of a channel that are kept for followers who come back; the state is kept always."""
    frames: Count = 1_000
    """Frames of a connection in a second; it is read more slowly when it sends more, as each
    costs the others a tenth of a millisecond."""
    errors: Count = 20
    """Refused frames of a client of dialect 2 within a minute before it is closed."""
    codepage: str = "cp1252"
    """How text is read that is not UTF-8, and how classic followers are sent their symbols: the
    Windows ANSI page of the terminals."""
    ports: dict[str, Port] = field(default_factory=dict)
    channels: dict[ChannelName, RiskLimits] = field(default_factory=dict)
    sources: dict[SourceName, Source] = field(default_factory=dict)
    views: dict[ChannelName, ViewSettings] = field(default_factory=dict)

    def channel_of(self, endpoint: str) -> str:
        """Return the channel of classic programs at a port."""
        return self.ports.get(endpoint, Port()).channel

    def channel_names(self) -> set[str]:
        """Name the channels that are there without anybody having published in them."""
        ports, sources = self.ports.values(), self.sources.values()
        named = [*(each.channel for each in ports), *(each.channel for each in sources)]
        viewed = [name for view in self.views.values() for name in view.sources]
        return {"main", *self.channels, *named, *viewed}
