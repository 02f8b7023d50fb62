"""TLS of a client, in memory: whom it believes, and what it says of all others."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID
from fakes.servers import Outcome
from fakes.transports import MemoryEndpoint
from OpenSSL import SSL
from OpenSSL.crypto import X509, PKey
from tls_samples import DAY, Authority, key_pem, pem
from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectError, ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import (
    IHandshakeListener,
    IOpenSSLServerConnectionCreator,
    ISSLTransport,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.access.throttle import LogThrottle
from mtnet.client import Templates, tls, why
from mtnet.client.tls import SecureEndpoint
from mtnet.net.peer import PeerLog
from mtnet.net.tls.certificates import Pair
from mtnet.net.tls.context import build_context
from mtnet.net.tls.handshake import HandshakeLimiter, SecureFactory


@pytest.fixture(scope="module")
def authority():
    return Authority()


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


@pytest.fixture
def dial(clock, authority):
    """Dial a server with a certificate: `dial(certificate, key, *issuers, name="localhost")`."""

    def make(certificate, key, *issuers, name="localhost", trusted=authority, **options):
        context = options.pop("context", None) or bare_context(certificate, key, *issuers)
        server = TLSMemoryBIOFactory(Creator(context), False, Builds(b"hello"), clock)
        return Dialled(clock, server, name, [trusted.certificate], **options)

    return make


# Who is believed


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["localhost"], "localhost"),
        (["LOCALHOST"], "localhost"),
        (["localhost"], "LocalHost"),
        (["*.example.com"], "fx.example.com"),
        (["xn--bcher-kva.example"], "bücher.example"),
        (["127.0.0.1"], "127.0.0.1"),
        (["::1"], "::1"),
        (["::1"], "0:0:0:0:0:0:0:1"),
        (["a.example", "b.example", "10.0.0.7"], "10.0.0.7"),
    ],
)
def test_a_server_is_believed_whose_certificate_has_the_name(dial, authority, hosts, name):
    dialled = dial(*authority.issue(*hosts), name=name)
    assert dialled.error is None
    assert dialled.factory.built == [dialled.protocol]
    assert dialled.protocol.heard == b"hello"
    dialled.protocol.transport.loseConnection()
    dialled.assert_clean()


def test_a_certificate_behind_an_intermediate_is_believed(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    dialled = dial(*middle.issue("localhost"), middle.certificate, trusted=root)
    assert dialled.error is None


def test_a_self_signed_certificate_is_believed_once_it_is_trusted_itself(dial):
    class Itself:
        certificate, key = self_signed("localhost")

    assert dial(Itself.certificate, Itself.key, trusted=Itself).error is None


def test_the_protocol_is_built_behind_the_handshake_and_knows_its_transport(clock, authority):
    built_at = []

    @implementer(IHandshakeListener)
    class Listens(Said):
        shaken = False

        def connectionMade(self):
            built_at.append(ISSLTransport.providedBy(self.transport))

        def handshakeCompleted(self):
            self.shaken = True

    context = bare_context(*authority.issue("localhost"))
    server = TLSMemoryBIOFactory(Creator(context), False, Builds(), clock)
    line, factory = MemoryEndpoint(server, clock), Builds(make=Listens)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    endpoint.connect(factory)
    for _ in range(2):
        assert factory.built == []
        clock.advance(0)
        line.connection.turn()
    line.settle()
    assert built_at == [True]
    assert factory.built[0].shaken
    assert not clock.getDelayedCalls()


def test_what_is_written_goes_out_and_what_is_said_with_the_handshake_is_heard(clock, authority):
    server = Builds()
    context = bare_context(*authority.issue("localhost"))
    behind = TLSMemoryBIOFactory(Creator(context), False, server, clock)
    dialled = Dialled(clock, behind, "localhost", [authority.certificate], client=Builds(b"hi"))
    assert server.built[0].heard == b"hi"
    dialled.protocol.transport.write(b" there")
    dialled.line.settle()
    assert server.built[0].heard == b"hi there"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("fx.example", b"fx.example"),
        ("bücher.example", b"xn--bcher-kva.example"),
        ("10.0.0.7", None),
        ("::1", None),
    ],
)
def test_the_server_is_told_the_name_unless_it_is_an_address(clock, authority, name, told):
    creator = Creator(bare_context(*authority.issue("localhost")))
    Dialled(clock, TLSMemoryBIOFactory(creator, False, Builds(), clock), name)
    assert creator.names == [told]


def test_the_server_of_mtnet_is_believed(clock, authority):
    dialled = Dialled(clock, mtnet_server(clock, authority), trusted=[authority.certificate])
    assert dialled.protocol.heard == b"hello"
    dialled.line.connection.server.protocol.loseConnection()
    dialled.assert_clean()


def mtnet_server(clock, authority, verify="none", trusted=()):
    certificate, key = authority.issue("localhost")
    context = build_context(Pair((certificate,), key), "intermediate", verify, trusted)
    handshakes = HandshakeLimiter(clock, PeerLog(LogThrottle(), clock.seconds), 5, 100)
    return SecureFactory(Creator(context), Builds(b"hello"), handshakes)


# Who is not


def self_signed(*hosts):
    """Return a certificate that is its own issuer, and its key."""
    issuer = Authority("myself")
    certificate, _ = issuer.issue(*hosts, key=issuer.key, name="myself")
    return certificate, issuer.key


@pytest.mark.parametrize(
    ("hosts", "name"),
    [
        (["fx.example"], "localhost"),
        (["fx.example"], "10.0.0.7"),
        (["10.0.0.7"], "10.0.0.8"),
        (["10.0.0.7"], "fx.example"),
        (["fe80::1"], "::1"),
        (["*.example.com"], "example.com"),
        (["*.example.com"], "a.b.example.com"),
        (["*.example.com"], "10.0.0.7"),
        (["bucher.example"], "bücher.example"),
        (["localhost.evil.example"], "localhost"),
    ],
)
def test_a_certificate_of_another_name_is_refused_with_the_names_that_it_has(
    dial, authority, hosts, name
):
    told = dial(*authority.issue(*hosts), name=name).sentence
    assert told == f"its certificate is for {hosts[0]}, not for {name}"


def test_an_address_that_stands_among_the_host_names_is_no_address(dial, authority):
    certificate, key = special(authority, x509.DNSName("10.0.0.7"))
    assert "not for 10.0.0.7" in dial(certificate, key, name="10.0.0.7").sentence


def test_a_name_that_stands_in_the_subject_alone_does_not_count(dial, authority):
    told = dial(*authority.issue(name="localhost")).sentence
    assert told == "its certificate is for no host at all, not for localhost"


def test_a_certificate_of_many_names_is_not_told_whole(dial, authority):
    hosts = [f"host-{number}.example" for number in range(200)]
    assert "host-0.example" in dial(*authority.issue(*hosts)).sentence


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\nb", "a\r\nmtnet: Stored.", "a" * 3_000])
def test_a_strange_issuer_does_not_write_on_the_terminal(dial, text):
    stranger = Authority("x")
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, text, _validate=False)])
    stranger.certificate = resign(stranger, subject)
    assert "is not trusted here" in dial(*stranger.issue("localhost")).sentence


@pytest.mark.parametrize("text", ["a\x1b[2Jb.example", "a\nb.example"])
def test_strange_names_of_a_trusted_issuer_do_not_write_on_the_terminal(dial, authority, text):
    assert "not for localhost" in dial(*special(authority, x509.DNSName(text))).sentence


def resign(authority, subject):
    """Return the authority's own certificate with another subject."""
    old = authority.certificate
    builder = x509.CertificateBuilder(
        subject,
        subject,
        old.public_key(),
        x509.random_serial_number(),
        old.not_valid_before_utc,
        old.not_valid_after_utc,
        list(old.extensions),
    )
    return builder.sign(authority.key, hashes.SHA256())


