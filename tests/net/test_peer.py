"""The way in at one listener: certificates, bans at the door, and services without a gate."""

from datetime import UTC, datetime

import pytest
from fakes.daemon import LOCAL, FakeDaemon, hello
from tls_peers import TlsClient
from tls_samples import Authority, Files, client_context
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.bans.policy import Offence
from mtnet.access.connection_limits import ConnectionLimiter
from mtnet.config.schema import Connections
from mtnet.errors import JournalError
from mtnet.interfaces import ISignals, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import CertificateStore
from mtnet.session import messages
from mtnet.testing import connect

PEER = IPv4Address("TCP", "127.9.9.9", 50_000)


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock)


# Bans at the door


def barred(daemon, host=LOCAL["peer"]):
    daemon.env.access.bans.punish(host, Offence.ERROR, daemon.clock.seconds())


def guarded(daemon, service="signals", endpoint="tcp:1"):
    listener = Listener(service, endpoint)
    return Pipeline(daemon.env, None).wrap(listener, daemon.factory(service, endpoint))


def test_a_banned_network_is_closed_before_a_byte_is_read(daemon):
    factory = guarded(daemon)
    assert factory.buildProtocol(PEER) is not None
    barred(daemon)
    assert factory.buildProtocol(PEER) is None
    assert daemon.env.access.limiter("signals").refused["banned"] == 1


def test_where_somebody_logged_in_before_a_ban_closes_no_door(daemon):
    daemon.accounts.logged_in("alice", LOCAL["peer"], daemon.env.now())
    barred(daemon)
    assert guarded(daemon).buildProtocol(PEER) is not None


def test_a_manual_ban_holds_in_spite_of_logins_from_the_network(daemon):
    daemon.accounts.logged_in("alice", LOCAL["peer"], daemon.env.now())
    daemon.env.access.bans.add("127.9.0.0/16", 60, daemon.clock.seconds())
    assert guarded(daemon).buildProtocol(PEER) is None


def test_a_manual_ban_closes_the_connections_of_the_network(daemon):
    terminals = [daemon.dial("signals"), daemon.dial("ticks"), daemon.dial("web")]
    other = daemon.dial("signals", peer="127.8.8.8")
    daemon.env.access.bans.add("127.9.0.0/16", 60, daemon.clock.seconds())
    daemon.env.access.evict_banned(daemon.clock.seconds())
    assert [terminal.reset for terminal in terminals] == [True] * 3
    assert not other.closed


def test_a_ban_ends(daemon, clock):
    barred(daemon)
    clock.advance(91)
    assert guarded(daemon).buildProtocol(PEER) is not None


def test_the_owner_of_the_machine_is_never_banned(tmp_path, clock):
    daemon = FakeDaemon(tmp_path / "data", clock, "access.trust_loopback=true")
    barred(daemon)
    assert guarded(daemon).buildProtocol(PEER) is not None
    peer = ListenerAccess(daemon.env, Listener("signals", "tcp:1")).admit(PEER)
    peer.report_abuse(Offence.ERROR)
    assert daemon.env.access.bans.offences["error"] == 1


def test_behind_a_balancer_the_ban_is_of_whom_it_speaks_for(daemon):
    barred(daemon, "198.51.100.7")
    factory = guarded(daemon, endpoint="haproxy:tcp:1")

    def dial(peer):
        terminal = connect(factory, daemon.clock)
        terminal.send(f"PROXY TCP4 {peer} 192.0.2.1 5000 8081\r\n".encode())
        return terminal

    assert dial("198.51.100.7").reset
    assert not dial("198.51.100.8").closed
    assert not dial("198.51.100.8").closed
    assert daemon.env.access.limiter("signals").report()["connections"] == 2


# Services that have no gate of their own


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

    def readConnectionLost(self):
        self.transport.write(b"bye")

    def writeConnectionLost(self):
        self.transport.write(b"?")


def echo(daemon, protocol=Echo):
    return Pipeline(daemon.env, None).wrap(Listener("echo", "tcp:1"), Factory.forProtocol(protocol))


def test_a_service_without_a_gate_is_counted_too(daemon):
    factory, limiter = echo(daemon), daemon.env.access.limiter("echo")
    terminals = [connect(factory, daemon.clock, **LOCAL) for _ in range(50)]
    assert factory.buildProtocol(PEER) is None
    terminals[0].send(b"hello")
    terminals[0].finish()
    assert terminals[0].received() == b"hellobye"
    assert limiter.total == 50
    for terminal in terminals:
        terminal.hang_up()
    assert limiter.total == 0


