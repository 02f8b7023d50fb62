"""
Server addresses as text.

::

    tcp:127.0.0.1:8081                          what Twisted knows, as it knows it
    secure:fx.example:8081                      TLS; the certificate is for fx.example
    secure:10.0.0.7:8081:name=fx.example        the name that it is for, where that is another
    secure:fx.example:8081:ca=ca.pem            an authority of one's own
    secure:fx.example:8081:certificate=me.pem:key=me.key    who the client is
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IStreamClientEndpoint

from mtnet.client.tls import SecureEndpoint
from mtnet.errors import ClientError
from mtnet.net.tls.certificates import Pair, check_match, read_certificates, read_key

_SECURE = re.compile(
    r"secure:(?:\[(?P<six>[^][]+)\]|(?P<host>(?:[^:\\]|\\.)+)):(?P<port>[0-9]{1,5})"
    r"(?P<options>(?::[a-z]+=(?:[^:\\]|\\.)+)*)",
    re.ASCII,
)
_OPTION = re.compile(r":([a-z]+)=((?:[^:\\]|\\.)+)")
_OPTIONS = ("name", "ca", "certificate", "key")


def server_from_string(reactor: Any, text: str, ca: Path | None = None) -> IStreamClientEndpoint:
    """
    Return the endpoint of a server.

    Args:
        text: a Twisted client string, or `secure:HOST:PORT` with `name=`, `ca=`, `certificate=`
            and `key=`; within a value `:` is written as `\\:`.
        ca: a PEM file of the authorities that are trusted, for `secure:` alone; None = those
            that the machine trusts.

    Raises:
        ClientError: `text` is invalid, or would not verify the name of the server.
        CertificateError: a file holds no certificate or key.
    """
    if text.startswith("secure:"):
        return _secure(reactor, text, ca)
    if ca is not None:
        raise ClientError(
            f"Invalid endpoint {text!r}: an authority needs TLS, as in secure:fx.example:8081."
        )
    if text[:4].lower() == "ssl:":
        raise ClientError(
            f"Invalid endpoint {text!r}: it would verify no name, as secure:fx.example:8081 does."
        )
    try:
        endpoint: IStreamClientEndpoint = clientFromString(reactor, text)
        return endpoint
    except (ValueError, TypeError, IndexError, KeyError, OSError) as error:
        raise ClientError(
            f"Invalid endpoint {text!r}: expected one such as tcp:127.0.0.1:8081 or "
            f"secure:fx.example:8081 ({error})."
        ) from error


def _secure(reactor: Any, text: str, ca: Path | None) -> IStreamClientEndpoint:
    found = _SECURE.fullmatch(text)
    options = dict(_OPTION.findall(found["options"] if found else ""))
    if found is None or options.keys() - set(_OPTIONS) or not 0 < int(found["port"]) < 65_536:
        raise ClientError(
            f"Invalid endpoint {text!r}: expected one such as secure:fx.example:8081:ca=ca.pem, "
            f"with the options {', '.join(f'{each}=' for each in _OPTIONS)}."
        )
    if "key" in options and "certificate" not in options:
        raise ClientError(f"Invalid endpoint {text!r}: key= needs certificate= as well.")
    host: str = found["six"] or _unescaped(found["host"])
    options = {key: _unescaped(value) for key, value in options.items()}
    if ca is None and "ca" in options:
        ca = _path(options["ca"])
    authorities = None if ca is None else read_certificates(ca)
    below = HostnameEndpoint(reactor, host, int(found["port"]))
    name = options.get("name", host)
    try:
        return SecureEndpoint(below, name, reactor, authorities, _own(options))
    except UnicodeError as error:
        raise ClientError(f"Invalid host name {name!r} ({error}).") from error


def _own(options: Mapping[str, str]) -> Pair | None:
    """Return the certificate of the client with its key, which may lie in the same file."""
    if "certificate" not in options:
        return None
    file = _path(options["certificate"])
    key_file = _path(options.get("key", options["certificate"]))
    chain, key = read_certificates(file), read_key(key_file)
    check_match(chain, key, file, key_file)
    return Pair(tuple(chain), key)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ClientError(f"Invalid path {text!r} ({error}).") from error


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)
