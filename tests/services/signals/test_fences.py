"""One publisher of a channel at a time."""

import pytest
from test_catching_up import Client, verbs

from mtnet.interfaces import ISignals
from mtnet.net.endpoints import Listener
from mtnet.services.signals.protocol import SignalsFactory
from mtnet.testing import connect


@pytest.fixture
def factory(env_with):
    return env_with("signals.pace=0").factory("signals", Listener("signals", "tcp:8081"))


@pytest.fixture
def dial(factory, clock):
    return lambda: Client(factory, clock)


def publish(client, identity, volume="1", **more):
    extra = "".join(f"|{key}={value}" for key, value in more.items())
    client.say(f"PUBLISH|id={identity}|symbol=GBPUSD|volume={volume}{extra}")
    return client.heard("STORED", "ERROR")


def codes(heard):
    return [fields.get("code", verb) for verb, fields in heard]


def test_the_newest_publisher_takes_the_channel_and_the_older_is_told(dial):
    older, newer = dial(), dial()
    assert codes(publish(older, "a")) == ["STORED"]
    assert codes(publish(newer, "b")) == ["STORED"]
    assert codes(older.heard()) == ["fenced"]
    assert codes(publish(older, "c")) == ["fenced"]
    assert codes(publish(newer, "d")) == ["STORED"]


def test_a_fenced_publisher_still_learns_that_a_signal_is_stored(dial):
    older, newer = dial(), dial()
    publish(older, "a")
    publish(newer, "b")
    older.heard()
    assert codes(publish(older, "a")) == ["STORED"]
    assert codes(publish(older, "a", "7")) == ["id"]


def test_hello_anew_takes_the_channel_over_again(dial):
    older, newer = dial(), dial()
    publish(older, "a")
    publish(newer, "b")
    older.say("HELLO|v=2")
    older.heard()
    assert codes(publish(older, "c")) == ["STORED"]
    assert codes(newer.heard()) == ["fenced"]


def test_a_refused_signal_takes_nothing_over(env_with, clock):
    env = env_with("signals.channels.main.max_volume=5")
    factory = SignalsFactory(env.of("signals"), Listener("signals", "tcp:8081"))
    older, newer = Client(factory, clock), Client(factory, clock)
    publish(older, "a")
    assert codes(publish(newer, "b", "50")) == ["field"]
    assert older.heard() == []
    assert codes(publish(older, "c", "2")) == ["STORED"]


def test_another_channel_has_another_publisher(dial):
    one, other = dial(), dial()
    publish(one, "a")
    publish(other, "b", channel="gold")
    assert one.heard() == []
    assert codes(publish(one, "c")) == ["STORED"]


def test_classic_frames_are_not_heard_while_a_publisher_of_dialect_2_is_there(
    dial, factory, clock, warnings
):
    session, master = dial(), connect(factory, clock)
    publish(session, "a", "1")
    master.send(b"<<GBPUSD|9.00>>")
    assert factory._env.find(ISignals).positions("main")["GBPUSD"].volume == 1
    assert any("dialect 2" in str(event.get("what")) for event in warnings())
    session.say("BYE")
    clock.advance(0)
    session.terminal.hang_up()
    master.send(b"<<GBPUSD|9.00>>")
    assert factory._env.find(ISignals).positions("main")["GBPUSD"].volume == 9


def test_followers_learn_that_the_provider_is_there_and_that_it_is_gone(dial):
    follower, provider = dial(), dial()
    follower.say("SUBSCRIBE|channel=main")
    assert [f["publisher"] for _, f in follower.heard("STATUS")] == ["down"]
    publish(provider, "a")
    heard = follower.heard()
    assert verbs(heard) == ["SIGNAL", "STATUS"]
    assert heard[1][1]["publisher"] == "up"
    provider.terminal.hang_up()
    assert [f["publisher"] for _, f in follower.heard("STATUS")] == ["down"]
