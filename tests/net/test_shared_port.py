"""Several services on one port: who is meant, and that nothing is lost on the way."""

import json
from itertools import count

import pytest
from fakes.ports import FakePort
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tls_peers import TlsClient
from tls_samples import Authority, Files, client_context
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.daemon.configuration import load
from mtnet.daemon.preflight import check_settings, listeners
from mtnet.errors import ConfigError
from mtnet.interfaces import IServicePlugin, ISignals, ITemplates, ITicks
from mtnet.net.admission import IPeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import COMMANDS, HTTP_METHODS, begins_with, detect_service
from mtnet.net.pipeline import Pipeline
from mtnet.net.shared_port import SILENCE, Choice, SharedPortFactory
from mtnet.net.tls.store import CertificateStore
from mtnet.plugins.any import any_port
from mtnet.testing import connect

LISTENER = Listener("any", "secure:443")
STRANGER = {"host": "192.0.2.1", "peer": "192.0.2.9"}
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
POST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://elsewhere.example\r\n"
    b"Content-Length: 52\r\n\r\n<<GBPUSD|99.00>>\r\nEURUSD 1.09876\nSYNC:\nSYNC:\n<<A|1>>"
)
WORDS = {"signals": (b"<<",), "web": HTTP_METHODS, "templates": COMMANDS}
RECOGNIZE = {name: begins_with(*words) for name, words in WORDS.items()}
NAMES = (*WORDS, "ticks")

BEGINNINGS = [
    (b"<<GBPUSD|0.25>>", 2, "signals"),
    *((method + b"/ HTTP/1.1\r\n", len(method), "web") for method in HTTP_METHODS),
    (b"FETCH EURUSD H1\n", 6, "templates"),
    (b"FETCHL EURUSD H1\n", 7, "templates"),
    (b"STORE EURUSD H1 9\n", 6, "templates"),
    (b"@@desk 1\n", 1, "ticks"),
    (b"LOGIN: name password\n", 1, "ticks"),
    (b"SUBSCRIBE: *\n", 2, "ticks"),
    (b"SYNC:\n", 2, "ticks"),
    (b"PING:\r\n", 2, "ticks"),
    (b"EURUSD 1.09876\n", 1, "ticks"),
    (b"GBPUSD 1.30512\n", 2, "ticks"),
    (b"DEX 1.5\n", 3, "ticks"),
    (b"PUTS 1.5\n", 4, "ticks"),
    (b"FETCHES 1.5\n", 6, "ticks"),
    (b"STORE\n", 6, "ticks"),
    (b"<GBPUSD|0.25>", 2, "ticks"),
    (b"get / HTTP/1.1\r\n", 1, "ticks"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 2, "ticks"),
    (b"PROPFIND / HTTP/1.1\r\n", 2, "ticks"),
    (b"\x16\x03\x01\x02\x00", 1, "ticks"),
    (b"\0<<GBPUSD|1>>", 1, "ticks"),
    (b"\r\n\r\n", 1, "ticks"),
]
"""First bytes, how many of them tell it, and whom they are for."""
PIECES = [b"<", b"G", b"ET ", b"P", b"OST", b"UT", b"FETCH", b"L", b"STO", b"RE", b" ", b"\n"]


# Whose bytes they are


def service_of(head):
    found = detect_service(head, [(recognize, name) for name, recognize in RECOGNIZE.items()])
    return "ticks" if found is False else found


@pytest.mark.parametrize(("data", "telling", "service"), BEGINNINGS)
def test_the_first_bytes_tell_the_service_as_early_as_they_can(data, telling, service):
    got = [service_of(data[:end]) for end in range(len(data) + 1)]
    assert got == [None] * telling + [service] * (len(data) + 1 - telling)


@given(st.binary(), st.binary())
def test_what_is_told_once_stays_true(head, rest):
    assert service_of(head) in (None, service_of(head + rest))


@given(st.binary(min_size=max(map(len, (*HTTP_METHODS, *COMMANDS)))))
def test_no_more_bytes_are_waited_for_than_the_longest_word_has(data):
    assert service_of(data) in NAMES


@given(st.sampled_from(HTTP_METHODS), st.binary())
def test_whatever_a_browser_posts_is_for_the_web_service(method, rest):
    assert service_of(method + rest) == "web"


# That it arrives, with services that note what they are told


@implementer(IHalfCloseableProtocol)
class Noting(Protocol):
    """Notes what it is told."""

    def connectionMade(self):
        self.data, self.calls = b"", []

    def dataReceived(self, data):
        assert data
        self.data += data

    def readConnectionLost(self):
        self.calls.append("read lost")

    def writeConnectionLost(self):
        self.calls.append("write lost")

    def connectionLost(self, reason):
        self.calls.append(reason.type)


