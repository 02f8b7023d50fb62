"""
The settings that belong to no service, with their defaults and reasons.

Times are seconds, sizes are bytes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct
from msgspec.structs import asdict, replace

from mtnet.durations import DAY

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Positive = Annotated[float, Meta(gt=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections."""

    renamed: ClassVar[Mapping[str, str]] = {}
    """Old names of keys and their new ones; see `mtnet.config.renamed`."""


class NamedTables(Section, frozen=True):
    """Base of a section whose tables, but for its own keys, people name: `[section.NAME]`."""

    tables: dict[str, Any] = {}
    """The tables by name; a subclass gives their type."""


class TlsHost(Section, frozen=True):
    """`[tls.hosts."NAME"]`: for clients that ask for the host NAME (or `*.NAME`)."""

    certificate: str
    key: str


class Tls(Section, frozen=True):
    """`[tls]`: for `secure:` endpoints."""

    renamed: ClassVar[Mapping[str, str]] = {"handshakes": "max_handshakes"}

    certificate: str = ""
    """A PEM file: the server's certificate, followed by its issuers; empty =
    `DATA/tls/certificate.pem`. It is sent to clients that name no host, or an unknown one."""
    key: str = ""
    """The PEM file of its private key, without a password; empty = `DATA/tls/key.pem`."""
    hosts: dict[str, TlsHost] = {}
    client_certificates: Literal["none", "optional", "required"] = "none"
    """Whether clients are asked for a certificate, or must have one."""
    client_ca: str = ""
    """A PEM file with the authorities that issue client certificates."""
    profile: Literal["intermediate", "modern"] = "intermediate"
    """Mozilla's names: TLS 1.2 and 1.3, or 1.3 alone, which older terminals lack."""
    handshake: Positive = 5.0
    """Maximum duration of a handshake; one across the world takes half a second."""
    max_handshakes: Count = 256
    """Concurrent handshakes of all listeners; with more, the longest idle is closed. It bounds the
    cost of clients that connect and send nothing."""


class Connections(Section, frozen=True):
    """`[access.connections.SERVICE]`: limits of a service; None = the default of the service."""

    renamed: ClassVar[Mapping[str, str]] = {"strangers": "unauthenticated"}

    total: Count | None = None
    """Connections; each takes a file descriptor and some memory."""
    network: Count | None = None
    """Connections of one IPv4 address or IPv6 /64, so that none can take them all."""
    known_network: Count | None = None
    """The same of one from which somebody has logged in: an office, where each page and each phone
    holds one; None = as `network`."""
    unauthenticated: Count | None = None
    """Connections without any right that have not logged in, or have begun a command and not ended
    it. Above a tenth of it some are closed at random, the more the more there are."""

    def or_else(self, defaults: "Connections") -> "Connections":
        """Return these limits, and those of `defaults` where they are None."""
        own = {key: value for key, value in asdict(self).items() if value is not None}
        return replace(defaults, **own)


NO_LIMITS = Connections()
USUAL = Connections(total=2_000, network=50, unauthenticated=200)


class Bans(Section, frozen=True):
    """`[access.bans]`: seconds of penalty for each offence, and when a penalty is a ban."""

    renamed: ClassVar[Mapping[str, str]] = {
        "enforced": "ban_threshold",
        "most": "max_penalty",
        "login_most": "max_login_penalty",
        "lax": "ipv6_48_factor",
        "entries": "max_penalties",
        "forget": "remember_expired",
    }

    login: Positive = 5.0
    """A bad login; each remembered one doubles the next."""
    frame: Positive = 2.0
    """A malformed frame that ended a connection; programs under development send some."""
    deadline: Positive = 2.0
    """A connection that was closed for being slow, as bad networks are too."""
    error: Positive = 90.0
    """A frame that caused an error in the daemon: it may be an unknown attack."""
    ban_threshold: Positive = 15.0
    """A network with at least this penalty is banned; two errors, seconds apart, stay below."""
    max_penalty: Positive = 600.0
    """Maximum penalty for anything but bad logins: a bug in a program can cause it too."""
    max_login_penalty: Positive = 14_400.0
    """Maximum penalty for bad logins: it leaves six guesses a day."""
    remember_expired: Positive = DAY
    """How long an expired penalty still counts towards the next one."""
    ipv6_48_factor: Count = 16
    """An IPv6 /48 may do this many times as much as a /64, as it may be a whole company."""
    max_penalties: Count = 65_536
    """Maximum number of penalties, of about 500 bytes; the one expiring first is dropped."""


class Access(Section, frozen=True):
    """`[access]`."""

    renamed: ClassVar[Mapping[str, str]] = {
        "rush": "max_unauthenticated_per_second",
        "hashes": "max_pending_logins",
        "recent": "password_cache",
        "known": "known_network",
        "store": "save_interval",
    }

    anonymous: tuple[str, ...] | None = None
    """Rights of connections that have not logged in; None = none, and only loopback is served."""
    networks: dict[str, tuple[str, ...]] = {}
    """Additional rights by address or network, such as those of terminals that cannot log in."""
    trust_loopback: bool = True
    """Programs of this machine may do everything, without limits and bans."""
    allow_plaintext_login: bool = False
    """Accept passwords over connections that others can read."""
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Load balancers that `haproxy:` endpoints believe: a PROXY header can claim any address. The
    connections of others are closed there."""
    login: Positive = 5.0
    """Maximum time until a connection without any right has logged in."""
    frame: Positive = 10.0
    """Maximum time from the first byte of a frame to its last; a frame fits into one packet."""
    header: Positive = 10.0
    """Maximum time for the headers of the first HTTP request of a connection."""
    body: Positive = 30.0
    """Maximum time for an upload; 1 MiB takes 8 s at 1 Mbit/s."""
    max_unauthenticated_per_second: Count = 100
    """New connections per second and service from networks without any right, from which nobody
    has logged in. Further ones are closed unread, at a fifth of the cost."""
    max_pending_logins: Count = 32
    """Logins waiting for a password hash, 15 ms each; further ones are refused."""
    password_cache: Seconds = 300.0
    """How long a verified password is cached, since HTTP sends it with each request."""
    known_network: Positive = 30 * DAY
    """How long a login makes its network known: known networks do not wait behind others, and the
    login is not banned for the offences of others there."""
    save_interval: Positive = 60.0
    """Interval at which bans and last logins are saved: a crash loses those since."""
    bans: Bans = Bans()
    connections: dict[str, Connections] = {}

    def with_defaults(self, defaults: Mapping[str, Connections]) -> "Access":
        """Return these settings with the default limits of services."""
        names = {**defaults, **self.connections}
        limits = {
            name: self.connections.get(name, NO_LIMITS).or_else(defaults.get(name, NO_LIMITS))
            for name in names
        }
        return replace(self, connections=limits)

    def limits(self, service: str) -> Connections:
        """Return the limits of a service; none of them is None."""
        return self.connections.get(service, NO_LIMITS).or_else(USUAL)


class Config(Section, frozen=True):
    """The whole configuration."""

    data: str = ""
    """The data folder; empty = `$STATE_DIRECTORY`, else `~/.local/share/mtnet`."""
    reserve: Whole = 1_073_741_824
    """Bytes to keep free on the disk of the data folder: bulk data is dropped below it."""
    listen: dict[str, str | list[str]] = {}
    tls: Tls = Tls()
    access: Access = Access()

    def section(self, name: str) -> Any:
        """Return the settings of a component; None = it has none."""
        return getattr(self, name, None)
