"""TLS below the services: Python's ssl against what mtnet builds, without sockets."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from OpenSSL import SSL
from tls_peers import TlsClient
from tls_samples import Authority, Files, client_context
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.daemon.configuration import load
from mtnet.interfaces import ISignals, ITemplates
from mtnet.net import closing
from mtnet.net.endpoints import Listener
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.handshake import Handshake
from mtnet.net.tls.store import CertificateStore
from mtnet.plugins.signals import signals
from mtnet.plugins.templates import templates
from mtnet.plugins.ticks import ticks
from mtnet.plugins.web import web
from mtnet.services.signals.status.report import Status
from mtnet.services.templates.wire import raw_prefix

LISTENER = Listener("signals", "secure:8443")
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def files(tmp_path, authority):
    found = Files(tmp_path / "data" / "tls", authority)
    found.issue("localhost", "127.0.0.1")
    return found


def now():
    return int(datetime.now(UTC).timestamp() * 1000)


class Server:
    """A service behind TLS; `dial()` connects a client that has not shaken hands yet."""

    def __init__(self, env, clock, files, plugin):
        self.env, self.clock, self.files = env, clock, files
        # The wall clock of the env stands long before these certificates.
        self.certificates = CertificateStore(env.config.tls, files.certificate.parent, now)
        self.pipeline = Pipeline(env, self.certificates)
        service = plugin if isinstance(plugin, Factory) else env.factory(plugin.name, LISTENER)
        service = service.at(LISTENER) if hasattr(service, "at") else service
        self.factory = self.pipeline.wrap(LISTENER, service)

    @property
    def handshakes(self):
        return self.pipeline.handshakes.status()

    def dial(self, name="localhost", **options):
        context = client_context(self.files.ca, **options)
        return TlsClient(self.factory, self.clock, context, name)


@pytest.fixture
def serve(env_with, clock, files):
    """Put a plugin, or a factory, behind TLS: `serve(signals, "signals.pace=0")`."""

    def make(plugin, *sets):
        env = env_with(*sets)
        return Server(env, clock, files, plugin)

    return make


def counts(**some):
    return {"going on": 0, "completed": 0, "failed": 0, "late": 0, "refused": 0, **some}


class Notes(Protocol):
    """Notes what Twisted calls."""

    def connectionMade(self):
        self.calls, self.data = ["made"], b""

    def dataReceived(self, data):
        self.data += data

    def connectionLost(self, reason):
        self.calls.append("lost")
        self.reason = reason


@pytest.fixture
def notes():
    """A factory whose `built` are its protocols."""

    class NotesFactory(Factory):
        protocol = Notes
        built = ()

        def buildProtocol(self, addr):
            found = super().buildProtocol(addr)
            self.built = (*self.built, found)
            return found

    return NotesFactory()


def test_a_service_is_connected_when_the_handshake_is_done(serve, notes):
    server = serve(notes)
    client = server.dial()
    assert notes.built == ()
    client.shake()
    assert notes.built[0].calls == ["made"]
    client.send(b"hello")
    assert notes.built[0].data == b"hello"
    notes.built[0].transport.write(b"hello to you")
    assert client.received() == b"hello to you"
    assert server.handshakes == counts(completed=1)


def test_what_stands_in_keeps_its_interface(serve, notes):
    server = serve(notes)
    assert verifyObject(IHandshakeListener, Handshake(notes, server.pipeline.handshakes))


def test_a_protocol_that_listens_for_handshakes_is_told(serve):
    @implementer(IHandshakeListener)
    class Listening(Protocol):
        def connectionMade(self):
            self.factory.calls.append("made")

        def handshakeCompleted(self):
            self.factory.calls.append("completed")

    factory = Factory.forProtocol(Listening)
    factory.calls = []
    serve(factory).dial().shake()
    assert factory.calls == ["made", "completed"]


def test_a_service_that_builds_no_protocol_refuses_the_connection(serve):
    class Refusing(Factory):
        def buildProtocol(self, addr):
            return None

    server = serve(Refusing())
    client = server.dial().shake()
    assert client.transport.disconnected
    client.hang_up()
    assert server.handshakes["failed"] == 0


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_a_client_that_does_not_shake_hands_is_gone_after_the_deadline(
    serve, notes, clock, warnings, sent
):
    server = serve(notes)
    silent, other = server.dial(), server.dial()
    if sent:
        silent.protocol.dataReceived(sent)
    clock.advance(2.5)
    other.shake()
    clock.advance(2.4)
    assert not silent.transport.disconnected
    clock.advance(0.2)
    assert silent.transport.disconnected
    assert not other.transport.disconnected
    silent.hang_up()
    assert (server.handshakes["late"], server.handshakes["going on"]) == (1, 0)
    assert len(warnings()) == 1
    clock.advance(100)
    other.send(b"still here")
    assert notes.built[0].data == b"still here"


def hello_of(client):
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    return client._outgoing.read()


def test_a_drip_does_not_move_the_deadline(serve, notes, clock):
    client = serve(notes, "tls.handshake=2").dial()
    hello = hello_of(client)
    for at in range(20):
        client.protocol.dataReceived(hello[at : at + 1])
        clock.advance(0.1)
    assert client.transport.disconnected


def test_a_new_handshake_above_the_limit_replaces_the_one_idle_longest(serve, notes, warnings):
    server = serve(notes, "tls.max_handshakes=3")
    speaks, silent, other = server.dial(), server.dial(), server.dial()
    speaks.protocol.dataReceived(hello_of(speaks))
    server.dial().shake()
    gone = [each.transport.disconnected for each in (speaks, silent, other)]
    assert gone == [False, True, False]
    silent.hang_up()
    assert server.handshakes == counts(**{"completed": 1, "refused": 1, "going on": 2})
    assert len(warnings()) == 1


def test_where_all_have_spoken_the_oldest_makes_room(serve, notes):
    server = serve(notes, "tls.max_handshakes=2")
    first, second = server.dial(), server.dial()
    for each in (first, second):
        each.protocol.dataReceived(hello_of(each))
    server.dial().shake()
    assert (first.transport.disconnected, second.transport.disconnected) == (True, False)


def test_a_crowd_that_says_nothing_keeps_nobody_out(serve, notes, clock):
    server = serve(notes, "tls.max_handshakes=10")
    for _ in range(100):
        server.dial()
    for _ in range(20):
        server.dial().shake().send(b"in")
    assert [each.data for each in notes.built] == [b"in"] * 20
    clock.advance(6)
    assert (server.handshakes["completed"], server.handshakes["going on"]) == (20, 0)
    assert server.handshakes["refused"] + server.handshakes["late"] == 100


def test_a_crowd_that_drips_ends_no_handshake_of_others(serve, notes):
    server = serve(notes, "tls.max_handshakes=3")
    honest = server.dial()
    hello = hello_of(honest)
    honest.protocol.dataReceived(hello)
    for _ in range(20):
        client = server.dial()
        for at in range(0, len(hello) - 1, 50):
            client.protocol.dataReceived(hello[at : min(at + 50, len(hello) - 1)])
    assert not honest.transport.disconnected


def test_a_handshake_that_ends_without_a_byte_is_not_logged(serve, notes, warnings):
    serve(notes).dial().hang_up()
    assert warnings() == []


def test_plain_http_on_a_tls_port_is_closed_with_one_line(serve, notes, warnings):
    client = serve(notes).dial()
    client.protocol.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
    assert client.transport.disconnecting
    client.hang_up()
    assert "http request" in warnings()[0]["why"]


# Names


def with_hosts(tmp_path, authority, *names):
    for name in names:
        other = Files(tmp_path / "data" / "tls", authority, name.replace("*", "_"))
        other.issue(name)
        yield f'tls.hosts."{name}".certificate={other.certificate}'
        yield f'tls.hosts."{name}".key={other.key}'


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("fx.example", ["fx.example"]),
        ("FX.example", ["fx.example"]),
        ("a.wild.example", ["*.wild.example"]),
        ("a.b.wild.example", ["localhost", "127.0.0.1"]),
        ("unknown.example", ["localhost", "127.0.0.1"]),
        ("127.0.0.1", ["localhost", "127.0.0.1"]),  # clients name no host for an address
        (None, ["localhost", "127.0.0.1"]),
    ],
)
def test_a_client_is_shown_the_certificate_of_the_host_it_asks_for(
    serve, notes, tmp_path, authority, asked, shown
):
    server = serve(notes, *with_hosts(tmp_path, authority, "fx.example", "*.wild.example"))
    context = client_context(server.files.ca)
    context.check_hostname = False
    client = TlsClient(server.factory, server.clock, context, asked).shake()
    assert client.failure is None
    assert client.certificate == shown


def test_a_careful_client_takes_an_address_and_refuses_a_wrong_name(serve, notes, warnings):
    server = serve(notes)
    assert server.dial("127.0.0.1").shake().failure is None
    for wrong in ("192.0.2.7", "fx.example"):
        assert "mismatch" in str(server.dial(wrong).shake().failure)
    stranger = ssl.create_default_context()
    client = TlsClient(server.factory, server.clock, stranger).shake()
    assert "self-signed" in str(client.failure) or "unable to get" in str(client.failure)
    client.hang_up()
    assert "unknown ca" in warnings()[-1]["why"]


def test_new_connections_see_a_new_certificate_and_old_ones_live_on(serve, notes, files):
    server = serve(notes)
    old = server.dial().shake()
    files.issue("localhost", "new.example")
    server.certificates.check_files()
    assert server.dial().shake().certificate == ["localhost", "new.example"]
    assert old.certificate == ["localhost", "127.0.0.1"]
    old.send(b"still here")
    assert notes.built[0].data == b"still here"


def test_a_handshake_under_way_survives_a_new_certificate(serve, notes, files):
    server = serve(notes)
    client = server.dial()
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.do_handshake()
    client.deliver()
    files.issue("localhost", "new.example")
    server.certificates.check_files()
    assert client.shake().certificate == ["localhost", "127.0.0.1"]


# Client certificates


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("mode", "shown", "passes"),
    [
        ("none", "nothing", True),
        ("none", "wrong", True),
        ("optional", "nothing", True),
        ("optional", "right", True),
        ("optional", "wrong", False),
        ("required", "nothing", False),
        ("required", "right", True),
        ("required", "wrong", False),
        ("required", "expired", False),
        ("required", "server's", False),
    ],
)
def test_client_certificates(serve, notes, tmp_path, mode, shown, passes, newest):
    clients = Authority("clients")
    known = Files(tmp_path / "clients", clients)
    issuer = Authority("another") if shown == "wrong" else clients
    files = Files(tmp_path / "client", issuer)
    usage = "server" if shown == "server's" else "client"
    until = timedelta(seconds=-1) if shown == "expired" else timedelta(days=1)
    files.issue("terminal", usage=usage, until=until)
    server = serve(notes, f"tls.client_certificates={mode}", f"tls.client_ca={known.ca}")
    own = {} if shown == "nothing" else {"certificate": files.certificate, "key": files.key}
    server.dial(newest=newest, **own).shake()
    assert bool(notes.built) is passes
    assert server.handshakes["completed"] == passes


def test_the_authorities_that_count_are_named_to_clients(serve, notes, tmp_path):
    known = Files(tmp_path / "clients", Authority("clients"))
    server = serve(notes, "tls.client_certificates=required", f"tls.client_ca={known.ca}")
    connection = server.certificates.serverConnectionForTLS(None)
    assert len(connection.get_client_ca_list()) == 1


# Versions and suites


@pytest.mark.parametrize(
    ("profile", "newest", "passes"),
    [
        ("intermediate", ssl.TLSVersion.TLSv1_2, True),
        ("intermediate", ssl.TLSVersion.TLSv1_3, True),
        ("modern", ssl.TLSVersion.TLSv1_2, False),
        ("modern", ssl.TLSVersion.TLSv1_3, True),
    ],
)
def test_profiles(serve, notes, profile, newest, passes):
    client = serve(notes, f"tls.profile={profile}").dial(newest=newest).shake()
    assert (client.failure is None) is passes


@pytest.mark.parametrize(
    ("suite", "passes"),
    [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", True),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", True),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", True),
        ("ECDHE-ECDSA-AES128-SHA256", False),
        ("ECDHE-ECDSA-AES256-CCM", False),
    ],
)
def test_suites(serve, notes, suite, passes):
    server = serve(notes)
    context = client_context(server.files.ca, newest=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers(suite)
    client = TlsClient(server.factory, server.clock, context).shake()
    assert (client.failure is None) is passes
    assert not passes or client.tls.cipher()[0] == suite


def test_the_client_chooses_among_suites_that_are_all_strong(serve, notes):
    server = serve(notes)
    context = client_context(server.files.ca, newest=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256")
    client = TlsClient(server.factory, server.clock, context).shake()
    assert client.tls.cipher()[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
    assert client.tls.compression() is None


@pytest.mark.parametrize(("curve", "passes"), [("prime256v1", True), ("secp521r1", False)])
def test_curves(serve, notes, curve, passes):
    server = serve(notes)
    context = client_context(server.files.ca)
    context.set_ecdh_curve(curve)
    client = TlsClient(server.factory, server.clock, context).shake()
    assert (client.failure is None) is passes


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_not_resumed(serve, notes, newest):
    server = serve(notes)
    context = client_context(server.files.ca, newest=newest)
    first = TlsClient(server.factory, server.clock, context).shake()
    first.received()
    second = TlsClient(server.factory, server.clock, context)
    second.tls.session = first.tls.session
    second.shake()
    assert second.failure is None
    assert not second.tls.session_reused


# The close


@pytest.fixture
def unsent(monkeypatch):
    """What the kernel would still hold; set it with `unsent(n)`."""
    held = [0]
    monkeypatch.setattr(closing, "unacknowledged", lambda transport: held[0])
    return lambda size: held.__setitem__(0, size)


def test_a_close_that_the_peer_confirms_is_clean(serve, notes):
    client = serve(notes).dial().shake()
    notes.built[0].transport.loseConnection()
    client.received()
    assert client.ended
    client.tls.unwrap()
    client.deliver()
    assert client.transport.disconnecting
    assert not client.transport.disconnected


def test_a_close_that_the_peer_does_not_confirm_ends_without_a_reset(serve, notes, clock, unsent):
    client = serve(notes).dial().shake()
    notes.built[0].transport.loseConnection()
    clock.pump([1] * 4)
    assert not client.transport.disconnecting
    clock.advance(1)
    assert client.transport.disconnecting
    assert not client.transport.disconnected
    client.hang_up()
    assert clock.getDelayedCalls() == []


def test_a_close_whose_bytes_are_not_taken_ends_with_a_reset(serve, notes, clock, unsent):
    client = serve(notes).dial().shake()
    notes.built[0].transport.write(b"x" * 100_000)
    notes.built[0].transport.loseConnection()
    for n in range(20):
        unsent(100_000 - n)
        clock.advance(1)
    assert not client.transport.disconnected
    clock.pump([1] * 5)
    assert client.transport.disconnected


def test_when_the_peer_has_closed_its_last_bytes_do_not_hold_the_connection(
    serve, notes, clock, unsent
):
    client = serve(notes).dial().shake()
    unsent(1_000)
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    client.deliver()
    assert client.transport.disconnecting
    clock.pump([1] * 6)
    assert client.transport.disconnected


def test_a_peer_that_vanishes_is_a_lost_connection(serve, notes):
    client = serve(notes).dial().shake()
    client.hang_up()
    assert notes.built[0].reason.check(ConnectionLost)
    assert not notes.built[0].reason.check(SSL.Error)


# The services


def test_signals_count_the_grace_from_the_handshake_and_keep_the_pace(serve, clock):
    server = serve(signals)
    service = server.env.find(ISignals)
    publisher = server.dial().shake()
    publisher.send(b"<<GBPUSD|0.25>><<EURUSD|1>>")
    assert set(Status(service).status()["channels"]["main"]["positions"]) == {"GBPUSD", "EURUSD"}
    follower = server.dial()
    clock.advance(2)
    follower.shake()
    clock.advance(0.2)
    assert follower.received() == b""
    clock.advance(0.2)
    first = follower.received()
    assert first in (b"<<GBPUSD|0.25>>\r\n", b"<<EURUSD|1.00>>\r\n")
    clock.advance(2)
    assert follower.received() == b""
    clock.advance(1)
    assert first != follower.received() != b""


def test_a_follower_that_reads_nothing_has_one_frame_under_way_as_without_tls(serve, clock):
    server = serve(signals)
    follower = server.dial().shake()
    follower.transport.stalled = True
    publisher = server.dial().shake()
    clock.advance(0.4)
    for n in range(10):
        publisher.send(b"<<GBPUSD|%d>>" % n)
        clock.advance(3)
    assert follower.received() == b"<<GBPUSD|0.00>>\r\n"
    follower.transport.stalled = False
    follower.transport.drain()
    clock.advance(3)
    assert follower.received() == b"<<GBPUSD|9.00>>\r\n"


def test_a_follower_that_takes_no_byte_is_cut_off(serve, clock):
    server = serve(signals)
    server.dial().shake().send(b"<<GBPUSD|1>>")
    follower = server.dial().shake()
    follower.transport.stalled = True
    for _ in range(70):
        clock.advance(1)
    assert follower.transport.disconnected


def test_a_follower_that_closes_is_let_go(serve, clock):
    server = serve(signals)
    follower = server.dial().shake()
    clock.advance(1)
    assert Status(server.env.find(ISignals)).status()["followers"] == 1
    with pytest.raises(ssl.SSLWantReadError):
        follower.tls.unwrap()
    follower.deliver()
    assert follower.transport.disconnecting
    follower.transport.drain()
    assert follower.transport.producer is None
    follower.hang_up()
    assert Status(server.env.find(ISignals)).status()["followers"] == 0


def test_a_web_page_cannot_drive_signals_through_tls(serve):
    client = serve(signals).dial().shake()
    client.send(b"POST / HTTP/1.1\r\n\r\n<<GBPUSD|99.00>>")
    assert client.transport.disconnected


def test_raw_templates_count_the_grace_from_the_handshake(serve, clock):
    server = serve(templates)
    server.env.find(ITemplates).library.store("EURUSD", "H1", TEMPLATE, 1)
    client = server.dial()
    clock.advance(1)
    client.shake()
    assert client.received() == b""
    clock.advance(0.2)
    assert client.received() == raw_prefix("EURUSD", "H1", "mt4") + TEMPLATE
    assert client.ended


def test_templates_are_asked_for_stored_and_served_by_http(serve):
    server = serve(templates)
    store = server.dial().shake()
    store.send(b"STORE EURUSD H1 %d\n" % len(TEMPLATE) + TEMPLATE)
    assert store.received() == b"OK 1\r\n"
    fetch = server.dial().shake()
    fetch.send(b"FETCH EURUSD H1\n")
    assert fetch.received().endswith(TEMPLATE)
    http = server.dial().shake()
    http.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b'"EURUSD"' in http.received()


def test_ticks_are_taken_and_told(serve, clock):
    server = serve(ticks)
    reader, sender = server.dial().shake(), server.dial().shake()
    reader.send(b"SUBSCRIBE: *\n")
    clock.pump([0.1] * 3)
    assert reader.received() == b"OK: SUBSCRIBED *\r\n"
    sender.send(b"EURUSD 1.09877 1.09879\n")
    clock.pump([0.1] * 5)
    assert b"EURUSD" in reader.received()


def test_the_web_is_served_and_knows_that_it_is_secure(serve):
    client = serve(web).dial().shake()
    client.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert client.received().startswith(b"HTTP/1.1 200 OK")
    assert client.ended


def test_profiles_are_those_of_the_configuration():
    with pytest.raises(Exception, match=r"tls\.profile"):
        load(sets=["tls.profile=old"])
