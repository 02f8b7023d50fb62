"""What the text of an endpoint tells."""

import pytest
from fakes.rights import PERMISSIONS
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.testing import MemoryReactorClock

from mtnet.access.anonymous import AnonymousAccess
from mtnet.daemon.ports import BoundListener
from mtnet.daemon.preflight import check_exposure
from mtnet.errors import ConfigError
from mtnet.net.endpoints import Listener, show


@pytest.mark.parametrize("text", ["tcp:8081", "tcp6:8081", "tcp:8081:interface=127.0.0.1"])
def test_every_tcp_listener_queues_4096_connections(text):
    reactor = MemoryReactorClock()
    Listener("signals", text).server(reactor).listen(None)
    assert reactor.tcpServers[0][2] == 4096


def test_a_backlog_that_was_named_stays():
    reactor = MemoryReactorClock()
    Listener("signals", "tcp:8081:backlog=7").server(reactor).listen(None)
    assert reactor.tcpServers[0][2] == 7


@pytest.mark.parametrize("text", ["8081", "tcp:abc", "tcp", "udp:8081", "nonsense:1", ""])
def test_what_is_no_endpoint_is_named_with_one_that_is(text):
    with pytest.raises(ConfigError, match=f"Invalid endpoint signals={text}: .*tcp:8081"):
        Listener("signals", text).server(MemoryReactorClock())


@pytest.mark.parametrize(
    ("text", "interface", "proxied", "security"),
    [
        ("tcp:8081", "", False, "plain"),
        ("tcp:8081:interface=127.0.0.1", "127.0.0.1", False, "plain"),
        (r"tcp:8081:interface=\:\:1", "::1", False, "plain"),
        ("haproxy:tcp:8081:interface=127.0.0.1", "127.0.0.1", True, "plain"),
        ("ssl:8081", "", False, "TLS"),
        ("secure:8443", "", False, "TLS"),
        ("secure:8443:interface=192.0.2.7", "192.0.2.7", False, "TLS"),
        (r"haproxy:secure:8443:interface=\:\:1", "::1", True, "TLS"),
        ("secure:systemd:domain=INET:name=signals", "", False, "TLS"),
    ],
)
def test_a_listener_knows_what_its_text_says(text, interface, proxied, security):
    listener = Listener("signals", text)
    assert (listener.interface, listener.proxied) == (interface, proxied)
    assert listener.security == security


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("tcp:8081:interface=127.0.0.1", "127.0.0.1"),
        ("secure:8081:interface=192.0.2.7", "192.0.2.7"),
        (r"tcp6:8081:interface=0\:0\:0\:0\:0\:0\:0\:1", "::1"),
        ("tcp:8081", ""),
        ("tcp:8081:interface=0.0.0.0", ""),
        (r"tcp6:8081:interface=0\:\:0", ""),
        ("tcp:8081:interface=localhost", ""),
        ("haproxy:tcp:8081:interface=127.0.0.1", ""),
        ("systemd:domain=INET:name=signals", ""),
        ("unix:/run/signals", ""),
    ],
)
def test_a_listener_of_one_address_knows_our_end_of_its_connections(text, host):
    assert Listener("signals", text).host == host


@pytest.mark.parametrize(
    ("text", "kind", "description"),
    [
        ("secure:8443", "tcp", "tcp:8443:backlog=4096"),
        ("secure:8443:interface=127.0.0.1", "tcp", "tcp:8443:interface=127.0.0.1:backlog=4096"),
        ("haproxy:secure:8443:backlog=7", "tcp", "tcp:8443:backlog=7"),
        ("haproxy:tcp:8081", "tcp", "tcp:8081:backlog=4096"),
        ("secure:tcp6:8443", "tcp6", "tcp6:8443:backlog=4096"),
        ("secure:unix:/run/mtnet", "unix", "unix:/run/mtnet"),
        ("secure:systemd:domain=INET:name=a", "systemd", "systemd:domain=INET:name=a"),
        ("haproxy:secure:systemd:domain=INET:name=a", "systemd", "systemd:domain=INET:name=a"),
    ],
)
def test_what_is_ours_is_taken_off_before_twisted_sees_it(text, kind, description):
    listener = Listener("signals", text)
    assert (listener.kind, listener.description) == (kind, description)


