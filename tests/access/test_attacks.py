"""Attacks on logins and limits, over the protocols."""

import pytest
from fakes.daemon import LOCAL, FakeDaemon, basic, hello
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from mtnet.interfaces import ITicks
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess
from mtnet.testing import TerminalTransport

HOST = LOCAL["peer"]


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets: FakeDaemon(tmp_path / "data", clock, *sets)


class Private(TerminalTransport):
    """TLS, and the certificate of the client."""

    def __init__(self, clock):
        super().__init__(clock, "127.0.0.1", HOST)
        alsoProvides(self, ISSLTransport)

    def getPeerCertificate(self):
        return self

    def to_cryptography(self):
        return None

    def setTcpNoDelay(self, enabled):
        pass


def test_a_manual_ban_applies_to_known_networks_too(build, clock):
    daemon = build("access.anonymous=follow")
    daemon.ask("signals", hello("alice"))
    gate, bans = ListenerAccess(daemon.env, Listener("signals", "tcp:1")), daemon.env.access.bans
    for _ in range(9):
        daemon.ask("signals", hello("bob", "guess"))
    assert bans.ban_left(HOST, clock.seconds())
    assert not gate.is_banned(HOST)
    bans.add("127.9.9.0/24", None, clock.seconds())
    assert gate.is_banned(HOST)


@pytest.mark.parametrize("service", ["templates", "web", "ticks", "signals"])
def test_a_connection_that_logged_in_by_certificate_is_not_evictable(
    build, clock, service, monkeypatch
):
    daemon = build()
    monkeypatch.setattr("mtnet.net.peer.subject_names", lambda _: ["dns:carol.example"])
    for each in ("signals.protocol", "ticks.connection"):
        monkeypatch.setattr(f"mtnet.services.{each}.configure_keepalive", lambda _: None)
    transport, factory = Private(clock), daemon.factory(service, "secure:tcp:1")
    factory.buildProtocol(transport.getPeer()).makeConnection(transport)
    limiter = daemon.env.access.limiter(service)
    assert (limiter.total, limiter.unauthenticated) == (1, 0)


def test_guesses_in_one_packet_are_no_more_than_guesses_one_by_one(build, clock):
    daemon = build()
    request = b"GET /templates HTTP/1.1\r\nAuthorization: %b\r\n\r\n" % basic("alice", "guess")
    for service, guess in (("web", request), ("ticks", b"LOGIN: alice guess\n")):
        daemon.dial(service).send(100 * guess)
        clock.pump([0.1] * 50)
    assert daemon.env.access.authenticator.counts["wrong"] <= 3


@pytest.mark.parametrize(("right", "heard"), [(True, [b"EURUSD"]), (False, [])])
def test_a_sender_that_closes_at_once_is_read_if_its_login_is_right(
    build, clock, monkeypatch, right, heard
):
    daemon, held = build(), Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("ticks")
    terminal.send(b"LOGIN: bob secret\nEURUSD 1.1 1.2\n")
    clock.advance(0)
    terminal.hang_up()
    clock.advance(0)
    held.callback(right)
    clock.pump([0.01] * 10)
    assert list(daemon.env.find(ITicks).symbols()) == heard
    assert daemon.env.access.limiter("ticks").total == 0


def test_500_silent_classic_followers_stay_for_an_hour(build, clock):
    daemon = build("access.anonymous=follow")
    crowd = [daemon.dial("signals", peer=f"127.8.{n // 250}.{n % 250}") for n in range(500)]
    clock.pump([60.0] * 60)
    assert not any(each.closed for each in crowd)
    assert daemon.env.access.limiter("signals").total == 500