def special(authority, *names, extra=()):
    """Return a certificate with these general names, and its key."""
    plain, key = authority.issue()
    builder = x509.CertificateBuilder(
        plain.issuer,
        plain.subject,
        plain.public_key(),
        plain.serial_number,
        plain.not_valid_before_utc,
        plain.not_valid_after_utc,
        list(plain.extensions),
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for each in extra:
        builder = builder.add_extension(each, critical=False)
    return builder.sign(authority.key, hashes.SHA256()), key


@pytest.mark.parametrize(
    "value", [b"", b"\x30\x03\x82\x01", b"\x04\x03abc", b"\x30\x03\x82\x01\xff"]
)
def test_names_that_cannot_be_read_are_refused(dial, authority, value):
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, value)
    assert dial(*special(authority, extra=[broken])).sentence.startswith(("its ", "an issuer "))


def test_an_issuer_that_nobody_trusts_is_named_with_the_way_to_trust_it(dial):
    told = dial(*Authority("Elsewhere").issue("localhost")).sentence
    assert "its issuer CN=Elsewhere is not trusted here" in told
    assert "(--ca FILE, in a program ca=FILE, names another authority)" in told


def test_a_self_signed_certificate_is_refused(dial):
    assert "its issuer CN=myself is not trusted here" in dial(*self_signed("localhost")).sentence


