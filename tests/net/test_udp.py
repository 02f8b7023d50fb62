"""Ports for datagrams, and what the configuration may say of them."""

import socket
import sys
from pathlib import Path

import pytest
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from zope.interface import implementer

from mtnet.daemon.configuration import load
from mtnet.daemon.preflight import check, check_settings, listeners
from mtnet.daemon.registry import default_endpoints, installed
from mtnet.errors import ConfigError
from mtnet.interfaces import IBurstProtocol
from mtnet.net import udp
from mtnet.net.endpoints import Listener
from mtnet.net.udp import BatchingUdpPort, receive_each, set_receive_buffer

linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what it dropped.")
TURN = 0.005


class Reactor(Clock):
    """A clock that also notes who reads, and can jump with each look at it."""

    def __init__(self):
        super().__init__()
        self.readers, self.jump = [], 0.0

    def seconds(self):
        self.rightNow += self.jump
        return self.rightNow

    def addReader(self, reader):
        self.readers.append(reader)

    def removeReader(self, reader):
        if reader in self.readers:
            self.readers.remove(reader)

    removeWriter = removeReader


@implementer(IBurstProtocol)
class Bursts(DatagramProtocol):
    """Notes each burst."""

    def __init__(self):
        self.bursts = []

    def datagramsReceived(self, burst):
        self.bursts.append(burst)

    @property
    def heard(self):
        return [data for burst in self.bursts for data, _ in burst]


class Single(DatagramProtocol):
    """Notes each datagram, and fails at some."""

    def __init__(self, *bad):
        self.heard, self.addresses, self.bad = [], [], bad

    def datagramReceived(self, data, address):
        if data in self.bad:
            raise ValueError("a bug")
        self.heard.append(data)
        self.addresses.append(address)


@pytest.fixture(params=["compiled", "interpreted"])
def receive(request, monkeypatch):
    """Each of the two loops that read datagrams."""
    if request.param == "interpreted":
        monkeypatch.setattr(udp, "receive", receive_each)
    elif udp.receive is receive_each:
        pytest.skip("The compiled loop was not built here: there was no C compiler.")
    return udp.receive


@pytest.fixture
def reactor():
    return Reactor()


@pytest.fixture
def sender():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", 0))
        yield sender


@pytest.fixture
def listen(reactor, sender, receive):
    """Let a protocol listen on a port that the test's sender sends to."""
    ports = []

    def listen(protocol, interface="127.0.0.1"):
        port = BatchingUdpPort(0, protocol, interface, reactor, TURN)
        port.startListening()
        ports.append(port)
        if interface == "127.0.0.1":
            sender.connect(("127.0.0.1", port.getHost().port))
        return port

    yield listen
    reactor.jump = 0.0
    for port in ports:
        if port.connected:
            port.stopListening()
            reactor.advance(0)


def send(sender, *texts):
    for text in texts:
        sender.send(text)


def numbers(*about):
    return [b"%d" % number for number in range(*about)]


def test_a_port_reads_from_its_start_to_its_end(listen, reactor):
    port = listen(Bursts())
    assert reactor.readers == [port]
    stopped = port.stopListening()
    reactor.advance(0)
    assert stopped.called
    assert reactor.readers == []


def test_datagrams_arrive_in_order_with_their_sender(listen, sender):
    protocol = Bursts()
    port = listen(protocol)
    send(sender, *numbers(100))
    port.doRead()
    assert protocol.heard == numbers(100)
    assert {address for burst in protocol.bursts for _, address in burst} == {sender.getsockname()}


def test_a_protocol_that_takes_bursts_is_handed_many_at_once_and_never_none(
    listen, sender, monkeypatch
):
    monkeypatch.setattr(udp, "BURST", 10)
    protocol = Bursts()
    port = listen(protocol)
    port.doRead()
    send(sender, *numbers(20))
    port.doRead()
    assert [len(burst) for burst in protocol.bursts] == [10, 10]


def test_large_datagrams_make_smaller_bursts(listen, sender, monkeypatch):
    monkeypatch.setattr(udp, "BURST_BYTES", 3_000)
    protocol = Bursts()
    port = listen(protocol)
    send(sender, *[b"x" * 1_000] * 6)
    port.doRead()
    assert [len(burst) for burst in protocol.bursts] == [3, 3]


def test_a_read_ends_with_its_turn_and_the_next_one_goes_on(listen, sender, reactor, monkeypatch):
    monkeypatch.setattr(udp, "BURST", 10)
    protocol = Bursts()
    port = listen(protocol)
    send(sender, *numbers(50))
    reactor.jump = TURN / 2
    port.doRead()
    assert protocol.heard == numbers(20)
    reactor.jump = 10 * TURN
    port.doRead()
    assert protocol.heard == numbers(30)
    reactor.jump = 0.0
    port.doRead()
    assert protocol.heard == numbers(50)


def test_empty_datagrams_end_with_the_turn_too(listen, sender, reactor, monkeypatch):
    monkeypatch.setattr(udp, "BURST", 10)
    protocol = Bursts()
    port = listen(protocol)
    send(sender, *[b""] * 50)
    reactor.jump = TURN
    port.doRead()
    assert protocol.heard == [b""] * 10


