"""Admission: bans, rates, and the adapter of ordinary factories."""

import pytest
from fakes.daemon import FakeDaemon
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from mtnet.net.admission import AdmittedFactory, BanFilterFactory
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess
from mtnet.testing import connect, make_environment


@pytest.fixture
def barrier(tmp_path, clock):
    def build(*sets):
        daemon = FakeDaemon(tmp_path / "data", clock, *sets)
        inner = Factory.forProtocol(Protocol)
        daemon.barrier = BanFilterFactory(
            inner, ListenerAccess(daemon.env, Listener("signals", "tcp:1"))
        )
        return daemon

    return build


def come(daemon, host):
    return daemon.barrier.buildProtocol(IPv4Address("TCP", host, 1)) is not None


def test_strangers_in_a_rush_are_not_heard_and_others_are_a_second_later(barrier, clock):
    daemon = barrier("access.max_unauthenticated_per_second=3")
    assert [come(daemon, f"198.51.100.{n}") for n in range(5)] == [True] * 3 + [False] * 2
    assert daemon.env.access.limiter("signals").refused["rush"] == 2
    clock.advance(1)
    assert come(daemon, "198.51.100.9")


def test_known_networks_are_admitted_in_any_rush(barrier):
    daemon = barrier("access.max_unauthenticated_per_second=1")
    daemon.accounts.logged_in("alice", "192.0.2.1", daemon.env.now())
    for number in range(5):
        come(daemon, f"198.51.100.{number}")
    assert all(come(daemon, "192.0.2.1") for _ in range(5))


@pytest.mark.parametrize("said", ["access.anonymous=follow", "access.trust_loopback=true"])
def test_there_is_no_rush_of_those_who_need_no_login(barrier, said):
    daemon = barrier("access.max_unauthenticated_per_second=1", said)
    assert all(come(daemon, "127.0.0.1") for _ in range(3))


@implementer(IHalfCloseableProtocol)
class Halves(Protocol):
    ended = False

    def readConnectionLost(self):
        Halves.ended = True

    def writeConnectionLost(self):
        pass


@pytest.mark.parametrize(("protocol", "halves"), [(Halves, True), (Protocol, False)])
def test_a_service_is_told_of_half_a_close_if_it_asks_for_that(tmp_path, clock, protocol, halves):
    gate = ListenerAccess(make_environment(tmp_path / "data", clock), Listener("other", "tcp:1"))
    terminal = connect(AdmittedFactory(Factory.forProtocol(protocol), gate), clock)
    assert IHalfCloseableProtocol.providedBy(terminal.protocol) == halves
    if halves:
        terminal.finish()
        assert Halves.ended


@pytest.fixture
def ordinary(tmp_path, clock):
    """Connect strangers to an ordinary factory whose connections need some verbs."""

    class Greeting(Protocol):
        def connectionMade(self):
            self.transport.write(b"hello")

    def dial(verbs, *sets):
        env = make_environment(tmp_path / "data", clock, *sets)
        access = ListenerAccess(env, Listener("signals", "tcp:1"))
        factory = AdmittedFactory(Factory.forProtocol(Greeting), access, verbs)
        return connect(factory, clock, host="192.0.2.1", peer="192.0.2.9")

    return dial


@pytest.mark.parametrize("verbs", [(), ("follow",), ("follow", "publish")])
def test_an_ordinary_protocol_is_connected_when_all_its_verbs_are_allowed(ordinary, verbs):
    terminal = ordinary(verbs, "access.anonymous=follow,publish")
    assert terminal.received() == b"hello"
    terminal.hang_up()


@pytest.mark.parametrize("verbs", [("publish",), ("follow", "publish")])
def test_without_one_of_its_verbs_it_never_hears_of_the_connection(ordinary, verbs, warnings):
    terminal = ordinary(verbs, "access.anonymous=follow")
    assert (terminal.received(), terminal.reset) == (b"", True)
    assert any("may not" in each for each in map(str, warnings()))
    terminal.hang_up()
