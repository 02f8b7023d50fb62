"""The way in at one listener: certificates, bans at the door, and services without a gate."""

from datetime import UTC, datetime

import pytest
from people import GUEST, House, hello
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
from mtnet.net.endpoints import Listener
from mtnet.net.peer import Gate
from mtnet.net.pipeline import Layers
from mtnet.net.tls.store import Certificates
from mtnet.services.signals import requests
from mtnet.testing import connect

PEER = IPv4Address("TCP", "127.9.9.9", 50_000)


@pytest.fixture
def house(tmp_path, clock):
    return House(tmp_path / "data", clock)


# Bans at the door


def barred(house, host=GUEST["peer"]):
    house.hub.access.bans.punish(host, Offence.ERROR, house.clock.seconds())


def guarded(house, service="signals", endpoint="tcp:1"):
    listener = Listener(service, endpoint)
    return Layers(house.hub, None).around(listener, house.factory(service, endpoint))


def test_who_is_banned_is_closed_before_a_byte_is_read(house):
    factory = guarded(house)
    assert factory.buildProtocol(PEER) is not None
    barred(house)
    assert factory.buildProtocol(PEER) is None
    assert house.hub.access.limiter("signals").refused["banned"] == 1


def test_where_somebody_logged_in_before_a_ban_closes_no_door(house):
    house.accounts.logged_in("alice", GUEST["peer"], house.hub.now())
    barred(house)
    assert guarded(house).buildProtocol(PEER) is not None


def test_whom_the_owner_has_banned_is_kept_out_wherever_else_people_logged_in(house):
    house.accounts.logged_in("alice", GUEST["peer"], house.hub.now())
    house.hub.access.bans.add("127.9.0.0/16", 60, house.clock.seconds())
    assert guarded(house).buildProtocol(PEER) is None


def test_whom_the_owner_has_banned_is_here_no_longer(house):
    terminals = [house.dial("signals"), house.dial("ticks"), house.dial("web")]
    other = house.dial("signals", peer="127.8.8.8")
    house.hub.access.bans.add("127.9.0.0/16", 60, house.clock.seconds())
    house.hub.access.evict_banned(house.clock.seconds())
    assert [terminal.reset for terminal in terminals] == [True] * 3
    assert not other.closed


def test_a_ban_ends(house, clock):
    barred(house)
    clock.advance(91)
    assert guarded(house).buildProtocol(PEER) is not None


def test_the_owner_of_the_machine_is_never_banned(tmp_path, clock):
    house = House(tmp_path / "data", clock, "access.trust_loopback=true")
    barred(house)
    assert guarded(house).buildProtocol(PEER) is not None
    visitor = Gate(house.hub, Listener("signals", "tcp:1")).enter(PEER)
    visitor.offend(Offence.ERROR)
    assert house.hub.access.bans.offences["error"] == 1


def test_behind_a_balancer_the_ban_is_of_whom_it_speaks_for(house):
    barred(house, "198.51.100.7")
    factory = guarded(house, endpoint="haproxy:tcp:1")

    def dial(peer):
        terminal = connect(factory, house.clock)
        terminal.send(f"PROXY TCP4 {peer} 192.0.2.1 5000 8081\r\n".encode())
        return terminal

    assert dial("198.51.100.7").reset
    assert not dial("198.51.100.8").closed
    assert not dial("198.51.100.8").closed
    assert house.hub.access.limiter("signals").report()["connections"] == 2


# Services that have no gate of their own


@implementer(IHalfCloseableProtocol)
class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)

    def readConnectionLost(self):
        self.transport.write(b"bye")

    def writeConnectionLost(self):
        self.transport.write(b"?")


def echo(house, protocol=Echo):
    return Layers(house.hub, None).around(Listener("echo", "tcp:1"), Factory.forProtocol(protocol))


def test_a_service_without_a_gate_is_counted_too(house):
    factory, limiter = echo(house), house.hub.access.limiter("echo")
    terminals = [connect(factory, house.clock, **GUEST) for _ in range(50)]
    assert factory.buildProtocol(PEER) is None
    terminals[0].send(b"hello")
    terminals[0].finish()
    assert terminals[0].received() == b"hellobye"
    assert limiter.total == 50
    for terminal in terminals:
        terminal.hang_up()
    assert limiter.total == 0