@pytest.mark.parametrize(("size", "read"), [(8_191, 8_191), (8_192, 8_192), (20_000, 8_192)])
def test_a_long_datagram_is_cut_where_its_reader_knows_it(listen, sender, size, read):
    protocol = Bursts()
    port = listen(protocol)
    send(sender, b"x" * size, b"next")
    port.doRead()
    assert [len(data) for data in protocol.heard] == [read, 4]


def test_a_protocol_of_twisted_is_handed_one_after_the_other(listen, sender):
    protocol = Single()
    port = listen(protocol)
    send(sender, *numbers(5))
    port.doRead()
    assert protocol.heard == numbers(5)
    assert set(protocol.addresses) == {sender.getsockname()}


def test_a_protocol_of_twisted_is_told_an_ipv6_address_as_host_and_port(listen):
    protocol = Single()
    port = listen(protocol, "::1")
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind(("::1", 0))
        sender.sendto(b"hello", ("::1", port.getHost().port))
        port.doRead()
        assert protocol.addresses == [sender.getsockname()[:2]]


def test_a_datagram_at_which_a_protocol_fails_costs_no_other(listen, sender, log):
    protocol = Single(b"1", b"3")
    port = listen(protocol)
    send(sender, *numbers(5))
    port.doRead()
    assert protocol.heard == [b"0", b"2", b"4"]
    assert len([event for event in log if "log_failure" in event]) == 2


def test_a_burst_at_which_a_protocol_fails_costs_no_later_one(listen, sender, log, monkeypatch):
    class Failing(Bursts):
        def datagramsReceived(self, burst):
            super().datagramsReceived(burst)
            if len(self.bursts) == 1:
                raise ValueError("a bug")

    monkeypatch.setattr(udp, "BURST", 2)
    protocol = Failing()
    port = listen(protocol)
    send(sender, *numbers(4))
    port.doRead()
    assert protocol.heard == numbers(4)
    assert len([event for event in log if "log_failure" in event]) == 1


def test_a_port_that_is_closed_while_it_reads_stops_reading(listen, sender, monkeypatch):
    class Closing(Bursts):
        def datagramsReceived(self, burst):
            super().datagramsReceived(burst)
            self.transport.connectionLost()

    monkeypatch.setattr(udp, "BURST", 2)
    protocol = Closing()
    port = listen(protocol)
    send(sender, *numbers(4))
    port.doRead()
    assert protocol.heard == numbers(2)


def test_datagrams_of_several_senders_have_the_addresses_that_python_gives_them(receive):
    made = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(3)]
    try:
        for each in made:
            each.bind(("::1", 0))
            each.setblocking(False)
        port, one, other = made
        for each in (one, one, other, one):
            each.sendto(b"hello", port.getsockname())
        burst, error = receive(port, 9, 9_000, 10)
        senders = [each.getsockname() for each in (one, one, other, one)]
        assert burst == [(b"hello", sender) for sender in senders]
        assert error in udp.GONE
    finally:
        for each in made:
            each.close()


@pytest.mark.parametrize(("most", "room", "read"), [(2, 9_000, 2), (9, 11, 3), (0, 9, 0)])
def test_a_batch_ends_with_its_limits_and_leaves_the_rest(
    listen, sender, receive, most, room, read
):
    port = listen(Bursts())
    send(sender, *[b"hello"] * 5)
    burst, error = receive(port.socket, most, room, 10)
    assert (len(burst), error) == (read, 0)
    assert len(receive(port.socket, 9, 9_000, 10)[0]) == 5 - read


# What the kernel drops


@linux
def test_what_is_sent_is_received_or_counted_as_dropped_to_the_end(listen, sender, reactor):
    protocol = Bursts()
    port = listen(protocol)
    assert port.dropped() == 0
    set_receive_buffer(port, 4_096)
    send(sender, *[b"x" * 100] * 500)
    port.doRead()
    first = port.dropped()
    assert 0 < first < 500
    assert len(protocol.heard) + first == 500
    send(sender, *[b"x" * 100] * 500)
    port.doRead()
    assert len(protocol.heard) + port.dropped() == 1_000
    known = port.dropped()
    send(sender, *[b"x" * 100] * 500)
    port.stopListening()
    reactor.advance(0)
    assert port.dropped() > known


@linux
def test_two_ports_drop_each_for_itself(listen, sender):
    idle = listen(Bursts())
    port = listen(Bursts())
    set_receive_buffer(port, 4_096)
    send(sender, *[b"x" * 100] * 500)
    assert port.dropped() > 0
    assert idle.dropped() == 0


