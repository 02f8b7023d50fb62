"""
Server addresses as text: what Twisted knows, and those of `mtnet.client.core.address`.
"""

from pathlib import Path
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from mtnet.client.core.address import Address, read_address
from mtnet.client.http.endpoint import HttpEndpoint
from mtnet.client.tls import SecureEndpoint
from mtnet.errors import ClientError
from mtnet.net.tls.certificates import Pair, check_match, read_certificates, read_key


def server_from_string(reactor: Any, text: str, ca: Path | None = None) -> IStreamClientEndpoint:
    """
    Return the endpoint of a server.

    Args:
        text: a Twisted client string; `secure:HOST:PORT` with `name=`, `ca=`, `certificate=`
            and `key=`, where `:` within a value is written as `\\:`; `ws://` or `wss://`; or, for
            signals alone, `http://` or `https://`.
        ca: a PEM file of the authorities that are trusted, for `secure:`, `wss:` and `https:`
            alone; None = those that the machine trusts.

    Raises:
        ClientError: `text` is invalid, or would not verify the name of the server.
        CertificateError: a file holds no certificate or key.
    """
    if text.startswith("secure:"):
        return _secure(reactor, read_address(text, ca))
    if text[:5].lower() in ("ws://", "wss:/"):
        address = read_address(text, ca)
        plain = HostnameEndpoint(reactor, address.host, address.port)
        return WebSocketEndpoint(_secure(reactor, address) if address.secure else plain, address)
    if text[:5].lower() in ("http:", "https"):
        return _http(reactor, read_address(text, ca, http=True))
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
            f"Invalid endpoint {text!r}: expected one such as tcp:127.0.0.1:8081, "
            "secure:fx.example:8081 or wss://fx.example."
        ) from error


@implementer(IStreamClientEndpoint)
class WebSocketEndpoint:
    """
    An endpoint of a WebSocket, for `Follower`, `Publisher` and `subscribe`.

    Args:
        below: the endpoint of the TCP or TLS connection.
    """

    def __init__(self, below: IStreamClientEndpoint, address: Address) -> None:
        self._below, self._address = below, address

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect, or fail with `ClientError`: not every client speaks WebSocket."""
        return self._below.connect(_WebSocketFactory(factory, self._address))


class _WebSocketFactory(Factory):
    """Builds what another factory builds, and tells it that it speaks WebSocket."""

    noisy = False

    def __init__(self, inner: IProtocolFactory, address: Address) -> None:
        self._inner, self._address = inner, address

    def doStart(self) -> None:
        self._inner.doStart()

    def doStop(self) -> None:
        self._inner.doStop()

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._inner.buildProtocol(addr)
        use_websocket = getattr(protocol, "use_websocket", None)
        if protocol is None or use_websocket is None:
            raise ClientError("this client speaks no WebSocket, but tcp: and secure:")
        use_websocket(self._address)
        return protocol


def _http(reactor: Any, address: Address) -> HttpEndpoint:
    def below(host: str | None) -> IStreamClientEndpoint:
        found = address if host is None else replace(address, host=host)
        if found.secure:
            return _secure(reactor, found)
        plain: IStreamClientEndpoint = HostnameEndpoint(reactor, found.host, found.port)
        return plain

    return HttpEndpoint(reactor, address, below)


def _secure(reactor: Any, address: Address) -> IStreamClientEndpoint:
    authorities = None if address.ca is None else read_certificates(address.ca)
    below = HostnameEndpoint(reactor, address.host, address.port)
    try:
        return SecureEndpoint(below, address.name, reactor, authorities, _own(address))
    except UnicodeError as error:
        raise ClientError(f"Invalid host name {address.name!r} ({error}).") from error


def _own(address: Address) -> Pair | None:
    """Return the certificate of the client with its key, which may lie in the same file."""
    if address.certificate is None:
        return None
    file, key_file = address.certificate, address.key or address.certificate
    chain, key = read_certificates(file), read_key(key_file)
    check_match(chain, key, file, key_file)
    return Pair(tuple(chain), key)
