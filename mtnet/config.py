"""
The configuration: TOML, environment and command line, frozen into structs.

Pure: it is handed text and mappings and raises `mtnet.errors.ConfigError`, whose sentence
names the section and the key. Times are seconds, sizes are bytes.
"""

import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from mtnet.errors import ConfigError

Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Positive = Annotated[float, Meta(gt=0, le=31_536_000)]
Count = Annotated[int, Meta(ge=1)]
Whole = Annotated[int, Meta(ge=0)]
Right = Literal["follow", "publish", "send", "read", "fetch", "admin"]
ChannelName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
SourceName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]

DAY = 86_400.0
_UNKNOWN = "Object contains unknown field "


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


def load(
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    sets: Iterable[str] = (),
    listens: Iterable[str] = (),
    data: str | None = None,
) -> Config:
    """
    Join every source of settings: defaults < file < environment < `--set` < `--listen`, `--data`.

    Args:
        file: a TOML file, or None.
        environ: `MTNET_DATA`, `MTNET_SECTION__KEY`, deeper with more `__`, and `STATE_DIRECTORY`.
        sets: `SECTION.KEY=VALUE` texts; a part that holds a dot stands in double quotes.
        listens: `NAME=ENDPOINT` texts; those of one name replace all that was configured for it.
        data: the data folder.

    Raises:
        ConfigError: one sentence, naming the section and key, the variable or the option.
    """
    tree = {} if file is None else _read(file)
    environ = environ or {}
    for name in sorted(environ):
        # Other programs of ours have variables too, such as MTNET_PASSWORD.
        if name == "MTNET_DATA" or (name.startswith("MTNET_") and "__" in name):
            path = [part.lower() for part in name.removeprefix("MTNET_").split("__")]
            _plant(tree, path, environ[name], f"the environment variable {name}")
    for text in sets:
        key, equals, value = _partition(text)
        if not equals:
            raise ConfigError(f"--set takes SECTION.KEY=VALUE, and {text!r} has no '='.")
        _plant(tree, _dotted(key), value, f"--set {key}")
    tree["listen"] = {**_table(tree, "listen"), **_listens(listens)}
    if data is not None:
        tree["data"] = data
    tree["data"] = str(Path(tree.get("data") or _default_data(environ)).expanduser().absolute())
    return _convert(tree, file)


def endpoints(config: Config, name: str, defaults: list[str]) -> list[str]:
    """Return the endpoint texts of the service `name`; `off` and no default mean none."""
    said = config.listen.get(name, defaults)
    texts = [said] if isinstance(said, str) else said
    return [text for text in texts if text != "off"]


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"The configuration {file} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The configuration {file} is not TOML: {error}.") from error


def _default_data(environ: Mapping[str, str]) -> str:
    # systemd joins several StateDirectory= entries with colons; the first is ours.
    state = environ.get("STATE_DIRECTORY", "").split(":")[0]
    return state or "~/.local/share/mtnet"


def _listens(listens: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for text in listens:
        name, equals, endpoint = text.partition("=")
        if not (name and equals and endpoint):
            raise ConfigError(
                f"--listen takes NAME=ENDPOINT such as signals=tcp:8081, or NAME=off, not {text!r}."
            )
        found.setdefault(name, []).append(endpoint)
    return found


def _table(tree: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = tree.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"[{key}] must be a table of keys, not {value!r}.")
    return value


def _partition(text: str) -> tuple[str, str, str]:
    """Split at the first `=` that stands outside double quotes."""
    quoted = False
    for at, character in enumerate(text):
        quoted ^= character == '"'
        if character == "=" and not quoted:
            return text[:at], "=", text[at + 1 :]
    return text, "", ""


def _dotted(key: str) -> list[str]:
    parts, quoted = [""], False
    for character in key:
        if character == '"':
            quoted = not quoted
        elif character == "." and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _plant(tree: dict[str, Any], path: list[str], text: str, where: str) -> None:
    """Put the value that `text` means at `path`, read by the type of that key."""
    kind: Any = Config
    for depth, part in enumerate(path):
        kind = _member(kind, part)
        if kind is None:
            raise ConfigError(f"{where} names {'.'.join(path[: depth + 1])}, which is no setting.")
    for part in path[:-1]:
        inner = tree.setdefault(part, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{where} sets a key of {part}, which the file makes no table.")
        tree = inner
    tree[path[-1]] = _value(kind, text, where)


def _member(kind: Any, part: str) -> Any:
    if isinstance(kind, type) and issubclass(kind, Struct):
        return get_type_hints(kind, include_extras=True).get(part)
    if get_origin(kind) is dict:
        return get_args(kind)[1]
    return None


def _value(kind: Any, text: str, where: str) -> Any:
    listed = any(get_origin(each) in (list, tuple) for each in (kind, *get_args(kind)))
    parts = [part.strip() for part in text.split(",") if part.strip()]
    # Where a key takes a text or a list, one part is a text.
    either = get_origin(kind) not in (list, tuple) and str in get_args(kind)
    value: Any = parts if listed and (not either or len(parts) > 1) else text
    try:
        return msgspec.to_builtins(msgspec.convert(value, kind, strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where} cannot be {text!r}: {_reason(error)[0]}.") from error


def _convert(tree: dict[str, Any], file: Path | None) -> Config:
    try:
        return msgspec.convert(tree, Config)
    except msgspec.ValidationError as error:
        reason, path = _reason(error)
        where = "" if file is None else f" in {file}"
        if reason.startswith(_UNKNOWN):
            unknown = reason.removeprefix(_UNKNOWN).strip("`")
            name = ".".join(part for part in (path, unknown) if part)
            raise ConfigError(f"{name}{where} is no setting.") from error
        raise ConfigError(f"{path or 'The configuration'}{where}: {reason}.") from error


def _reason(error: msgspec.ValidationError) -> tuple[str, str]:
    """Split msgspec's «reason - at `$.section.key`» into the reason and `section.key`."""
    reason, _, path = str(error).partition(" - at ")
    return reason, path.strip("`").removeprefix("$").removeprefix(".")
