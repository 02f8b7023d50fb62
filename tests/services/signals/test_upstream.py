"""Classic SignalServers that the daemon dials."""

from decimal import Decimal

import pytest
from twisted.internet.endpoints import clientFromString
from twisted.internet.error import ConnectError
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from mtnet.interfaces import ISignals
from mtnet.net.reconnect import stay_connected
from mtnet.services.signals.settings import Source
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.upstream import SourceFactory

SOURCE = Source(connect="tcp:192.0.2.7:8081", channel="gold")


@pytest.fixture
def env(env_with):
    return env_with()


def source_factory(env):
    return SourceFactory(env.of("signals"), env.find(ISignals), "desk2", SOURCE.channel)


def attach(env):
    protocol = source_factory(env).buildProtocol(None)
    protocol.makeConnection(StringTransport())
    return protocol


def test_a_source_sets_positions_in_its_channel(env):
    attach(env).dataReceived(b"<<XAUUSD|-10.25>>\0<<XAUUSD|0.50>>\0>\0")
    assert env.find(ISignals).positions("gold")["XAUUSD"].volume == Decimal("0.50")


def test_a_bad_frame_of_a_source_costs_that_frame_alone(env):
    protocol = attach(env)
    protocol.dataReceived(b"<<XAUUSD|nan>><<XAGUSD|1>>")
    assert list(env.find(ISignals).positions("gold")) == ["XAGUSD"]
    assert not protocol.transport.disconnecting


def test_a_source_whose_channel_is_damaged_is_dialled_anew_until_that_is_mended(env):
    factory, journal = source_factory(env), env.find(ISignals).worker.journal
    for damaged in ({}, {"gold": "It is damaged."}, {"gold": "It is damaged."}, {}):
        before, journal.damaged = factory.given_up, damaged
        protocol = factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        protocol.dataReceived(b"<<XAUUSD|%d>>" % (not before) * 2)
        assert protocol.transport.disconnected is bool(damaged), "it would say it once"
        assert factory.given_up == (before + 1 if damaged else 0), "each attempt comes later"
        protocol.connectionLost()
    assert env.find(ISignals).positions("gold")["XAUUSD"].volume == 0


def test_a_source_that_sends_no_frames_is_dropped(env):
    protocol = attach(env)
    protocol.dataReceived(b"<" * 5_000)
    assert protocol.transport.disconnected


def test_the_positions_of_a_lost_source_stay(env):
    protocol = attach(env)
    protocol.dataReceived(b"<<XAUUSD|1>>")
    protocol.connectionLost()
    assert env.find(ISignals).positions("gold")["XAUUSD"].volume == 1
    assert Status(env.find(ISignals)).health()["publishers"] == 0


def test_a_source_is_dialled_again_and_again_with_growing_delays(env):
    reactor = MemoryReactorClock()
    endpoint = clientFromString(reactor, SOURCE.connect)
    service = stay_connected(endpoint, source_factory(env), reactor)
    service.startService()
    for attempts in range(1, 8):
        assert len(reactor.tcpClients) == attempts
        host, port, factory, _, _ = reactor.tcpClients[-1]
        assert (host, port) == ("192.0.2.7", 8081)
        factory.clientConnectionFailed(reactor.connectors[-1], Failure(ConnectError()))
        reactor.advance(31)


def test_what_a_source_sends_without_a_frame_is_shown_once(env, warnings):
    protocol = attach(env)
    protocol.dataReceived(b"\0<<XAU")
    assert warnings() == []
    protocol = attach(env)
    protocol.dataReceived("<<XAUUSD|1>>".encode("utf-16-le"))
    assert "Bytes outside of frames: '<\\x00<" in warnings()[0]["what"]