def test_a_service_that_wants_no_connection_keeps_no_place(house):
    class Refusing(Factory):
        def buildProtocol(self, addr):
            return None

    factory = Layers(house.hub, None).around(Listener("echo", "tcp:1"), Refusing())
    assert factory.buildProtocol(PEER) is None
    assert house.hub.access.limiter("echo").total == 0


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_every_connection_is_counted_once_from_its_beginning_to_its_end(house, service):
    limiter = house.hub.access.limiter(service)
    terminals = [house.dial(service) for _ in range(3)]
    assert (limiter.total, limiter.unauthenticated) == (3, 3)
    for terminal in terminals:
        terminal.hang_up()
    house.clock.advance(0)  # what was read before is worked off first
    assert (limiter.total, limiter.unauthenticated) == (0, 0)


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_strangers_make_room_for_others(tmp_path, clock, service):
    house = House(tmp_path / "data", clock, f"access.connections.{service}.strangers=10")
    dialled = [house.dial(service, peer=f"127.1.1.{number}") for number in range(100)]
    gone = [terminal for terminal in dialled if terminal.reset]
    for terminal in gone:
        terminal.protocol.connectionLost(Failure(ConnectionDone()))
    assert len(gone) >= 90
    assert house.hub.access.limiter(service).unauthenticated <= 10


@pytest.mark.parametrize("service", ["signals", "ticks", "templates", "web"])
def test_who_comes_may_be_the_one_that_has_to_go(house, service):
    few = Connections(total=9, network=9, strangers=1)
    house.hub.access.limiters[service] = limiter = ConnectionLimiter(few, 100, chance=lambda: 0.99)
    terminal = house.dial(service)
    assert (terminal.reset, limiter.unauthenticated) == (True, 0)
    terminal.hang_up()
    house.clock.advance(60)
    assert limiter.total == 0
    assert not house.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("service", "verb"),
    [("signals", "follow"), ("ticks", "send"), ("templates", "fetch"), ("web", "fetch")],
)
def test_those_who_may_without_a_login_are_no_strangers_while_they_are_silent(
    tmp_path, clock, service, verb
):
    limit = f"access.connections.{service}.strangers=10"
    house = House(tmp_path / "data", clock, limit, f"access.anonymous={verb}")
    dialled = [house.dial(service, peer=f"127.1.1.{number}") for number in range(100)]
    limiter = house.hub.access.limiter(service)
    assert (limiter.total, limiter.unauthenticated, limiter.refused["turned out"]) == (100, 0, 0)
    assert not any(terminal.reset for terminal in dialled)


@pytest.mark.parametrize(("service", "verb"), [("ticks", "fetch"), ("templates", "follow")])
def test_what_one_may_at_another_service_counts_for_nothing(tmp_path, clock, service, verb):
    house = House(tmp_path / "data", clock, f"access.anonymous={verb}")
    house.dial(service)
    assert house.hub.access.limiter(service).unauthenticated == 1


