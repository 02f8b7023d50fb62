"""
Server addresses as text.

Pure.

::

    tcp:127.0.0.1:8081                          in clear text
    secure:fx.example:8081                      TLS; the certificate is for fx.example
    secure:10.0.0.7:8081:name=fx.example        the name that it is for, where that is another
    secure:fx.example:8081:ca=ca.pem            an authority of one's own
    secure:fx.example:8081:certificate=me.pem:key=me.key    who the client is
    wss://fx.example                            WebSocket over TLS, as through a proxy
    ws://127.0.0.1:8083/ws                      WebSocket in clear text
    https://fx.example                          HTTP over TLS, for signals alone
    http://127.0.0.1:8083                       HTTP in clear text
"""

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from mtnet.errors import ClientError

WEBSOCKET_PATH = "/ws"
"""The path of a server whose URL has none."""
OPTIONS = ("name", "ca", "certificate", "key")

_SECURE = re.compile(
    r"secure:(?:\[(?P<six>[^][]+)\]|(?P<host>(?:[^:\\]|\\.)+)):(?P<port>[0-9]{1,5})"
    r"(?P<options>(?::[a-z]+=(?:[^:\\]|\\.)+)*)",
    re.ASCII,
)
_PLAIN = re.compile(
    r"tcp:(?:host=)?(?:\[(?P<six>[^][]+)\]|(?P<host>(?:[^:\\]|\\.)+)):(?:port=)?(?P<port>[0-9]{1,5})",
    re.ASCII,
)
_OPTION = re.compile(r":([a-z]+)=((?:[^:\\]|\\.)+)")
_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_HTTP = ("http", "https")
_EXPECTED = "expected one such as tcp:127.0.0.1:8081, secure:fx.example:8081 or wss://fx.example"


class Address(Struct, frozen=True):
    """
    A server's address.

    Attributes:
        text: as it was given.
        secure: TLS.
        path: of the WebSocket; empty = none, but a plain stream. With `http` it stands before all
            paths of the server.
        name: the host that the certificate must be for.
        ca: PEM file of the trusted authorities; None = those of the machine.
        certificate, key: PEM files of the client; None = it shows none.
        http: long polls and POSTs.
    """

    text: str
    host: str
    port: int
    secure: bool = False
    path: str = ""
    name: str = ""
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    http: bool = False

    @property
    def authority(self) -> str:
        """Host and port as in a URL, without the port that its kind has by default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (
            host if self.port == _PORTS["wss" if self.secure else "ws"] else f"{host}:{self.port}"
        )


def read_address(text: str, ca: Path | str | None = None, http: bool = False) -> Address:
    """
    Read an address.

    Args:
        ca: PEM file of the authorities that are trusted, in place of `ca=`.
        http: whether the client speaks HTTP.

    Raises:
        ClientError: it is none, or none for the client.
    """
    kind = text.partition(":")[0].lower()
    if kind in _HTTP and not http:
        raise ClientError(f"Invalid endpoint {text!r}: HTTP brings signals alone; {_EXPECTED}.")
    reader = _secure if kind == "secure" else _url if kind in _PORTS else _plain
    address = reader(text)
    if ca is None:
        return address
    if not address.secure:
        raise ClientError(
            f"Invalid endpoint {text!r}: an authority needs TLS, as in secure:fx.example:8081."
        )
    return replace(address, ca=Path(ca).expanduser())


def _plain(text: str) -> Address:
    found = _PLAIN.fullmatch(text)
    if found is None:
        raise ClientError(f"Invalid endpoint {text!r}: {_EXPECTED}.")
    return Address(text, _host(found), _port(text, found["port"]))


def _secure(text: str) -> Address:
    found = _SECURE.fullmatch(text)
    options = dict(_OPTION.findall(found["options"] if found else ""))
    if found is None or options.keys() - set(OPTIONS) or not 0 < int(found["port"]) < 65_536:
        raise ClientError(
            f"Invalid endpoint {text!r}: expected one such as secure:fx.example:8081:ca=ca.pem, "
            f"with the options {', '.join(f'{each}=' for each in OPTIONS)}."
        )
    if "key" in options and "certificate" not in options:
        raise ClientError(f"Invalid endpoint {text!r}: key= needs certificate= as well.")
    files: dict[str, Any] = {
        key: _path(_unescaped(options[key])) for key in OPTIONS[1:] if key in options
    }
    host = _host(found)
    name = _unescaped(options["name"]) if "name" in options else host
    return Address(text, host, int(found["port"]), True, "", name, **files)


def _url(text: str) -> Address:
    try:
        parts = urlsplit(text)
        kind, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError:
        kind, host, port = "", None, None
    if not host or kind not in _PORTS or parts.username is not None or parts.fragment:
        raise ClientError(
            f"Invalid endpoint {text!r}: expected one such as wss://fx.example or "
            f"ws://127.0.0.1:8083{WEBSOCKET_PATH}, without a login."
        )
    http = kind in _HTTP
    if http and parts.query:
        raise ClientError(f"Invalid endpoint {text!r}: that of an HTTP server has no query.")
    path = parts.path if parts.path.strip("/") else "" if http else WEBSOCKET_PATH
    path = path.rstrip("/") if http else path + (f"?{parts.query}" if parts.query else "")
    if not path.isascii() or not path.isprintable() or " " in path:
        raise ClientError(f"Invalid endpoint {text!r}: its path has letters that a URL has not.")
    secure = kind in ("wss", "https")
    return Address(text, host, port or _PORTS[kind], secure, path, host, http=http)


def _host(found: re.Match[str]) -> str:
    return found["six"] or _unescaped(found["host"])


def _port(text: str, port: str) -> int:
    if not 0 < int(port) < 65_536:
        raise ClientError(f"Invalid endpoint {text!r}: a port is a number from 1 to 65535.")
    return int(port)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ClientError(f"Invalid path {text!r} ({error}).") from error


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def no_connection(server: str, reason: str) -> str:
    """Return the sentence for an attempt to connect that failed."""
    return f"No connection to {server}: {reason}{'' if reason.endswith('?') else '.'}"