class Port:
    """
    A port whose services note what they are told.

    Attributes:
        built: name and protocol of each service that was given a connection.
    """

    def __init__(self, env):
        self.built, self.peers, self.clock = [], [], env.clock
        self.factory = SharedPortFactory(
            env,
            LISTENER,
            [Choice(recognize, self._service(name)) for name, recognize in RECOGNIZE.items()],
            rest=self._service("ticks"),
            silent=self._service("follower"),
            timeout=5.0,
        )

    def _service(self, name):
        port = self

        @implementer(IPeerFactory)
        class Service:
            def build(self, peer):
                port.peers.append(peer)
                port.built.append((name, Noting()))
                return port.built[-1][1]

        return Service()

    def dial(self):
        return connect(self.factory, self.clock)

    @property
    def chosen(self):
        return [name for name, _ in self.built]

    @property
    def service(self):
        ((_, service),) = self.built
        return service


@pytest.fixture
def port(env_with):
    return Port(env_with())


@pytest.mark.parametrize(("data", "telling", "service"), BEGINNINGS)
def test_every_byte_arrives_once_at_every_split_point(port, data, telling, service):
    for at in range(1, len(data)):
        terminal = port.dial()
        terminal.send(data[:at])
        assert port.chosen == ([service] if at >= telling else [])
        terminal.send(data[at:])
        assert port.chosen == [service]
        assert port.service.data == data
        port.built.clear()


@pytest.mark.parametrize(("data", "telling", "service"), BEGINNINGS)
def test_every_byte_arrives_once_one_by_one(port, data, telling, service):
    terminal = port.dial()
    terminal.send(data, 1)
    assert port.chosen == [service]
    assert port.service.data == data
    assert port.service.transport is terminal.transport


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.sampled_from(PIECES), st.binary(min_size=1, max_size=9))),
    st.booleans(),
)
def test_bytes_arrive_unaltered_however_they_come(port, chunks, ends):
    port.built.clear()
    terminal = port.dial()
    for chunk in chunks:
        terminal.send(chunk)
    if ends:
        terminal.finish()
    elif chunks:
        port.clock.advance(5)
    data = b"".join(chunks)
    if data:
        assert port.chosen == [service_of(data) or "ticks"]
        assert port.service.data == data
    else:
        assert port.chosen == []
    terminal.hang_up()


def test_silence_is_a_follower_after_half_a_second_and_not_before(port, clock):
    port.dial()
    clock.advance(0.49)
    assert port.chosen == []
    clock.advance(0.01)
    assert port.chosen == ["follower"]


def test_a_follower_that_speaks_later_goes_on_with_signals(port, clock):
    terminal = port.dial()
    clock.advance(SILENCE)
    terminal.send(b"GET / HTTP/1.1\r\n")
    assert port.chosen == ["follower"]
    assert port.service.data == b"GET / HTTP/1.1\r\n"


@pytest.mark.parametrize("head", [b"G", b"<", b"FETCH", b"OPTIONS"])
def test_a_word_that_does_not_end_is_waited_for_5_seconds(port, clock, head):
    terminal = port.dial()
    clock.advance(0.4)
    terminal.send(head, 1)
    clock.advance(4.9)
    assert port.chosen == []
    clock.advance(0.1)
    assert port.chosen == ["ticks"]
    assert port.service.data == head


def test_a_sender_that_dribbles_gains_no_time(port, clock):
    terminal = port.dial()
    for byte in (b"O", b"P", b"T", b"I", b"O"):
        terminal.send(byte)
        clock.advance(1)
    assert port.chosen == ["ticks"]
    assert port.service.data == b"OPTIO"


def test_the_wait_for_a_word_is_that_of_templates(env_with):
    assert env_with("templates.word=2").factory("any").timeout == 2


def test_a_peer_that_ends_within_a_word_has_said_something_else(port, clock):
    terminal = port.dial()
    terminal.send(b"STOR")
    terminal.finish()
    assert port.chosen == ["ticks"]
    assert port.service.data == b"STOR"
    assert port.service.calls == ["read lost"]
    assert clock.getDelayedCalls() == []


def test_a_peer_that_ends_without_a_word_is_closed_in_silence(port, clock, warnings):
    terminal = port.dial()
    terminal.finish()
    assert terminal.closed
    assert not terminal.reset
    clock.advance(10)
    terminal.hang_up()
    assert port.chosen == []
    assert warnings() == []


