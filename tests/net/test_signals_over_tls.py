"""Dialect 2 through TLS, which buffers, has no half-close and never says when it is empty."""

import time

import pytest
from tls_peers import TlsClient
from tls_samples import Authority, Files, client_context

from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import CertificateStore
from mtnet.services.signals.wire import requests
from mtnet.session import messages

LISTENER = Listener("signals", "secure:8081")


@pytest.fixture
def dial(tmp_path, env_with, clock):
    files = Files(tmp_path / "certificates", Authority())
    files.issue("localhost", "127.0.0.1")
    env = env_with(*files.settings, "signals.queue=2000")
    certificates = CertificateStore(env.config.tls, tmp_path, lambda: time.time_ns() // 1_000_000)
    factory = Pipeline(env, certificates).wrap(LISTENER, env.factory("signals", LISTENER))

    def dial():
        return TlsClient(factory, clock, client_context(files.ca)).shake()

    dial.env = env
    return dial


def verbs(client):
    return [line[2:].partition(b"|")[0].decode() for line in client.received().split(b"\r\n")[:-1]]


def test_a_publisher_and_a_follower_talk_and_leave(dial, clock):
    follower, publisher = dial(), dial()
    follower.send(messages.hello() + requests.subscribe())
    assert verbs(follower) == ["WELCOME", "SNAPSHOT", "SYNCED", "STATUS"]
    publisher.send(messages.hello() + b"<<PUBLISH|id=a|symbol=X|volume=1>>")
    assert verbs(publisher) == ["WELCOME", "STORED"]
    assert verbs(follower) == ["SIGNAL", "STATUS"]
    publisher.send(messages.bye())
    assert verbs(publisher) == []
    assert publisher.ended
    publisher.hang_up()
    assert verbs(follower) == ["STATUS"]
    follower.hang_up()
    clock.advance(60)
    assert dial.env.find(ISignals).fanout.count() == 0
    assert not dial.env.find(ISignals).channels.sessions


def test_a_reader_that_is_too_slow_is_told_so_last(dial, clock):
    follower, publisher = dial(), dial()
    follower.send(messages.hello() + requests.subscribe())
    verbs(follower)
    follower.transport.stalled = True
    publisher.send(messages.hello())
    for number in range(1_200):
        publisher.send(b"<<PUBLISH|id=n%d|symbol=X|volume=%d>>" % (number, number))
    said = verbs(follower)
    assert said[-1] == "ERROR"
    assert said.count("ERROR") == 1
    assert follower.ended