@pytest.mark.parametrize("service", ["ticks", "templates", "web"])
def test_a_silent_crowd_that_may_keeps_nobody_out(tmp_path, clock, service):
    limits = (f"access.connections.{service}.{most}=20" for most in ("total", "strangers"))
    house = House(tmp_path / "data", clock, *limits, "access.anonymous=send,fetch")
    house.hub.library.store("EURUSD", "H1", b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n", 1)
    crowd = [house.dial(service, peer=f"127.1.1.{number}") for number in range(40)]
    gone = [terminal for terminal in crowd if terminal.reset]
    for terminal in gone:
        terminal.protocol.connectionLost(Failure(ConnectionDone()))
    assert (len(gone), house.hub.access.limiter(service).total) == (20, 20)
    words = {"ticks": b"PING:\n", "templates": b"FETCH EURUSD H1\n"}
    assert house.ask(
        service, words.get(service, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    )


# Certificates


class Secure:
    """A service below TLS that asks for client certificates, and those who dial it."""

    def __init__(self, folder, clock, service):
        self.clock, self.authority, self.folder = clock, Authority("clients"), folder
        self.files = Files(folder / "tls", Authority("server"))
        self.files.issue("localhost")
        trusted = Files(folder / "ca", self.authority).ca
        asked = f"tls.client_ca={trusted}", "tls.client_certificates=optional"
        self.house = House(folder / "data", clock, *asked)
        served = Certificates(self.house.hub.config.tls, self.files.certificate.parent, _wall)
        listener = Listener(service, "secure:1")
        inner = self.house.factory(service, "secure:1")
        self.factory = Layers(self.house.hub, served).around(listener, inner)

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
    client.send(requests.hello())
    clock.advance(1)
    assert client.received().startswith(b"<<WELCOME")
    assert server.house.hub.access.limiter("signals").unauthenticated == 0


def test_a_published_follower_behind_a_tunnel_with_a_certificate_may_follow(secure, clock):
    server = secure("signals")
    other = server.house.dial("signals", "tcp:1", host="127.0.0.1", peer="127.5.5.5")
    assert other
    client = server.dial("carol.example")
    clock.advance(600)
    assert not client.ended
    assert server.house.hub.access.bans.offences["deadline"] == 1  # of the other


@pytest.mark.parametrize("name", ["", "mallory.example", "xcarol.example"])
def test_without_a_certificate_of_an_account_one_is_a_stranger(secure, clock, name):
    client = secure("signals").dial(name)
    client.send(requests.hello())
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
    server.house.change(
        "carol", grants=["certificate:dns:carol.example", "follower"], disabled=True
    )
    client = server.dial("carol.example")
    client.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n")
    clock.advance(1)
    assert b" 401 " in client.received()


def test_who_came_by_a_certificate_goes_when_its_account_does(secure):
    server = secure("signals")
    client = server.dial("carol.example")
    server.house.change("carol", grants=["follower"], disabled=True)
    client.collect()
    assert client.transport.disconnecting or client.transport.disconnected


def test_a_login_replaces_what_a_certificate_said(secure, clock):
    server = secure("signals")
    client = server.dial("carol.example")
    client.send(hello("bob"))
    clock.advance(1)
    assert client.received().startswith(b"<<WELCOME")
    (session,) = server.house.hub.desk.sessions
    assert session.report()["login"] == "bob"


# Whose fault it is


@pytest.mark.parametrize(
    ("cause", "counted"),
    [(OSError("full"), 0), (JournalError("full"), 0), (MemoryError(), 0), (ValueError(), 1)],
)
def test_our_own_trouble_is_no_offence_of_who_is_connected(house, cause, counted):
    visitor = Gate(house.hub, Listener("signals", "tcp:1")).enter(PEER)
    visitor.offend(Offence.ERROR, cause)
    assert house.hub.access.bans.offences["error"] == counted


def test_what_was_not_done_in_time_while_we_were_held_up_is_no_offence(house, clock):
    visitor = Gate(house.hub, Listener("signals", "tcp:1")).enter(PEER)
    house.hub.now.watch()
    clock.advance(14)  # a stopped process, whose timers are all due at once
    visitor.offend(Offence.DEADLINE)
    assert house.hub.access.bans.offences["deadline"] == 0
    for _ in range(10):
        clock.advance(1)
        house.hub.now.watch()
    visitor.offend(Offence.DEADLINE)
    assert house.hub.access.bans.offences["deadline"] == 1


@pytest.mark.parametrize("service", ["signals", "ticks"])
def test_who_waits_for_a_login_that_waits_for_us_is_not_late(house, clock, monkeypatch, service):
    monkeypatch.setattr(house.checker, "_in_thread", lambda *_: Deferred())
    terminal = house.dial(service)
    said = {"signals": hello("alice") + b"<<PUBLISH|id=", "ticks": b"LOGIN: alice horse\r\n"}
    terminal.send(said[service])
    clock.pump([1.0] * 60)
    assert not terminal.closed
    assert house.hub.access.bans.offences["deadline"] == 0