@pytest.mark.parametrize("text", ["secure:8443", "haproxy:secure:8443", "haproxy:tcp:8443"])
def test_ours_listen_on_plain_tcp_with_a_long_queue(text):
    reactor = MemoryReactorClock()
    Listener("signals", text).server(reactor).listen(None)
    assert reactor.tcpServers[0][0] == 8443
    assert reactor.tcpServers[0][2] == 4096


@pytest.mark.parametrize("text", ["secure:", "secure:abc", "secure:8443:nonsense=1", "haproxy:"])
def test_what_is_no_endpoint_of_ours_is_named(text):
    with pytest.raises(ConfigError, match=f"Invalid endpoint signals={text}: "):
        Listener("signals", text).server(MemoryReactorClock())


@pytest.mark.parametrize(
    ("text", "port", "example"),
    [
        ("tcp:abc", "abc", "tcp:8081"),
        ("tcp:99999", "99999", "tcp:8081"),
        ("tcp:-1:interface=127.0.0.1", "-1", "tcp:8081"),
        ("tcp:interface=127.0.0.1:port=99999", "99999", "tcp:8081"),
        ("tcp6:", "", "tcp:8081"),
        ("secure:99999", "99999", "secure:8443"),
        ("haproxy:secure:abc", "abc", "haproxy:secure:8443"),
        ("haproxy:tcp:٣", "٣", "haproxy:tcp:8081"),
    ],
)
def test_a_port_that_is_none_is_quoted_with_a_right_endpoint(text, port, example):
    with pytest.raises(ConfigError) as caught:
        Listener("signals", text).server(MemoryReactorClock())
    assert str(caught.value) == (
        f"Invalid endpoint signals={text}: the port is a whole number from 0 to 65535, not "
        f"{port!r}. Example: {example}:interface=127.0.0.1."
    )


def test_a_port_may_be_named():
    reactor = MemoryReactorClock()
    Listener("signals", "tcp:interface=127.0.0.1:port=8081").server(reactor).listen(None)
    assert reactor.tcpServers[0][0] == 8081


@pytest.mark.parametrize(
    "text", ["haproxy:ssl:8443", "haproxy:tls:x:8443", "secure:tls:x:8443", "secure:haproxy:tcp:1"]
)
def test_twisteds_own_layers_go_with_nothing_of_ours(text):
    with pytest.raises(ConfigError, match="Example: haproxy:secure:8443"):
        Listener("signals", text).server(MemoryReactorClock())


def test_addresses_are_shown_as_people_write_them():
    assert show(IPv4Address("TCP", "127.0.0.1", 8081)) == "127.0.0.1:8081"
    assert show(IPv6Address("TCP", "::1", 8081)) == "[::1]:8081"
    assert show(UNIXAddress("/run/mtnet")) == "/run/mtnet"
    assert show(UNIXAddress(None)) == "unix"


@pytest.mark.parametrize(
    ("endpoint", "command"),
    [
        ("tcp:8081", "nc 127.0.0.1 8081"),
        ("secure:8081", "openssl s_client -quiet -connect 127.0.0.1:8081"),
        ("unix:/run/mtnet", "nc -U /run/mtnet"),
        ("secure:unix:/run/mtnet", "openssl s_client -quiet -unix /run/mtnet"),
    ],
)
def test_what_speaks_to_an_endpoint_is_said(endpoint, command):
    class Port:
        def getHost(self):
            if "unix" in endpoint:
                return UNIXAddress("/run/mtnet")
            return IPv4Address("TCP", "0.0.0.0", 8081)

    assert (
        BoundListener(Listener("signals", endpoint), Port(), (), True).example_command() == command
    )


def test_a_unix_socket_is_open_to_this_machine_alone_and_so_it_is_said():
    rules = AnonymousAccess(PERMISSIONS, None)
    with pytest.raises(ConfigError, match="by other users of this machine") as caught:
        check_exposure(rules, False, Listener("signals", "unix:/run/mtnet"), "")
    assert "interface" not in str(caught.value)