def test_where_the_kernel_does_not_tell_nothing_counts_as_dropped(listen, sender, monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    port = listen(Bursts())
    set_receive_buffer(port, 4_096)
    send(sender, *[b"x" * 100] * 500)
    assert port.dropped() == 0


@linux
def test_the_kernel_grants_what_it_may_and_no_more(listen):
    most = Path("/proc/sys/net/core/rmem_max")
    if not most.exists():
        pytest.skip("This kernel does not say how much it grants.")
    limit = int(most.read_text())
    port = listen(Bursts())
    assert set_receive_buffer(port, 65_536) == min(65_536, limit)
    assert set_receive_buffer(port, limit + 1) == limit
    assert set_receive_buffer(port, 2**40) == limit


# What is installed, and what the configuration may say


def test_ticks_are_heard_as_stream_and_as_datagrams():
    service = installed()["ticks"]
    assert sorted(service.listens) == ["datagram", "stream"]
    assert sorted(default_endpoints(service)) == [
        "tcp:8082:interface=127.0.0.1",
        "udp:8082:interface=127.0.0.1",
    ]


def endpoints_of(name, *listens):
    found = listeners(load(listens=listens))
    return [(at.datagrams, at.endpoint) for at in found if at.service == name]


def test_each_endpoint_is_one_of_datagrams_or_of_streams():
    assert endpoints_of("ticks", "ticks=udp:1", "ticks=tcp:2", "ticks=udp:3") == [
        (True, "udp:1"),
        (False, "tcp:2"),
        (True, "udp:3"),
    ]


def test_ticks_can_be_off_in_one_way_or_in_both():
    assert endpoints_of("ticks", "ticks=off") == []
    assert [endpoint for _, endpoint in endpoints_of("ticks", "ticks=udp:1")] == ["udp:1"]


def problem(*sets, listens=()):
    """Return the sentence that the configuration is refused with."""
    with pytest.raises(ConfigError) as caught:
        check(load(sets=sets, listens=listens), MemoryReactorClock(), lambda: 0)
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("service", ["signals", "templates"])
def test_a_service_without_datagrams_says_so(service):
    text = problem(listens=[f"{service}=udp:8081:interface=127.0.0.1"])
    assert text.startswith(f"{service} hears no datagrams, which udp:8081")


@pytest.mark.parametrize(
    "endpoint",
    [
        "udp:",
        "udp",
        "udp:99999",
        "udp:65536",
        "udp:x",
        "udp:-1",
        "udp:1:interface=",
        "udp:1:backlog=5",
        "udp:1:interface=127.0.0.1:backlog=5",
        "udp:1:127.0.0.1",
        "udp:١",
        "haproxy:udp:1",
    ],
)
def test_what_is_no_endpoint_for_datagrams_is_named_with_one_that_is(endpoint):
    text = problem("access.anonymous=send", listens=[f"ticks={endpoint}"])
    assert text.startswith(f"Invalid endpoint ticks={endpoint}: ")


@pytest.mark.parametrize("host", ["nonsense", "localhost", "127.0.0.1x", "999.0.0.1"])
def test_an_interface_that_is_no_address_is_named(host):
    text = problem("access.anonymous=send", listens=[f"ticks=udp:1:interface={host}"])
    assert host in text


@pytest.mark.parametrize(
    "endpoint",
    ["udp:8082:interface=127.0.0.1", r"udp:8082:interface=\:\:1", "udp:0:interface=127.0.0.2"],
)
def test_an_endpoint_on_loopback_needs_nothing_said(endpoint):
    check(load(listens=[f"ticks={endpoint}"]), MemoryReactorClock(), lambda: 0)


@pytest.mark.parametrize("endpoint", ["udp:8082", "udp:8082:interface=192.0.2.1"])
def test_datagrams_from_other_machines_need_something_said(endpoint):
    listens = [f"ticks={endpoint}"]
    assert f"ticks on {endpoint} can be reached from other machines" in problem(listens=listens)
    check(load(sets=["access.anonymous=send"], listens=listens), MemoryReactorClock(), lambda: 0)


@pytest.mark.parametrize(
    ("endpoint", "port", "interface"),
    [
        ("udp:8082", 8082, ""),
        ("udp:65535:interface=127.0.0.1", 65_535, "127.0.0.1"),
        (r"udp:0:interface=\:\:1", 0, "::1"),
    ],
)
def test_a_listener_for_datagrams_knows_what_its_text_says(endpoint, port, interface):
    listener = Listener("ticks", endpoint)
    assert listener.datagrams
    assert (listener.port, listener.interface) == (port, interface)


@pytest.mark.parametrize("endpoint", ["tcp:8082", "haproxy:udp:1", "udpx:1", "unix:/udp:1"])
def test_all_others_hear_no_datagrams(endpoint):
    assert not Listener("ticks", endpoint).datagrams


@pytest.mark.parametrize("symbol", ["a symbol that is much too long for a symbol", "UK|100"])
def test_a_spaced_symbol_that_is_none_is_named(symbol):
    text = problem(f"ticks.spaced_symbols={symbol}")
    assert text.startswith("ticks.spaced_symbols: A symbol has 1 to 32 printable characters")


def test_spaced_symbols_that_fit_are_fine():
    check_settings(load(sets=["ticks.spaced_symbols=UK 100, US 30"]), MemoryReactorClock())
