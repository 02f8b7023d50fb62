"""A client of TLS that dials a server in memory."""

from fakes.transports import MemoryEndpoint
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from tls_samples import Authority
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import (
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from mtnet.access.throttle import LogThrottle
from mtnet.client import why
from mtnet.client.tls import SecureEndpoint
from mtnet.net.peer import PeerLog
from mtnet.net.tls.certificates import Pair
from mtnet.net.tls.context import build_context
from mtnet.net.tls.handshake import HandshakeLimiter, SecureFactory


class Said(Protocol):
    """Keeps what it hears, and says a word first when it has one."""

    def __init__(self, word=b""):
        self.word, self.heard, self.lost = word, b"", None

    def connectionMade(self):
        if self.word:
            self.transport.write(self.word)

    def dataReceived(self, data):
        self.heard += data

    def connectionLost(self, reason):
        self.lost = reason.value


class Builds(Factory):
    """Keeps what it builds; `word` is what each says first."""

    noisy = False

    def __init__(self, word=b"", make=Said):
        self.word, self.make, self.built, self.running = word, make, [], 0

    def doStart(self):
        self.running += 1

    def doStop(self):
        self.running -= 1

    def buildProtocol(self, addr):
        protocol = self.make(self.word)
        self.built.append(protocol)
        return protocol


@implementer(IOpenSSLServerConnectionCreator)
class Creator:
    """OpenSSL's side of a server."""

    def __init__(self, context):
        self.context, self.names = context, []
        context.set_tlsext_servername_callback(self._name)

    def serverConnectionForTLS(self, protocol):
        return SSL.Connection(self.context, None)

    def _name(self, connection):
        self.names.append(connection.get_servername())


def bare_context(certificate, key, *issuers):
    """Return a context that shows whatever it is given."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.use_certificate(X509.from_cryptography(certificate))
    context.use_privatekey(PKey.from_cryptography_key(key))
    for issuer in issuers:
        context.add_extra_chain_cert(X509.from_cryptography(issuer))
    return context


class Dialled:
    """What became of an attempt to connect to a server."""

    def __init__(self, clock, server, name="localhost", trusted=None, own=None, client=None):
        self.clock, self.line = clock, MemoryEndpoint(server, clock)
        self.factory = client or Builds()
        self.endpoint = SecureEndpoint(self.line, name, clock, trusted, own)
        self.protocol = self.error = None
        self.attempt = self.endpoint.connect(self.factory)
        self.attempt.addCallbacks(
            lambda found: setattr(self, "protocol", found),
            lambda failure: setattr(self, "error", failure.value),
        )
        self.line.settle()

    @property
    def sentence(self):
        """Why it failed; by then nothing of it is left."""
        assert isinstance(self.error, ConnectError), self.error
        self.assert_clean()
        assert self.factory.built == [], "a protocol was built for somebody who is not known"
        told = why(self.error)
        assert told.isprintable(), "it is one line, and nothing moves the cursor"
        assert len(told) < 400
        return told

    def assert_clean(self):
        self.line.settle()
        assert not self.line.connection.client.connected
        assert not self.clock.getDelayedCalls()
        assert (self.factory.running, self.line.running) == (0, 0)


def dialler(clock, authority):
    """Return what dials a server: `dial(certificate, key, *issuers, name="localhost")`."""

    def make(certificate, key, *issuers, name="localhost", trusted=authority, **options):
        context = options.pop("context", None) or bare_context(certificate, key, *issuers)
        server = TLSMemoryBIOFactory(Creator(context), False, Builds(b"hello"), clock)
        return Dialled(clock, server, name, [trusted.certificate], **options)

    return make


def mtnet_server(clock, authority, verify="none", trusted=()):
    certificate, key = authority.issue("localhost")
    context = build_context(Pair((certificate,), key), "intermediate", verify, trusted)
    handshakes = HandshakeLimiter(clock, PeerLog(LogThrottle(), clock.seconds), 5, 100)
    return SecureFactory(Creator(context), Builds(b"hello"), handshakes)


def self_signed(*hosts):
    """Return a certificate that is its own issuer, and its key."""
    issuer = Authority("myself")
    certificate, _ = issuer.issue(*hosts, key=issuer.key, name="myself")
    return certificate, issuer.key
