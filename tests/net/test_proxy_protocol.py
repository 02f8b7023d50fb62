"""Services behind a balancer: the PROXY header, byte by byte."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IHalfCloseableProtocol
from zope.interface.verify import verifyObject

from mtnet.errors import WireError
from mtnet.interfaces import ISignals, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.net.pipeline import Pipeline
from mtnet.net.proxy.header import SIGNATURE, Header, parse
from mtnet.net.proxy.protocol import TrustedProxies
from mtnet.plugins.signals import signals
from mtnet.plugins.templates import templates
from mtnet.services.signals.status.report import Status
from mtnet.services.templates.wire import raw_prefix
from mtnet.testing import connect

LISTENER = Listener("signals", "haproxy:tcp:8081")
TEXT = b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 8081\r\n"
TEXT6 = b"PROXY TCP6 2001:db8::9 2001:db8::1 50000 8081\r\n"
ENDS = ("192.0.2.9", 50_000), ("198.51.100.1", 8081)
ENDS6 = ("2001:db8::9", 50_000), ("2001:db8::1", 8081)


def binary(family, addresses, command=0x21, more=b""):
    rest = addresses + more
    return SIGNATURE + struct.pack("!BBH", command, family, len(rest)) + rest


BINARY = binary(0x11, bytes([192, 0, 2, 9, 198, 51, 100, 1]) + struct.pack("!HH", 50_000, 8081))
BINARY6 = binary(
    0x21,
    bytes.fromhex("20010db800000000000000000000000920010db8000000000000000000000001")
    + struct.pack("!HH", 50_000, 8081),
    more=b"\x04\x00\x03abc",
)
WHOLE = [(TEXT, *ENDS), (TEXT6, *ENDS6), (BINARY, *ENDS), (BINARY6, *ENDS6)]
ITSELF = [
    b"PROXY UNKNOWN\r\n",
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
    binary(0x00, b"", command=0x20),
    binary(0x00, b""),
    binary(0x31, b"/run/a".ljust(108, b"\0") * 2),
]


@pytest.mark.parametrize(("data", "peer", "host"), WHOLE)
@pytest.mark.parametrize("rest", [b"", b"<<GBPUSD|1>>"])
def test_both_versions_name_both_ends(data, peer, host, rest):
    assert parse(data + rest) == Header(len(data), peer, host)


@pytest.mark.parametrize("data", ITSELF)
def test_a_balancer_may_speak_for_itself(data):
    assert parse(data + b"rest") == Header(len(data))


@pytest.mark.parametrize("data", [*(each[0] for each in WHOLE), *ITSELF])
def test_every_beginning_of_a_header_waits_for_more(data):
    for end in range(len(data)):
        assert parse(data[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"<<GBPUSD|1>>",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 50000\r\n",
        b"PROXY TCP4 192.0.2.999 198.51.100.1 50000 8081\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 70000\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 5_000 8081\r\n",
        b"PROXY TCP4 a b 1 2\r\n",
        b"PROXY UDP4 192.0.2.9 198.51.100.1 50000 8081\r\n",
        b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 8081\n",
        b"PROXY " + b"1" * 101,
        b"PROXY UNKNOWN " + b"x" * 120 + b"\r\n",
        binary(0x11, b"short"),
        binary(0x11, bytes(12), command=0x31),
        binary(0x11, bytes(12), command=0x22),
        binary(0x11, bytes(3_000)),
    ],
)
def test_what_is_no_header_is_refused(data):
    with pytest.raises(WireError):
        parse(data)


@given(st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE]))
def test_whatever_comes_is_read_or_refused(data, head):
    try:
        found = parse(head + data)
    except WireError:
        return
    assert found is None or 0 < found.size <= len(head + data)


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        (IPv4Address("TCP", "127.0.0.1", 1), True),
        (IPv4Address("TCP", "10.1.2.3", 1), True),
        (IPv4Address("TCP", "10.2.2.3", 1), False),
        (IPv6Address("TCP", "::ffff:10.1.2.3", 1), True),
        (IPv6Address("TCP", "fe80::1%eth0", 1), True),
        (IPv6Address("TCP", "::2", 1), False),
        (UNIXAddress("/run/x"), True),
    ],
)
def test_trust_knows_addresses_and_networks(peer, trusted):
    assert TrustedProxies(["127.0.0.0/8", "10.1.0.0/16", "fe80::1"]).includes(peer) is trusted


@pytest.fixture
def serve(env_with):
    """Put a plugin behind a balancer: `serve(signals, "access.anonymous=follow")`."""

    def make(plugin, *sets):
        env = env_with(*sets)
        factory = env.factory(plugin.name, LISTENER)
        return env, Pipeline(env, None).wrap(LISTENER, factory)

    return make


def test_a_service_knows_its_peer_from_the_header(serve, clock):
    env, factory = serve(signals, "access.anonymous=publish")
    terminal = connect(factory, clock)
    terminal.send(TEXT + b"<<GBPUSD|0.25>>")
    assert Status(env.find(ISignals)).status()["channels"]["main"]["positions"]["GBPUSD"]
    assert terminal.protocol.getPeer() == IPv4Address("TCP", *ENDS[0])
    assert terminal.protocol.getHost() == IPv4Address("TCP", *ENDS[1])


@pytest.mark.parametrize("size", [1, 3, 7])
@pytest.mark.parametrize("header", [each[0] for each in WHOLE])
def test_a_header_may_come_in_pieces(serve, clock, header, size):
    env, factory = serve(signals, "access.anonymous=publish")
    terminal = connect(factory, clock)
    terminal.send(header + b"<<GBPUSD|0.25>>", size)
    assert "GBPUSD" in Status(env.find(ISignals)).status()["channels"]["main"]["positions"]


def test_where_the_server_speaks_first_the_grace_begins_with_the_header(serve, clock):
    env, factory = serve(templates, "access.anonymous=fetch")
    template = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
    env.find(ITemplates).library.store("EURUSD", "H1", template, 1)
    terminal = connect(factory, clock)
    clock.advance(1)
    assert terminal.received() == b""
    terminal.send(TEXT)
    clock.advance(0.2)
    assert terminal.received() == raw_prefix("EURUSD", "H1", "mt4") + template


def test_behind_a_balancer_nobody_is_the_owner(serve, clock):
    env, factory = serve(signals)
    terminal = connect(factory, clock)
    terminal.send(b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n<<GBPUSD|0.25>>")
    assert Status(env.find(ISignals)).status()["channels"]["main"]["positions"] == {}


def test_half_closes_are_passed_on(serve, clock):
    _, factory = serve(signals, "access.anonymous=publish")
    terminal = connect(factory, clock)
    terminal.send(TEXT + b"<<GBPUSD|0.25>>")
    assert verifyObject(IHalfCloseableProtocol, terminal.protocol)
    terminal.finish()
    assert terminal.closed
    assert not terminal.reset


def test_others_than_the_proxies_are_closed_with_one_warning(serve, clock, warnings):
    _, factory = serve(signals, "access.proxies=10.0.0.0/8")
    assert factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1)) is None
    assert factory.buildProtocol(IPv4Address("TCP", "10.0.0.1", 1)) is not None
    assert "access.proxies" in warnings()[0]["why"]
    assert len(warnings()) == 1


@pytest.mark.parametrize("data", [b"<<GBPUSD|0.25>>", b"PROXY TCP4 x\r\n", b"\x16\x03\x01\x00"])
def test_a_connection_without_a_header_is_reset_with_one_warning(serve, clock, warnings, data):
    env, factory = serve(signals, "access.anonymous=publish")
    terminal = connect(factory, clock)
    terminal.send(data)
    assert terminal.reset
    terminal.hang_up()
    assert Status(env.find(ISignals)).status()["channels"]["main"]["positions"] == {}
    assert len(warnings()) == 1


def test_a_header_that_does_not_come_is_waited_for_5_seconds(serve, clock, warnings):
    _, factory = serve(signals)
    terminal = connect(factory, clock)
    terminal.send(b"PROXY")
    clock.advance(4.9)
    assert not terminal.reset
    clock.advance(0.1)
    assert terminal.reset
    assert len(warnings()) == 1


def test_a_health_check_that_says_nothing_fills_no_log(serve, clock, warnings):
    _, factory = serve(signals)
    connect(factory, clock).hang_up()
    assert warnings() == []
    assert clock.getDelayedCalls() == []