def test_a_missing_intermediate_is_named(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    assert "CN=middle" in dial(*middle.issue("localhost"), trusted=root).sentence


def test_a_forged_signature_is_refused(dial, authority):
    forger = Authority("mtnet test authority")
    assert dial(*forger.issue("localhost")).sentence


def test_a_server_certificate_signs_no_other(dial, authority):
    certificate, key = authority.issue("localhost")
    thief = Authority("x")
    thief.certificate, thief.key = certificate, key
    assert dial(*thief.issue("fx.example"), certificate, name="fx.example").sentence


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        ({"since": -9 * DAY, "until": -2 * DAY}, "its certificate expired on 20"),
        ({"since": DAY, "until": 9 * DAY}, "its certificate is valid from 20"),
    ],
)
def test_a_certificate_out_of_its_time_is_refused_with_the_day(dial, authority, dates, words):
    assert words in dial(*authority.issue("localhost", **dates)).sentence


def test_an_expired_intermediate_is_told_apart_from_the_certificate(dial):
    root = Authority("root")
    middle = Authority("middle", root)
    middle.certificate = middle._sign(
        "middle", middle.key.public_key(), root, ca=True, since=-9 * DAY, until=-2 * DAY
    )
    told = dial(*middle.issue("localhost"), middle.certificate, trusted=root).sentence
    assert told.startswith("an issuer of its certificate expired on 20")


def test_a_certificate_that_is_for_clients_is_refused(dial, authority):
    assert "purpose" in dial(*authority.issue("localhost", usage="client")).sentence


def test_an_expired_certificate_of_another_name_is_refused_once(dial, authority):
    dates = {"since": -9 * DAY, "until": timedelta(days=-2)}
    assert dial(*authority.issue("fx.example", **dates)).sentence.count("its certificate") == 1


def test_a_server_without_any_certificate_is_refused(dial, authority):
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(b"aNULL:eNULL:@SECLEVEL=0")
    assert "handshake" in dial(None, None, context=context).sentence


def test_a_server_of_old_tls_is_refused(dial, authority):
    context = bare_context(*authority.issue("localhost"))
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_max_proto_version(SSL.TLS1_1_VERSION)
    assert "handshake" in dial(None, None, context=context).sentence


# What is no TLS server at all


@pytest.mark.parametrize(
    "word",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"<<EURUSD|0.10>>\r\n",
        b"<chart>\r\nsymbol=EURUSD\r\n",
        b"\xff\xfe<\0c\0h\0a\0r\0t\0>\0",
        b"220 mail.example ESMTP\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"ERR: tick nonsense\r\n",
        b"\0" * 40,
    ],
)
def test_a_server_that_speaks_no_tls_is_told_apart(clock, word):
    assert Dialled(clock, Builds(word)).sentence == "the server does not speak TLS"


class Closes(Said):
    def dataReceived(self, data):
        self.transport.loseConnection()


class Resets(Said):
    def dataReceived(self, data):
        self.transport.abortConnection()


class ClosesAtOnce(Said):
    def connectionMade(self):
        self.transport.loseConnection()


@pytest.mark.parametrize("make", [Closes, Resets, ClosesAtOnce])
def test_a_server_that_goes_away_during_the_handshake_is_asked_whether_it_speaks_tls(clock, make):
    assert "does that port speak TLS?" in Dialled(clock, Builds(make=make)).sentence


def test_a_short_word_before_the_end_is_no_handshake(clock):
    assert "TLS" in Dialled(clock, Builds(b"no", make=lambda word: ShortWord(word))).sentence