@pytest.mark.parametrize("head", [b"", b"G", b"<", b"FETCH"])
@pytest.mark.parametrize("reason", [ConnectionDone(), ConnectionLost()])
def test_a_connection_that_is_lost_too_early_reaches_nobody(port, clock, warnings, head, reason):
    terminal = port.dial()
    terminal.send(head)
    terminal.protocol.connectionLost(Failure(reason))
    assert clock.getDelayedCalls() == []
    assert port.chosen == []
    assert warnings() == []


def test_the_ends_of_a_connection_are_passed_on(port):
    terminal = port.dial()
    terminal.send(b"@@")
    half = terminal.protocol
    assert verifyObject(IHalfCloseableProtocol, half)
    half.readConnectionLost()
    half.writeConnectionLost()
    half.connectionLost(Failure(ConnectionLost()))
    assert port.service.calls == ["read lost", "write lost", ConnectionLost]


def test_a_service_that_refuses_a_connection_resets_it(env_with, clock):
    class Refusing:
        def build(self, peer):
            return None

    refusing = Refusing()
    factory = SharedPortFactory(
        env_with(), LISTENER, [], rest=refusing, silent=refusing, timeout=5.0
    )
    terminal = connect(factory, clock)
    terminal.send(b"EURUSD 1.09876\n")
    assert terminal.reset
    silent = connect(factory, clock)
    clock.advance(SILENCE)
    assert silent.reset
    assert clock.getDelayedCalls() == []


def test_every_service_is_told_where_its_connections_come_in(port, clock):
    for data in (b"<<", b"GET ", b"FETCH ", b"@@"):
        connect(port.factory, clock).send(data)
    connect(port.factory, clock)
    clock.advance(SILENCE)
    assert port.chosen == ["signals", "web", "templates", "ticks", "follower"]
    assert all(peer.listener is LISTENER for peer in port.peers)


def test_a_connection_is_admitted_once(env_with, clock):
    env = env_with()
    factory = env.factory("any", LISTENER)
    admitted = []
    limiter = env.access.limiter("any")
    admit = limiter.admit
    limiter.admit = lambda peer: admitted.append(peer) or admit(peer)
    for data in (b"<<EURUSD|1>>", b"GET /version HTTP/1.1\r\n", b"FETCH A H1\n", b"EURUSD 1\n"):
        connect(factory, clock).send(data)
    assert len(admitted) == len({*admitted}) == 4


# The services themselves


@pytest.fixture
def serve(env_with, clock):
    """Start a server; it has `dial(host, peer)`, `ask(bytes)`, and `env`."""

    class Server(FakePort):
        def __init__(self, *sets, listener=LISTENER):
            super().__init__(env_with(*sets), listener)

        def positions(self, channel="main"):
            return {
                name: str(p.volume)
                for name, p in self.env.find(ISignals).positions(channel).items()
            }

        @property
        def ticks(self):
            return self.env.find(ITicks).status()["received"]

    return Server


def body(answer):
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def test_the_plugin_and_its_factory_keep_their_interfaces(env_with):
    assert verifyObject(IServicePlugin, any_port)
    assert verifyObject(IPeerFactory, env_with().factory("any"))


def test_it_is_off_until_it_is_named():
    assert "any" not in [listener.service for listener in listeners(load())]
    assert LISTENER in listeners(load(listens=["any=secure:443"]))


@pytest.mark.parametrize("size", [None, 1])
def test_every_service_answers_on_the_one_port(serve, size):
    server = serve()
    assert server.ask(b"<<GBPUSD|0.25>>\0", size) == b""
    assert server.positions() == {"GBPUSD": "0.25"}
    assert server.ask(b"STORE EURUSD H1 %d\n" % len(TEMPLATE) + TEMPLATE, size) == b"OK 1\r\n"
    assert server.ask(b"FETCH EURUSD H1\n", size)[20:] == TEMPLATE
    assert server.ask(b"FETCHL EURUSD H1\n", size)[24:] == TEMPLATE
    assert server.ask(b"EURUSD 1.09876\nSYNC:\n", size) == b"OK: SYNC 1\r\n"
    assert server.ask(b"PING:\r\n", size) == b"OK: PONG\r\n"
    request = b" /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert body(server.ask(b"GET" + request % b"healthz", size))["healthy"]
    assert body(server.ask(b"GET" + request % b"version", size))["name"] == "mtnet"
    assert b"200 OK" in server.ask(b"HEAD" + request % b"templates/EURUSD/H1", size)