def test_a_service_that_wants_no_connection_keeps_no_place(daemon):
    class Refusing(Factory):
        def buildProtocol(self, addr):
            return None

    factory = Pipeline(daemon.env, None).wrap(Listener("echo", "tcp:1"), Refusing())
    assert factory.buildProtocol(PEER) is None
    assert daemon.env.access.limiter("echo").total == 0


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_every_connection_is_counted_once_from_its_beginning_to_its_end(daemon, service):
    limiter = daemon.env.access.limiter(service)
    terminals = [daemon.dial(service) for _ in range(3)]
    assert (limiter.total, limiter.unauthenticated) == (3, 3)
    for terminal in terminals:
        terminal.hang_up()
    daemon.clock.advance(0)  # what was read before is worked off first
    assert (limiter.total, limiter.unauthenticated) == (0, 0)


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_strangers_make_room_for_others(tmp_path, clock, service):
    daemon = FakeDaemon(
        tmp_path / "data", clock, f"access.connections.{service}.unauthenticated=10"
    )
    dialled = [daemon.dial(service, peer=f"127.1.1.{number}") for number in range(100)]
    gone = [terminal for terminal in dialled if terminal.reset]
    for terminal in gone:
        terminal.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(gone) >= 90
    assert daemon.env.access.limiter(service).unauthenticated <= 10


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_a_new_connection_may_be_the_one_that_is_evicted(daemon, service):
    few = Connections(total=9, network=9, unauthenticated=1)
    daemon.env.access.limiters[service] = limiter = ConnectionLimiter(few, 100, chance=lambda: 0.99)
    terminal = daemon.dial(service)
    assert (terminal.reset, limiter.unauthenticated) == (True, 0)
    terminal.hang_up()
    daemon.clock.advance(60)
    assert limiter.total == 0
    assert not daemon.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("service", "verb"),
    [("signals", "follow"), ("ticks", "send"), ("templates", "fetch"), ("web", "fetch")],
)
def test_those_who_may_without_a_login_are_no_strangers_while_they_are_silent(
    tmp_path, clock, service, verb
):
    limit = f"access.connections.{service}.unauthenticated=10"
    daemon = FakeDaemon(tmp_path / "data", clock, limit, f"access.anonymous={verb}")
    dialled = [daemon.dial(service, peer=f"127.1.1.{number}") for number in range(100)]
    limiter = daemon.env.access.limiter(service)
    assert (limiter.total, limiter.unauthenticated, limiter.refused["turned out"]) == (100, 0, 0)
    assert not any(terminal.reset for terminal in dialled)


@pytest.mark.parametrize(("service", "verb"), [("ticks", "fetch"), ("templates", "follow")])
def test_what_one_may_at_another_service_counts_for_nothing(tmp_path, clock, service, verb):
    daemon = FakeDaemon(tmp_path / "data", clock, f"access.anonymous={verb}")
    daemon.dial(service)
    assert daemon.env.access.limiter(service).unauthenticated == 1


