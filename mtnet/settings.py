"""
Every setting, with its default and its reason. Times are seconds, sizes are bytes.
"""

from decimal import Decimal
from typing import Annotated, Literal

from msgspec import Meta, Struct

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Positive = Annotated[float, Meta(gt=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Right = Literal["follow", "publish", "send", "read", "fetch", "admin"]
ChannelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
SourceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]

DAY = 86_400.0


class _Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Templates(_Section, frozen=True):
    """`[templates]`."""

    grace: Seconds = 0.15
    """Silence after which a connection is a raw client; 0 answers at once."""
    word: Positive = 5.0
    """Longest wait for first bytes that can still become a command or an HTTP method."""
    progress: Positive = 5.0
    """Longest stand-still of a transfer, in either direction, before it is given up."""
    max_size: Count = 1_048_576
    """Largest template; the largest seen in public is a tenth of it."""
    versions: Count = 50
    """Versions kept of each (symbol, period, platform)."""
    keep_experts: bool = False
    """Keep chart-level `<expert>` blocks, which start programs on the follower's machine."""
    default: str = ""
    """`SYMBOL PERIOD` of the template that a raw client gets; empty = the newest upload."""
    folder: str = ""
    """A folder to watch for `.tpl` files; empty = none."""
    scan: Positive = 1.0
    """How often the folder is looked at; a file is taken when it stood still that long."""


class Port(_Section, frozen=True):
    """`[signals.ports."ENDPOINT"]`."""

    channel: ChannelName = "main"


class Rails(_Section, frozen=True):
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


class Source(_Section, frozen=True):
    """`[signals.sources.NAME]`: a published SignalServer to dial."""

    connect: str
    channel: ChannelName = "main"


class Signals(_Section, frozen=True):
    """`[signals]`."""

    grace: Seconds = 0.3
    """Silence after which a connection is a published follower."""
    pace: Seconds = 2.5
    """Between two frames to a published follower, which reads once a second and keeps the
    last frame of what it read; 0 = no pacing."""
    repeat: Seconds = 60.0
    """How often a published follower is told the whole state again; 0 = never."""
    again: tuple[Seconds, ...] = (10.0, 30.0)
    """When a change is told again to a published follower, which may miss any one frame."""
    flat: Seconds = 900.0
    """How long a symbol that went flat stays in the repeat cycle."""
    remember: Seconds = 7 * DAY
    """How long a flat symbol is told to new connections."""
    retry: Positive = 1.0
    """Between two attempts to store what the disk refused."""
    stalled: Positive = 60.0
    """A follower whose connection took no byte for so long is closed; it comes back fresh."""
    backlog: Count = 1_000
    """Changes that wait for the disk before their publishers are paused."""
    refusals: Count = 200
    """Refused frames of one connection within a minute before it is reset; a published
    publisher that has one symbol too long for us sends a few."""
    max_symbols: Count = 4_096
    """Symbols of one channel, remembered flat ones included."""
    heartbeat: Positive = 5.0
    """Silence after which a client of dialect 2 is pinged; after three it is closed."""
    queue: Count = 1_048_576
    """Bytes of news that wait for a follower of dialect 2 before it is closed, to come back."""
    retain: Count = 1_000_000
    """Entries of a channel that are kept for followers who come back; the state is kept always."""
    errors: Count = 20
    """Refused frames of a client of dialect 2 within a minute before it is closed."""
    codepage: str = "cp1252"
    """How text is read that is not UTF-8: the Windows ANSI page of the publishers."""
    ports: dict[str, Port] = {}
    channels: dict[ChannelName, Rails] = {}
    sources: dict[SourceName, Source] = {}


class Ticks(_Section, frozen=True):
    """`[ticks]`."""

    receive_buffer: Count = 8_388_608
    """Bytes the kernel is asked to keep of datagrams that were not read yet: at 300,000 ticks/s
    the usual 212,992 lose some, 4 MiB none."""
    turn: Positive = 0.005
    """How long ticks may keep the reactor before signals have their turn."""
    flush: Positive = 1.0
    """How long a tick waits for the disk: what a power cut costs at most."""
    retry: Positive = 1.0
    """Between two attempts to store what the disk refused."""
    queue: Count = 1_000_000
    """Ticks that wait for the disk, of about 100 bytes; more are dropped and counted."""
    max_symbols: Count = 10_000
    """Symbols; the records of more are refused."""
    max_sources: Count = 1_000
    """Senders counted one by one; each that numbers takes 24 KiB. The others are one."""
    idle: Positive = 3_600.0
    """How long a connection may be silent before its first record, login or SUBSCRIBE."""
    stalled: Positive = 60.0
    """A subscriber whose connection took no byte for so long is closed."""
    spaced_symbols: tuple[str, ...] = ()
    """Symbols with blanks that published senders send as they are: `UK 100`."""


class Web(_Section, frozen=True):
    """`[web]`."""

    hosts: tuple[str, ...] = ()
    """Host names that an HTTP request may name beside the bound address and localhost."""


class TlsHost(_Section, frozen=True):
    """`[tls.hosts."NAME"]`: what a client gets that asks for the host NAME (`*.NAME` too)."""

    certificate: str
    key: str


class Tls(_Section, frozen=True):
    """`[tls]`: what `secure:` endpoints speak."""

    certificate: str = ""
    """A PEM file: the server's own certificate first, then each one's issuer; empty =
    `DATA/tls/certificate.pem`. Clients that name no host, or an unknown one, get this."""
    key: str = ""
    """The PEM file of its private key, without a password; empty = `DATA/tls/key.pem`."""
    hosts: dict[str, TlsHost] = {}
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, and must have one."""
    client_ca: str = ""
    """A PEM file with the authorities whose client certificates count."""
    profile: Literal["intermediate", "modern"] = "intermediate"
    """Mozilla's names: TLS 1.2 and 1.3, or 1.3 alone, which older terminals lack."""
    handshake: Positive = 5.0
    """Longest handshake; one across the world takes half a second."""
    handshakes: Count = 256
    """Handshakes at once, of all listeners; the connections of more are closed. It bounds what
    clients cost that never say a word."""


class Access(_Section, frozen=True):
    """`[access]`."""

    anonymous: tuple[Right, ...] | None = None
    """What strangers may do; None = nothing is said, and only loopback may be served."""
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks whose PROXY headers are believed; whoever may send one can claim
    any address. Others are closed on `haproxy:` endpoints."""


class Config(_Section, frozen=True):
    """The whole configuration."""

    data: str = ""
    """The data folder; empty = `$STATE_DIRECTORY`, else `~/.local/share/mtnet`."""
    reserve: Whole = 1_073_741_824
    """Free bytes that ticks leave on the disk of the data folder: signals need them more."""
    listen: dict[str, str | list[str]] = {}
    templates: Templates = Templates()
    signals: Signals = Signals()
    ticks: Ticks = Ticks()
    web: Web = Web()
    tls: Tls = Tls()
    access: Access = Access()