def test_a_follower_has_its_first_frame_after_half_a_second_and_not_before(serve, clock):
    server = serve()
    server.ask(b"<<GBPUSD|0.25>>")
    follower = server.dial()
    clock.advance(0.49)
    assert follower.received() == b""
    clock.advance(0.01)
    clock.advance(0)
    assert follower.received() == b"<<GBPUSD|0.25>>\r\n"


def test_plain_ports_and_this_one_hear_one_broadcast(serve, clock):
    server = serve()
    alone = connect(server.env.factory("signals"), clock)
    here = server.dial()
    clock.advance(1)
    server.ask(b"<<XAUUSD|-10.25>>")
    assert alone.received() == here.received() == b"<<XAUUSD|-10.25>>\r\n"
    subscriber = server.dial()
    subscriber.send(b"SUBSCRIBE: *\n")
    clock.advance(0)
    server.ask(b"EURUSD 1.09876\n")
    clock.advance(1)
    assert b"TICK: EURUSD 1.09876" in subscriber.received()


def test_a_publisher_learns_from_the_close_that_all_is_stored(serve):
    server = serve()
    publisher = server.dial()
    publisher.send(b"<<GBPUSD|0.25>>")
    publisher.finish()
    assert publisher.closed
    assert not publisher.reset


def test_a_publisher_that_pauses_within_its_first_frame_is_told_nothing_yet(serve, clock):
    server = serve()
    server.ask(b"<<EURUSD|1>>")
    publisher = server.dial()
    publisher.send(b"<<GBP")
    clock.advance(0.29)
    publisher.send(b"USD|0.25>>")
    clock.advance(10)
    assert publisher.received() == b""
    assert server.positions() == {"EURUSD": "1", "GBPUSD": "0.25"}


def test_a_channel_belongs_to_the_endpoint(serve, clock):
    server = serve('signals.ports."secure:443".channel=gold')
    server.ask(b"<<XAUUSD|1>>")
    assert (server.positions("gold"), server.positions()) == ({"XAUUSD": "1"}, {})
    follower = server.dial()
    clock.advance(SILENCE)
    clock.advance(0)
    assert follower.received() == b"<<XAUUSD|1.00>>\r\n"


def test_a_channel_is_refused_for_an_endpoint_where_nobody_hears_it():
    gold = ['signals.ports."secure:443".channel=gold']
    check_settings(load(sets=gold, listens=["any=secure:443"]), MemoryReactorClock())
    with pytest.raises(ConfigError, match="neither signals nor any"):
        check_settings(load(sets=gold, listens=["any=secure:444"]), MemoryReactorClock())
    with pytest.raises(ConfigError, match="neither signals nor any"):
        check_settings(load(sets=gold, listens=["web=secure:443"]), MemoryReactorClock())


@pytest.mark.parametrize("grace", ["templates.grace=0.15", "templates.grace=0"])
def test_raw_templates_are_not_reached(serve, clock, grace):
    server = serve(grace)
    server.env.find(ITemplates).library.store("EURUSD", "H1", TEMPLATE, 1)
    assert server.ask(b"FETCH GBPUSD H1\n") == b""
    assert server.ask(b"FETCH EURUSD H1\n")[20:] == TEMPLATE
    silent = server.dial()
    clock.advance(60)
    assert silent.received() == b""


def test_a_command_to_templates_that_does_not_end_is_reset_as_on_its_own_port(serve, clock):
    terminal = serve().dial()
    terminal.send(b"FETCH EUR")
    clock.advance(5)
    assert terminal.reset


def test_the_rights_of_strangers_are_those_of_each_service(serve, clock):
    server = serve("access.anonymous=read")
    server.ask(b"<<GBPUSD|0.25>>", **STRANGER)
    assert server.positions() == {}
    assert server.ask(b"STORE EURUSD H1 9\n", **STRANGER).startswith(b"ERR denied")
    assert server.ask(b"EURUSD 1.09876\n", **STRANGER).startswith(b"ERR: denied")
    assert server.ask(b"SUBSCRIBE: *\n", **STRANGER) == b"OK: SUBSCRIBED *\r\n"
    silent = server.dial(**STRANGER)
    clock.advance(SILENCE)
    clock.advance(server.env.config.access.login)
    assert silent.reset
    assert silent.received() == b""


@pytest.mark.parametrize("size", [None, 1, 7])
def test_what_a_web_page_posts_reaches_neither_signals_nor_ticks(serve, clock, size):
    server = serve()
    answer = server.ask(POST, size)
    assert b"403 Forbidden" in answer
    assert body(answer)["error"] == "origin"
    clock.advance(60)
    assert (server.positions(), server.ticks) == ({}, 0)


