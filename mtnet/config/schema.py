"""
Every setting, with its default and its reason. Times are seconds, sizes are bytes.
"""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from mtnet.clock import DAY

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Positive = Annotated[float, Meta(gt=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]


class Section(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    renamed: ClassVar[Mapping[str, str]] = {}
    """Old names of keys and their new ones; see `mtnet.config.renamed`."""


class TlsHost(Section, frozen=True):
    """`[tls.hosts."NAME"]`: what a client gets that asks for the host NAME (`*.NAME` too)."""

    certificate: str
    key: str


class Tls(Section, frozen=True):
    """`[tls]`: what `secure:` endpoints speak."""

    renamed: ClassVar[Mapping[str, str]] = {"handshakes": "max_handshakes"}

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
    max_handshakes: Count = 256
    """Handshakes at once, of all listeners; the connections of more are closed. It bounds what
    clients cost that never say a word."""


class Connections(Section, frozen=True):
    """`[access.connections.SERVICE]`: how many connections a service has; None = the usual."""

    renamed: ClassVar[Mapping[str, str]] = {"strangers": "unauthenticated"}

    total: Count | None = None
    """Of everybody: each is a descriptor, and some memory."""
    network: Count | None = None
    """Of one /32, or /64 of IPv6, so that none can take all the places."""
    unauthenticated: Count | None = None
    """That may do nothing until they log in, or have begun a command and not ended it. From a tenth
    of it on one of them is closed now and then, the more often the more there are."""


USUAL = Connections(total=2_000, network=50, unauthenticated=200)
CONNECTIONS = {
    "templates": Connections(total=1_000, network=10, unauthenticated=100),
    "signals": Connections(total=10_000, unauthenticated=500),
    "ticks": Connections(network=20),
    "any": Connections(total=10_000, unauthenticated=500),
}
"""Of the services that need other numbers than the usual ones."""


class Bans(Section, frozen=True):
    """`[access.bans]`: what offences cost."""

    renamed: ClassVar[Mapping[str, str]] = {
        "enforced": "ban_threshold",
        "most": "max_penalty",
        "login_most": "max_login_penalty",
        "lax": "ipv6_48_factor",
        "entries": "max_penalties",
        "forget": "remember_expired",
    }

    login: Positive = 5.0
    """What the first bad login adds to a penalty; each one that is remembered doubles it."""
    frame: Positive = 2.0
    """What a malformed frame adds that ended a connection; programs under test send some."""
    deadline: Positive = 2.0
    """What a connection adds that was closed for being slow, as bad lines are too."""
    error: Positive = 90.0
    """What a frame adds that made us fail: it may be an attack that nobody knows yet."""
    ban_threshold: Positive = 15.0
    """Penalty from which on a network is kept out; two slips, seconds apart, stay below."""
    max_penalty: Positive = 600.0
    """Longest penalty for anything but bad logins, which a bug in a program may earn too."""
    max_login_penalty: Positive = 14_400.0
    """Longest penalty for bad logins: it leaves six guesses a day."""
    remember_expired: Positive = DAY
    """How long a penalty is remembered that is over, so that the next one is longer."""
    ipv6_48_factor: Count = 16
    """How many times as much an IPv6 /48 may do as a /64; it may be a whole company's."""
    max_penalties: Count = 65_536
    """Penalties remembered, of about 500 bytes; when full, that goes which ends first."""


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
    """What strangers may do; None = nothing is said, and only loopback may be served."""
    networks: dict[str, tuple[str, ...]] = {}
    """What those may do besides who come from an address or a network, such as terminals that
    know no login."""
    trust_loopback: bool = True
    """Whoever is on this machine is its owner, who may do all, without limits and bans."""
    allow_plaintext_login: bool = False
    """Take passwords where others can listen on the way."""
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")
    """Addresses and networks whose PROXY headers are believed; whoever may send one can claim
    any address. Others are closed on `haproxy:` endpoints."""
    login: Positive = 5.0
    """Longest wait for the first frame of a connection that may do nothing without a login."""
    frame: Positive = 10.0
    """Longest time from the first byte of a frame to its last: one fits into one packet."""
    header: Positive = 10.0
    """Longest time for the headers of a connection's first HTTP request."""
    body: Positive = 30.0
    """Longest time for an upload; 1 MiB takes 8 s at 1 Mbit/s."""
    max_unauthenticated_per_second: Count = 100
    """Connections of a service in a second from networks that may do nothing without a login, and
    from which nobody logged in before; more are closed unheard, at a fifth of the cost."""
    max_pending_logins: Count = 32
    """Logins that wait for their turn at 15 ms each; more are refused, to come back."""
    password_cache: Seconds = 300.0
    """How long a password that was right is known without hashing it anew, since HTTP sends it
    with each request."""
    known_network: Positive = 30 * DAY
    """How long a login remembers the networks it came from: they go first, and are not shut out
    for what others do there."""
    save_interval: Positive = 60.0
    """Between two times that bans and last logins are written down: what a crash may forget."""
    bans: Bans = Bans()
    connections: dict[str, Connections] = {}

    def of_service(self, name: str) -> Connections:
        """Return how many connections a service may have; none of the numbers is None."""
        said = [self.connections.get(name, Connections()), CONNECTIONS.get(name, USUAL), USUAL]
        most = {
            key: next(value for each in said if (value := getattr(each, key)) is not None)
            for key in Connections.__struct_fields__
        }
        return Connections(**most)


class Config(Section, frozen=True):
    """The whole configuration."""

    data: str = ""
    """The data folder; empty = `$STATE_DIRECTORY`, else `~/.local/share/mtnet`."""
    reserve: Whole = 1_073_741_824
    """Free bytes that ticks leave on the disk of the data folder: signals need them more."""
    listen: dict[str, str | list[str]] = {}
    tls: Tls = Tls()
    access: Access = Access()

    def section(self, name: str) -> Any:
        """Return the settings of a component; None = it has none."""
        return getattr(self, name, None)
