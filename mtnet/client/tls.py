"""TLS to a server, whose certificate is always verified, with errors that name the cause."""

from typing import Any

from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from service_identity import CertificateError as UnreadableNames
from service_identity import VerificationError
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from service_identity.pyopenssl import extract_patterns
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    IOpenSSLClientConnectionCreator,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.net.tls.certificates import Pair, day, names
from mtnet.net.tls.context import reason as reason_of
from mtnet.net.tls.handshake import SecureTransport, hand_over

HANDSHAKE = 10.0
"""Seconds for the TLS handshake: a server of ours ends one after five."""
SHOWN = 120
"""Characters that are shown of the names in an unknown certificate."""

_CODES = SSL.X509VerificationCodes
_UNTRUSTED = {
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT,
    _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
    _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN,
}
"""OpenSSL's codes of a chain that ends at no trusted authority."""
_NO_TLS = ("wrong version number", "record layer failure", "packet length too long", "http request")


@implementer(IStreamClientEndpoint)
class SecureEndpoint:
    """
    An endpoint of a TLS server whose certificate is verified.

    Connecting fails with a `ConnectError` that names what is wrong with the certificate.

    Args:
        below: the endpoint of the TCP connection.
        name: the host name or address that its certificate must be for.
        clock: the reactor.
        authorities: those that are trusted; None = those that the machine trusts.
        own: certificate of the client, where the server asks for one.

    Raises:
        UnicodeError: `name` cannot be the name of a host.
    """

    def __init__(
        self,
        below: IStreamClientEndpoint,
        name: str,
        clock: IReactorTime,
        authorities: list[x509.Certificate] | None = None,
        own: Pair | None = None,
    ) -> None:
        self._below, self._name, self._clock = below, name, clock
        trusted = None
        if authorities is not None:
            wrapped = [Certificate(X509.from_cryptography(each)) for each in authorities]
            trusted = trustRootFromCertificates(wrapped)
        shown = {} if own is None else _certificate_options(own)
        self._options = optionsForClientTLS(name, trusted, extraCertificateOptions=shown)

    def connect(self, factory: IProtocolFactory) -> "Deferred[IProtocol]":
        """Connect; fires once the handshake is over, with what `factory` built."""
        return Deferred.fromCoroutine(self._connect(factory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        verifier = Verifier(self._name)
        handshake = _HandshakeFactory(factory, verifier, self._clock)
        creator = _Creator(self._options, verifier)
        await self._below.connect(_TlsFactory(creator, handshake, self._clock))
        return await handshake.done


class Verifier:
    """
    Verify callback of OpenSSL, called for each certificate of the chain.

    Attributes:
        refusal: what is wrong, for the middle of a sentence; empty = nothing.
    """

    def __init__(self, name: str) -> None:
        self._name, self.refusal = name, ""

    def __call__(
        self, connection: SSL.Connection, found: X509, code: int, depth: int, good: int
    ) -> bool:
        """Return whether a certificate is accepted; OpenSSL would swallow an exception."""
        try:
            certificate = found.to_cryptography()
            self.refusal = self.refusal or self._verify(found, certificate, code, depth, bool(good))
        except Exception as error:
            self.refusal = f"its certificate cannot be read ({_printable(str(error))})"
        return not self.refusal

    def _verify(
        self, found: X509, certificate: x509.Certificate, code: int, depth: int, good: bool
    ) -> str:
        if not good:
            return _refusal(certificate, code, depth)
        if depth:
            return ""
        literal = isIPAddress(self._name) or isIPv6Address(self._name)
        wanted = IPAddress_ID(self._name) if literal else DNS_ID(self._name)
        try:
            verify_service_identity(extract_patterns(found), [wanted], [])
        except (VerificationError, UnreadableNames):
            named = _printable(" and ".join(names(certificate))) or "no host at all"
            return f"its certificate is for {named}, not for {self._name}"
        return ""


class _TlsFactory(TLSMemoryBIOFactory):
    """TLS whose close ends, as that of the server does."""

    protocol = SecureTransport

    def __init__(
        self, creator: "_Creator", handshake: "_HandshakeFactory", clock: IReactorTime
    ) -> None:
        self.clock = clock
        super().__init__(creator, True, handshake, clock)


@implementer(IOpenSSLClientConnectionCreator)
class _Creator:
    """Makes OpenSSL's side of one connection."""

    def __init__(self, options: IOpenSSLClientConnectionCreator, verifier: Verifier) -> None:
        self._options, self._verifier = options, verifier

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Return it; called by Twisted, whose own check does not report a reason."""
        connection: SSL.Connection = self._options.clientConnectionForTLS(protocol)
        connection.set_verify(SSL.VERIFY_PEER, self._verifier)
        return connection


@implementer(IHandshakeListener)
class _HandshakeProtocol(Protocol):
    """Placeholder for the client's protocol until the handshake is over."""

    transport: Any

    def __init__(self, handshake: "_HandshakeFactory") -> None:
        self._factory = handshake
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self._factory.clock.callLater(HANDSHAKE, self._late)

    def handshakeCompleted(self) -> None:
        """Hand the connection over."""
        self._stop()
        try:
            protocol = hand_over(self.transport, self._factory.client)
        except Exception:
            self._factory.done.errback()
            self.transport.abortConnection()
            return
        if protocol is None:
            self._factory.fail("the client takes no connection")
        else:
            self._factory.done.callback(protocol)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop()
        self._factory.fail(self._factory.verifier.refusal or why_no_handshake(reason))

    def abort(self) -> None:
        """Give up."""
        self._stop()
        self.transport.abortConnection()

    def _late(self) -> None:
        self._deadline = None
        self._factory.fail(f"the TLS handshake took more than {HANDSHAKE:g} s")
        self.transport.abortConnection()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _HandshakeFactory(Factory):
    """
    Builds the placeholder of one connection.

    Attributes:
        done: fires with the client's protocol, or fails with `ConnectError`.
    """

    noisy = False

    def __init__(self, client: IProtocolFactory, verifier: Verifier, clock: IReactorTime) -> None:
        self.client, self.verifier, self.clock = client, verifier, clock
        self._protocol: _HandshakeProtocol | None = None
        self.done: Deferred[IProtocol] = Deferred(self._cancel)

    def doStart(self) -> None:
        self.client.doStart()

    def doStop(self) -> None:
        self.client.doStop()

    def buildProtocol(self, addr: object) -> _HandshakeProtocol:
        self._protocol = _HandshakeProtocol(self)
        return self._protocol

    def fail(self, reason: str) -> None:
        """Let connecting fail, unless it is over."""
        if not self.done.called:
            self.done.errback(ConnectError(string=reason))

    def _cancel(self, _: object) -> None:
        if self._protocol is not None:
            self._protocol.abort()


def why_no_handshake(failure: Failure) -> str:
    """Return why a handshake failed, for the middle of a sentence."""
    if not failure.check(SSL.Error):
        return "the server broke off the TLS handshake; does that port speak TLS?"
    reason = reason_of(failure.value)
    if reason in _NO_TLS:
        return "the server does not speak TLS"
    return f"the TLS handshake failed ({reason})"


def _refusal(certificate: x509.Certificate, code: int, depth: int) -> str:
    which = "an issuer of its certificate" if depth else "its certificate"
    if code == _CODES.ERR_CERT_HAS_EXPIRED:
        return f"{which} expired on {_day(certificate.not_valid_after_utc.timestamp())}"
    if code == _CODES.ERR_CERT_NOT_YET_VALID:
        since = _day(certificate.not_valid_before_utc.timestamp())
        return f"{which} is valid from {since} on, or the clock of this machine is wrong"
    if code in _UNTRUSTED:
        issuer = _printable(certificate.issuer.rfc4514_string())
        return (
            f"its issuer {issuer} is not trusted here (--ca FILE, in a program ca=FILE, names "
            "another authority)"
        )
    reason = next((key for key, value in vars(_CODES).items() if value == code), str(code))
    return f"{which} is refused ({reason.removeprefix('ERR_').replace('_', ' ').lower()})"


def _certificate_options(own: Pair) -> dict[str, Any]:
    """Return Twisted's options for the certificate of the client and its issuers."""
    certificate, *issuers = map(X509.from_cryptography, own.chain)
    key = PKey.from_cryptography_key(own.key)
    return {"privateKey": key, "certificate": certificate, "extraCertChain": issuers}


def _printable(text: str) -> str:
    """Return the beginning of a text of an unknown server, safe to print on a terminal."""
    shown = "".join(each if each.isprintable() else "?" for each in text[:SHOWN])
    return shown + ("…" if len(text) > SHOWN else "")


def _day(seconds: float) -> str:
    return day(int(seconds) * 1_000)