class ShortWord(Said):
    def connectionMade(self):
        super().connectionMade()
        self.transport.loseConnection()


def test_a_silent_server_is_given_up_after_the_deadline(clock):
    dialled = Dialled(clock, Builds())
    clock.advance(tls.HANDSHAKE - 0.1)
    assert dialled.error is None
    clock.advance(0.1)
    assert dialled.sentence == "the TLS handshake took more than 10 s"


def test_a_server_that_answers_byte_by_byte_is_given_up_after_the_deadline(clock):
    dialled = Dialled(clock, Builds())
    for byte in b"\x16\x03\x03\x40\x00\x02":
        dialled.line.connection.server.protocol.transport.write(bytes([byte]))
        dialled.line.settle()
        clock.advance(1.5)
    clock.advance(2)
    assert "took more than" in dialled.sentence


def test_a_server_that_cannot_be_reached_is_told_as_without_tls(clock):
    line = MemoryEndpoint(ConnectionRefusedError(111, "Connection refused"), clock)
    errors = []
    SecureEndpoint(line, "localhost", clock).connect(Builds()).addErrback(errors.append)
    assert why(errors[0].value) == "Connection refused"
    assert not clock.getDelayedCalls()


# Cancelling


@implementer(IStreamClientEndpoint)
class Never:
    """An endpoint that never connects."""

    def __init__(self):
        self.cancelled = False

    def connect(self, factory):
        return Deferred(lambda _: setattr(self, "cancelled", True))


def test_cancelling_while_there_is_no_connection_cancels_that(clock):
    below, errors = Never(), []
    attempt = SecureEndpoint(below, "localhost", clock).connect(Builds())
    attempt.addErrback(errors.append)
    attempt.cancel()
    assert below.cancelled
    assert errors[0].check(CancelledError)
    assert not clock.getDelayedCalls()


def test_cancelling_during_the_handshake_ends_the_connection(clock):
    dialled = Dialled(clock, Builds())
    dialled.attempt.cancel()
    assert isinstance(dialled.error, CancelledError)
    assert dialled.factory.built == []
    dialled.assert_clean()