@pytest.mark.parametrize("size", [None, 1])
def test_a_web_page_that_waits_before_it_posts_is_reset(serve, clock, size):
    server = serve()
    terminal = server.dial()
    clock.advance(1)
    terminal.send(POST, size)
    assert terminal.reset
    assert (server.positions(), server.ticks) == ({}, 0)


def test_a_web_page_that_stops_within_its_method_is_reset(serve, clock):
    server = serve()
    terminal = server.dial()
    terminal.send(POST[:3])
    clock.advance(6)
    terminal.send(POST[3:])
    clock.advance(1)
    assert terminal.reset
    assert (server.positions(), server.ticks) == ({}, 0)


@pytest.mark.parametrize("size", [None, 1])
def test_a_client_of_tls_on_a_plain_port_is_reset_with_one_warning(serve, clock, warnings, size):
    terminal = serve().dial()
    terminal.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03<<GBPUSD|1>>", size)
    clock.advance(0)
    assert terminal.reset
    assert len(warnings()) == 1


@pytest.mark.parametrize("line", [b"PRI * HTTP/2.0\r\n", b"get / HTTP/1.1\r\n"])
def test_other_methods_are_records_that_cannot_be_read(serve, line):
    server = serve()
    assert server.ask(line + b"\r\n<<GBPUSD|1>>\r\n").startswith(b"ERR: tick")
    assert server.positions() == {}
    assert server.env.find(ITicks).status()["stored"] == 0


def test_a_flood_pauses_its_own_connection(serve, clock, monkeypatch):
    terminal = serve().dial()
    with monkeypatch.context() as busy:
        busy.setattr(clock, "seconds", count(step=0.001).__next__)
        terminal.send(b"EURUSD 1.09876\n" * 10_000)
    assert terminal.transport.producerState == "paused"
    clock.pump([0.001] * 100)
    assert terminal.transport.producerState == "producing"
    terminal.send(b"SYNC:\n")
    clock.pump([0] * 3)
    assert terminal.received() == b"OK: SYNC 10000\r\n"


# Below it


def test_behind_a_balancer_silence_counts_from_the_header(serve, clock):
    listener = Listener("any", "haproxy:tcp:443")
    server = serve("access.anonymous=follow,publish", listener=listener)
    server.factory = Pipeline(server.env, None).wrap(listener, server.factory)
    header = b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 443\r\n"
    publisher = server.dial()
    publisher.send(header + b"<<GBPUSD|0.25>>", 1)
    publisher.finish()
    assert publisher.closed
    assert not publisher.reset
    follower = server.dial()
    clock.advance(1)
    follower.send(header)
    clock.advance(0.49)
    assert follower.received() == b""
    clock.advance(0.01)
    clock.advance(0)
    assert follower.received() == b"<<GBPUSD|0.25>>\r\n"


def test_through_tls_silence_counts_from_the_handshake(serve, clock, tmp_path):
    server = serve()
    files = Files(tmp_path / "tls", Authority())
    valid = files.issue("localhost").not_valid_before_utc
    # The wall clock of the env stands long before these certificates.
    certificates = CertificateStore(
        server.env.config.tls, tmp_path / "tls", lambda: int(valid.timestamp() * 1_000)
    )
    factory = Pipeline(server.env, certificates).wrap(LISTENER, server.factory)

    def dial():
        return TlsClient(factory, clock, client_context(files.ca))

    dial().shake().send(b"<<GBPUSD|0.25>>")
    assert server.positions() == {"GBPUSD": "0.25"}
    browser = dial().shake()
    browser.send(b"GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert body(browser.received())["name"] == "mtnet"
    follower = dial()
    clock.advance(2)
    follower.shake()
    clock.advance(0.49)
    assert follower.received() == b""
    clock.advance(0.01)
    clock.advance(0)
    assert follower.received() == b"<<GBPUSD|0.25>>\r\n"


def test_silent_followers_are_no_strangers_and_who_drips_is_one(serve, clock):
    server = serve("access.anonymous=follow", "access.connections.any.unauthenticated=10")
    dialled = [server.dial(host="192.0.2.1", peer=f"198.51.100.{n}") for n in range(100)]
    limiter = server.env.access.limiter("any")
    assert (limiter.total, limiter.unauthenticated) == (100, 0)
    dialled[0].send(b"STO")
    assert (limiter.unauthenticated, limiter.refused["turned out"]) == (1, 0)
    clock.advance(SILENCE)
    assert not any(terminal.reset for terminal in dialled)