@pytest.mark.parametrize("service", ["ticks", "templates", "web"])
def test_a_silent_crowd_that_may_keeps_nobody_out(tmp_path, clock, service):
    limits = (f"access.connections.{service}.{most}=20" for most in ("total", "unauthenticated"))
    daemon = FakeDaemon(tmp_path / "data", clock, *limits, "access.anonymous=send,fetch")
    daemon.env.find(ITemplates).library.store(
        "EURUSD", "H1", b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n", 1
    )
    crowd = [daemon.dial(service, peer=f"127.1.1.{number}") for number in range(40)]
    gone = [terminal for terminal in crowd if terminal.reset]
    for terminal in gone:
        terminal.protocol.connectionLost(Failure(ConnectionDone()))
    assert (len(gone), daemon.env.access.limiter(service).total) == (20, 20)
    words = {"ticks": b"PING:\n", "templates": b"FETCH EURUSD H1\n"}
    assert daemon.ask(
        service, words.get(service, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    )


# CertificateStore


class Secure:
    """A service below TLS that asks for client certificates, and those who dial it."""

    def __init__(self, folder, clock, service):
        self.clock, self.authority, self.folder = clock, Authority("clients"), folder
        self.files = Files(folder / "tls", Authority("server"))
        self.files.issue("localhost")
        trusted = Files(folder / "ca", self.authority).ca
        asked = f"tls.client_ca={trusted}", "tls.client_certificates=optional"
        self.daemon = FakeDaemon(folder / "data", clock, *asked)
        served = CertificateStore(self.daemon.env.config.tls, self.files.certificate.parent, _wall)
        listener = Listener(service, "secure:1")
        inner = self.daemon.factory(service, "secure:1")
        self.factory = Pipeline(self.daemon.env, served).wrap(listener, inner)

    def dial(self, name="", authority=None):
        """Dial with a certificate for a name, or without any."""
        own = Files(self.folder / "own", authority or self.authority)
        if name:
            own.issue(name, usage="client")
        shown = (own.certificate, own.key) if name else (None, None)
        client = TlsClient(self.factory, self.clock, client_context(self.files.ca, *shown))
        return client.shake()


def _wall():
    return int(datetime.now(UTC).timestamp() * 1000)


@pytest.fixture
def secure(tmp_path, clock):
    return lambda service: Secure(tmp_path, clock, service)


def test_a_certificate_logs_in_on_signals_without_a_word(secure, clock):
    server = secure("signals")
    client = server.dial("carol.example")
    client.send(messages.hello())
    clock.advance(1)
    assert client.received().startswith(b"<<WELCOME")
    assert server.daemon.env.access.limiter("signals").unauthenticated == 0


def test_a_classic_follower_behind_a_tunnel_with_a_certificate_may_follow(secure, clock):
    server = secure("signals")
    other = server.daemon.dial("signals", "tcp:1", host="127.0.0.1", peer="127.5.5.5")
    assert other
    client = server.dial("carol.example")
    clock.advance(600)
    assert not client.ended
    assert server.daemon.env.access.bans.offences["deadline"] == 1  # of the other


@pytest.mark.parametrize("name", ["", "mallory.example", "xcarol.example"])
def test_without_a_certificate_of_an_account_one_is_a_stranger(secure, clock, name):
    client = secure("signals").dial(name)
    client.send(messages.hello())
    clock.advance(1)
    assert b"ERROR|code=login" in client.received()


def test_the_certificate_of_another_authority_is_none(secure):
    client = secure("signals").dial("carol.example", Authority("clients"))
    with pytest.raises(Exception, match="alert"):
        client.received()


def test_a_certificate_logs_in_on_ticks_templates_and_the_web(secure, clock):
    ticks = secure("ticks").dial("carol.example")
    ticks.send(b"EURUSD 1.1\n")
    clock.advance(1)
    assert b"ERR: denied" in ticks.received()  # a follower's account, known and not allowed
    web = secure("web").dial("carol.example")
    web.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n")
    clock.advance(1)
    assert b"403 Forbidden" not in (answer := web.received())
    assert b" 200 OK" in answer


def test_a_certificate_of_a_disabled_account_is_a_stranger_s(secure, clock):
    server = secure("web")
    server.daemon.change(
        "carol", grants=["certificate:dns:carol.example", "follower"], disabled=True
    )
    client = server.dial("carol.example")
    client.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n")
    clock.advance(1)
    assert b" 401 " in client.received()


def test_a_connection_with_a_certificate_is_closed_with_its_account(secure):
    server = secure("signals")
    client = server.dial("carol.example")
    server.daemon.change("carol", grants=["follower"], disabled=True)
    client.collect()
    assert client.transport.disconnecting or client.transport.disconnected


def test_a_login_replaces_what_a_certificate_said(secure, clock):
    server = secure("signals")
    client = server.dial("carol.example")
    client.send(hello("bob"))
    clock.advance(1)
    assert client.received().startswith(b"<<WELCOME")
    (session,) = server.daemon.env.find(ISignals).channels.sessions
    assert session.report()["login"] == "bob"


# Whose fault it is


@pytest.mark.parametrize(
    ("cause", "counted"),
    [(OSError("full"), 0), (JournalError("full"), 0), (MemoryError(), 0), (ValueError(), 1)],
)
def test_our_own_trouble_is_no_offence_of_who_is_connected(daemon, cause, counted):
    peer = ListenerAccess(daemon.env, Listener("signals", "tcp:1")).admit(PEER)
    peer.report_abuse(Offence.ERROR, cause)
    assert daemon.env.access.bans.offences["error"] == counted


def test_what_was_not_done_in_time_while_we_were_held_up_is_no_offence(daemon, clock):
    peer = ListenerAccess(daemon.env, Listener("signals", "tcp:1")).admit(PEER)
    daemon.env.now.watch()
    clock.advance(14)  # a stopped process, whose timers are all due at once
    peer.report_abuse(Offence.DEADLINE)
    assert daemon.env.access.bans.offences["deadline"] == 0
    for _ in range(10):
        clock.advance(1)
        daemon.env.now.watch()
    peer.report_abuse(Offence.DEADLINE)
    assert daemon.env.access.bans.offences["deadline"] == 1


@pytest.mark.parametrize("service", ["signals", "ticks"])
def test_the_login_deadline_does_not_count_the_wait_for_our_check(
    daemon, clock, monkeypatch, service
):
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: Deferred())
    terminal = daemon.dial(service)
    said = {"signals": hello("alice") + b"<<PUBLISH|id=", "ticks": b"LOGIN: alice horse\r\n"}
    terminal.send(said[service])
    clock.pump([1.0] * 60)
    assert not terminal.closed
    assert daemon.env.access.bans.offences["deadline"] == 0