def test_cancelling_behind_the_handshake_changes_nothing(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    dialled.attempt.cancel()
    dialled.line.settle()
    assert dialled.line.connection.client.connected


# The client's own factory


class Refuses(Builds):
    def buildProtocol(self, addr):
        return None


class Raises(Builds):
    def buildProtocol(self, addr):
        raise RuntimeError("No protocol today.")


class Broken(Said):
    def connectionMade(self):
        raise RuntimeError("No connection today.")


def test_a_client_that_takes_no_connection_closes_it(dial, authority):
    dialled = dial(*authority.issue("localhost"), client=Refuses())
    assert dialled.sentence == "the client takes no connection"


@pytest.mark.parametrize("client", [Raises(), Builds(make=Broken)])
def test_a_client_that_fails_learns_why_and_leaves_no_connection(dial, authority, client):
    dialled = dial(*authority.issue("localhost"), client=client)
    assert isinstance(dialled.error, RuntimeError)
    dialled.assert_clean()


def test_the_factory_is_started_and_stopped_with_each_connection(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    assert dialled.factory.running == 1
    dialled.line.connection.cut()
    assert isinstance(dialled.protocol.lost, ConnectionLost)
    dialled.assert_clean()


# How it ends


def test_closing_ends_even_when_the_server_answers_nothing_more(dial, authority):
    dialled = dial(*authority.issue("localhost"))
    dialled.line.connection.server.paused = True
    dialled.protocol.transport.loseConnection()
    for _ in range(20):
        clock = dialled.clock
        clock.advance(1)
        dialled.line.settle()
    assert dialled.protocol.lost is not None
    dialled.assert_clean()


def test_closing_sends_what_was_written(clock, authority):
    server = Builds()
    context = bare_context(*authority.issue("localhost"))
    behind = TLSMemoryBIOFactory(Creator(context), False, server, clock)
    dialled = Dialled(clock, behind, "localhost", [authority.certificate])
    dialled.protocol.transport.write(b"x" * 300_000)
    dialled.protocol.transport.loseConnection()
    dialled.line.settle()
    assert len(server.built[0].heard) == 300_000
    dialled.assert_clean()


def test_a_service_connects_again_behind_a_cut_and_behind_a_refusal(clock, authority):
    good = bare_context(*authority.issue("localhost"))
    bad = bare_context(*authority.issue("fx.example"))
    creator, factory = Creator(good), Builds()
    line = MemoryEndpoint(TLSMemoryBIOFactory(creator, False, Builds(b"hello"), clock), clock)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    service = ClientService(endpoint, factory, retryPolicy=lambda _: 1, clock=clock)
    service.startService()
    line.settle()
    assert len(factory.built) == 1
    creator.context = bad
    line.connection.cut()
    clock.advance(1)
    line.settle()
    assert (len(line.connections), len(factory.built)) == (2, 1)
    creator.context = good
    clock.advance(1)
    line.settle()
    assert (len(line.connections), len(factory.built)) == (3, 2)
    assert factory.built[1].heard == b"hello"
    ended = []
    service.stopService().addCallback(ended.append)
    line.settle()
    assert ended == [None]
    assert not clock.getDelayedCalls()
    assert (factory.running, line.running) == (0, 0)


def test_a_service_that_is_stopped_during_the_handshake_ends(clock):
    line = MemoryEndpoint(Builds(), clock)
    endpoint = SecureEndpoint(line, "localhost", clock)
    service = ClientService(endpoint, Builds(), clock=clock)
    service.startService()
    line.settle()
    ended = []
    service.stopService().addCallback(ended.append)
    line.settle()
    assert ended == [None]
    assert not clock.getDelayedCalls()


# Who the client is


def own_certificate(folder, *chain, key):
    path = folder / "me.pem"
    path.write_bytes(pem(*chain) + key_pem(key))
    return path


def server_for(clock, authority, clients):
    return mtnet_server(clock, authority, "required", [clients.certificate])


def dial_with(clock, server, authority, tmp_path, *chain, key):
    from mtnet.client.core.address import Address
    from mtnet.client.endpoints import _own

    own = _own(Address("", "", 1, certificate=own_certificate(tmp_path, *chain, key=key)))
    return Dialled(clock, server, "localhost", [authority.certificate], own=own)


def test_a_client_with_a_certificate_is_let_in(clock, authority, tmp_path):
    clients = Authority("clients")
    certificate, key = clients.issue("terminal", usage="client")
    server = server_for(clock, authority, clients)
    dialled = dial_with(clock, server, authority, tmp_path, certificate, key=key)
    assert dialled.protocol.heard == b"hello"


def test_a_client_shows_the_issuers_of_its_certificate(clock, authority, tmp_path):
    clients = Authority("clients")
    harness = Authority("office", clients)
    certificate, key = harness.issue("terminal", usage="client")
    server = server_for(clock, authority, clients)
    chain = [certificate, harness.certificate]
    dialled = dial_with(clock, server, authority, tmp_path, *chain, key=key)
    assert dialled.protocol is not None
    assert dialled.protocol.heard == b"hello"


def test_a_client_without_a_certificate_learns_that_one_is_asked_for(clock, authority):
    server = server_for(clock, authority, Authority("clients"))
    dialled = Dialled(clock, server, trusted=[authority.certificate])
    error = dialled.error or dialled.protocol.lost
    assert why(error) == "the server asks for a certificate of the client"


def test_templates_learn_that_a_certificate_is_asked_for(clock, authority):
    line = MemoryEndpoint(server_for(clock, authority, Authority("clients")), clock)
    endpoint = SecureEndpoint(line, "localhost", clock, [authority.certificate])
    outcome = Outcome(Templates(endpoint, clock).list())
    line.settle()
    assert outcome.sentence == ("No connection: the server asks for a certificate of the client.")
    assert not clock.getDelayedCalls()


def test_a_client_with_a_certificate_of_somebody_else_is_not_let_in(clock, authority, tmp_path):
    certificate, key = Authority("clients").issue("terminal", usage="client")
    server = server_for(clock, authority, Authority("others"))
    dialled = dial_with(clock, server, authority, tmp_path, certificate, key=key)
    assert why(dialled.error or dialled.protocol.lost).startswith("TLS: ")
    assert dialled.protocol is None or dialled.protocol.heard == b""


def test_it_is_an_endpoint(clock):
    verifyObject(IStreamClientEndpoint, SecureEndpoint(Never(), "localhost", clock))
