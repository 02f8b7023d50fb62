"""A follower that is too slow costs only itself, and comes back without a loss."""

import pytest
from signals_peers import Server, gone, told

from mtnet.services.signals import replay_cache
from mtnet.services.signals import subscription as subscriptions
from mtnet.services.signals.wire import requests


def seqs(frames):
    return [int(each.split("|seq=")[1].split("|")[0]) for each in frames if "SIGNAL" in each]


@pytest.fixture
def page(monkeypatch):
    monkeypatch.setattr(subscriptions, "PAGE", 3)
    monkeypatch.setattr(replay_cache, "PAGE", 3)


def test_too_much_news_for_a_reader_that_pauses_closes_it_with_slow_as_last_frame(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "signals.queue=2000")
    slow, fast = server.subscribe(), server.subscribe()
    told(fast)
    slow.transport.stalled = True
    slow.send(b"<<PING>>" * 2_265)
    publisher = server.greet()
    for number in range(1, 100):
        server.publish(publisher, f"n{number}", number)
        clock.advance(0)
    frames = told(slow)
    assert frames[-1] == "ERROR|code=slow"
    assert sum(each.startswith("ERROR") for each in frames) == 1
    missed = seqs(frames)
    assert missed == list(range(1, len(missed) + 1))
    assert gone(slow)
    assert seqs(told(fast)) == list(range(1, 100))
    again = server.subscribe(epoch=server.epoch(), after=len(missed))
    assert seqs(told(again)) == list(range(len(missed) + 1, 100))


def test_a_peer_that_takes_no_byte_behind_the_error_is_cut_off(tmp_path, clock, monkeypatch):
    monkeypatch.setattr("mtnet.net.closing.unacknowledged", lambda transport: 7)
    server = Server(tmp_path / "data", clock, "signals.queue=100")
    slow = server.subscribe()
    slow.transport.stalled = True
    slow.send(b"<<PING>>" * 10_000)
    clock.advance(0)
    assert gone(slow)
    assert not slow.reset
    clock.pump([1.0] * 6)
    assert slow.reset


def test_a_subscription_that_overflows_at_once_leaves_nothing_behind(tmp_path, clock):
    server = Server(tmp_path / "data", clock, "signals.queue=100")
    server.store(1)
    slow = server.greet()
    slow.transport.stalled = True
    slow.send(b"<<PING|t=%b>>" % (b"x" * 100) * 700 + requests.subscribe())
    clock.advance(0)
    assert told(slow)[-1] == "ERROR|code=slow"
    assert gone(slow)
    slow.hang_up()
    clock.advance(10)
    assert server.signals.fanout.count() == 0
    assert not server.signals.channels.sessions
    assert clock.getDelayedCalls() == []


def test_catching_up_in_many_channels_at_once_does_not_overflow_the_queue(tmp_path, clock, page):
    server = Server(tmp_path / "data", clock, "signals.queue=1500")
    publisher = server.greet()
    for channel in range(20):
        for number in range(1, 8):
            server.publish(publisher, f"n{number}", number, channel=f"c{channel}")
    follower = server.greet()
    follower.transport.stalled = True
    follower.send(b"<<PING|t=%b>>" % (b"x" * 100) * 497)
    for channel in range(20):
        follower.send(requests.subscribe(f"c{channel}", epoch=server.epoch(f"c{channel}"), after=0))
    assert not gone(follower)
    follower.transport.stalled = False
    follower.transport.drain()
    clock.pump([0] * 200)
    assert not gone(follower)
    assert len(seqs(told(follower))) == 140
