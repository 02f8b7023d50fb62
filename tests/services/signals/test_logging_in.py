"""Dialect 2 with accounts: who may follow and publish what, and how soon one has to say so."""

import gc
from types import FunctionType, ModuleType

import pytest
from people import GRANTS, GUEST, HASH, REMOTE, TOKEN, House, directory, hello
from signals_peers import frame
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.access.accounts.model import Token, digest, new_secret
from mtnet.services.signals import requests


@pytest.fixture
def house(tmp_path, clock):
    return House(tmp_path / "data", clock)


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets, **more: House(tmp_path / "data", clock, *sets, **more)


def publish(channel="main", identity="a-1", symbol="EURUSD", volume="0.10"):
    return frame("PUBLISH", id=identity, channel=channel, symbol=symbol, volume=volume)


def talk(house, data, **addresses):
    terminal = house.dial("signals", **addresses)
    terminal.send(data)
    house.clock.advance(0)
    return terminal, told(terminal)


def told(terminal):
    """Return what was written since the last call, frame by frame."""
    return [each[2:-2].decode() for each in terminal.received().split(b"\r\n")[:-1]]


def held_by(thing):
    """Return all that is reached from a thing, but for what belongs to the program."""
    found, left = {}, [thing]
    while left:
        each = left.pop()
        if id(each) in found or isinstance(each, type | ModuleType):
            continue
        found[id(each)] = each
        function = isinstance(each, FunctionType)
        left += (each.__closure__ or ()) if function else gc.get_referents(each)
    return list(found.values())


def verbs(frames):
    return [each.partition("|")[0] for each in frames]


def codes(frames):
    return [part for each in frames for part in each.split("|") if part.startswith("code=")]


def test_a_login_is_welcome_and_may_what_its_account_may(house):
    terminal, answers = talk(house, hello("alice") + publish() + requests.subscribe())
    assert verbs(answers) == ["WELCOME", "STORED", "SNAPSHOT", "POSITION", "SYNCED", "STATUS"]
    assert not terminal.closed


@pytest.mark.parametrize(
    "again",
    [b"", requests.hello(), hello("bob", TOKEN)],
    ids=["once", "then as nobody", "then as another"],
)
def test_a_password_is_forgotten_once_it_has_let_somebody_in(house, again):
    secret = new_secret()
    token = Token("9f8e7d6c", "alice", "", digest(secret), None, 1, None)
    house.accounts.replace(directory(tokens=[token]))
    terminal, _ = talk(house, hello("alice", secret) + requests.subscribe() + again)
    (session,) = house.hub.desk.sessions
    held = held_by(terminal.protocol)
    assert any(each is session for each in held)
    texts = [each for each in held if isinstance(each, str | bytes)]
    assert not [each for each in texts if secret in str(each)]


def test_a_right_on_one_channel_is_none_on_another(house):
    talk(house, hello("alice") + publish("gold") + publish("main"))
    said = hello("bob") + requests.subscribe("main") + requests.subscribe("gold")
    _, answers = talk(house, said + publish("gold", "b-1"))
    assert any(each.startswith("SYNCED|channel=gold") for each in answers)
    assert codes(answers) == ["code=denied", "code=denied"]
    assert any("bob may not follow main" in each for each in answers)


@pytest.mark.parametrize("said", [hello("alice", "wrong"), hello("nobody")])
def test_a_wrong_login_is_told_and_closed(house, said):
    terminal, answers = talk(house, said + publish())
    assert codes(answers) == ["code=login"]
    assert len(answers) == 1
    assert terminal.transport.ended


def test_hello_without_a_login_is_not_enough_where_strangers_may_nothing(house):
    terminal, answers = talk(house, requests.hello())
    assert codes(answers) == ["code=login"]
    assert terminal.transport.ended


def test_hello_without_a_login_is_enough_where_strangers_may_follow(build):
    house = build("access.anonymous=follow")
    _, answers = talk(house, requests.hello() + publish())
    assert verbs(answers)[0] == "WELCOME"
    assert codes(answers) == ["code=denied"]


def test_a_token_is_a_password_too(house):
    _, answers = talk(house, hello("bob", TOKEN))
    assert verbs(answers) == ["WELCOME"]


def test_who_shows_a_token_waits_for_nobody(house, monkeypatch):
    terminal = house.dial("signals")
    monkeypatch.setattr(terminal.transport, "pauseProducing", lambda: pytest.fail("paused"))
    terminal.send(hello("bob", TOKEN))
    assert verbs(told(terminal)) == ["WELCOME"]


def test_a_token_of_nobody_is_told_and_closed_and_counted(house):
    terminal, answers = talk(house, hello("bob", TOKEN[:-1] + "?") + publish())
    assert codes(answers) == ["code=login"]
    terminal, answers = talk(house, hello("alice", TOKEN) + publish())
    assert codes(answers) == ["code=login"]
    assert terminal.transport.ended
    assert house.hub.access.bans.offences["login"] == 1  # the other one is a token, of bob


def test_what_stands_behind_hello_waits_for_the_login(house, monkeypatch):
    held = Deferred()
    checker = house.checker
    monkeypatch.setattr(checker, "_in_thread", lambda *_: held)
    terminal = house.dial("signals")
    terminal.send(hello("alice") + publish())
    assert told(terminal) == []
    assert terminal.transport.producerState == "paused"
    terminal.send(publish(identity="a-2"))  # bytes that TLS had already taken
    held.callback(True)
    assert verbs(told(terminal)) == ["WELCOME", "STORED", "STORED"]
    assert terminal.transport.producerState == "producing"


def test_who_goes_before_the_login_is_decided_is_forgotten(house, monkeypatch, log):
    held = Deferred()
    monkeypatch.setattr(house.checker, "_in_thread", lambda *_: held)
    terminal = house.dial("signals")
    terminal.send(hello("alice") + publish())
    terminal.hang_up()
    held.callback(True)
    assert house.hub.desk.sessions == {}
    assert house.hub.access.limiter("signals").total == 0


def test_who_has_said_all_is_answered_when_the_login_is_decided(house, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(house.checker, "_in_thread", lambda *_: held)
    terminal = house.dial("signals")
    terminal.send(hello("alice") + publish())
    terminal.finish()
    assert not terminal.transport.ended
    held.callback(True)
    assert verbs(told(terminal)) == ["WELCOME", "STORED"]
    assert terminal.transport.disconnecting


def test_a_stream_that_breaks_while_the_login_is_decided_leaves_nothing_behind(house, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(house.checker, "_in_thread", lambda *_: held)
    terminal = house.dial("signals")
    terminal.send(hello("alice"))
    terminal.send(b"x" * 5_000)
    held.callback(True)
    assert codes(told(terminal)) == ["code=frame"]
    assert house.hub.desk.sessions == {}


def test_who_logs_in_as_somebody_else_follows_only_what_that_one_may(house):
    terminal, _ = talk(house, hello("alice") + publish("main") + publish("gold", "a-2"))
    terminal.send(requests.subscribe("main") + requests.subscribe("gold") + hello("bob"))
    told(terminal)
    talk(house, hello("alice") + publish("main", "c-1") + publish("gold", "c-2"))
    assert [each.split("|")[1] for each in told(terminal)] == ["channel=gold"] * 2


def test_a_password_is_not_taken_where_others_can_listen(build):
    house = build("access.anonymous=follow")
    for said in (hello("alice"), b"<<HELLO|v=2|password=%zz>>", b"<<HELLO|v=2|login=x>>"):
        terminal, answers = talk(house, said, **REMOTE)
        assert codes(answers) == ["code=login"]
        assert "secure:" in answers[0]
        assert terminal.transport.ended
    assert not house.hub.access.authenticator.counts


def test_a_password_is_taken_there_by_who_allows_it(build):
    house = build("access.allow_plaintext_login=true")
    _, answers = talk(house, hello("alice"), **REMOTE)
    assert verbs(answers) == ["WELCOME"]


def test_behind_a_balancer_loopback_is_not_private(house):
    terminal = house.dial("signals", "haproxy:tcp:1", **GUEST)
    terminal.send(hello("alice"))
    assert codes(told(terminal)) == ["code=login"]


def test_a_guesser_is_told_that_it_is_banned(house, log):
    for _ in range(2):
        talk(house, hello("alice", "guess"))
    terminal, answers = talk(house, hello("alice"))
    assert codes(answers) == ["code=banned"]
    assert "come back in 15 s" in answers[0]
    assert terminal.transport.ended


def test_too_many_logins_at_once_are_told_to_come_back(build, monkeypatch):
    house = build("access.hashes=1")
    monkeypatch.setattr(house.checker, "_in_thread", lambda *_: Deferred())
    answers = [talk(house, hello(name))[1] for name in ("alice", "bob", "carol")]
    assert answers[:2] == [[], []]
    assert codes(answers[2]) == ["code=server"]


# Deadlines


def test_a_stranger_who_may_nothing_has_to_log_in_soon(house, clock):
    silent = house.dial("signals")
    clock.advance(4.9)
    assert not silent.closed
    clock.advance(0.2)
    assert silent.reset
    assert house.hub.access.bans.offences["deadline"] == 1


def test_a_dripping_hello_is_no_login(house, clock):
    terminal = house.dial("signals")
    for byte in hello("alice"):
        terminal.send(bytes([byte]))
        clock.advance(1.0)
    assert terminal.reset
    assert told(terminal) == []


def test_a_published_follower_may_be_silent_for_ever(build, clock):
    house = build("access.anonymous=follow")
    silent = house.dial("signals")
    clock.pump([10.0] * 720)
    assert not silent.closed
    assert house.hub.access.limiter("signals").unauthenticated == 0


def test_a_publisher_without_the_right_to_follow_may_be_silent_too(build, clock):
    house = build("access.anonymous=publish")
    silent = house.dial("signals")
    clock.pump([10.0] * 720)
    assert not silent.closed
    assert silent.received() == b""
    silent.send(b"<<EURUSD|1.00>>")
    assert house.hub.desk.channel("main").net


def test_a_frame_that_began_has_to_end(build, clock):
    house = build("access.anonymous=publish")
    terminal = house.dial("signals")
    terminal.send(b"<<EURUSD|1.00>>\r\n<<EUR")
    clock.advance(9.9)
    terminal.send(b"U")
    assert not terminal.closed
    clock.advance(0.2)
    assert terminal.reset
    assert house.hub.access.bans.offences["deadline"] == 1


def test_each_frame_has_its_own_time(build, clock):
    house = build("access.anonymous=publish")
    terminal = house.dial("signals")
    for number in range(10):
        terminal.send(b"SD|1.%02d>><<EUR" % number if number else b"<<EUR")
        clock.advance(9.0)
    assert not terminal.closed
    terminal.send(b"USD|1>>\0tail>>\0")
    clock.advance(60)
    assert not terminal.closed


def test_more_frames_than_the_budget_are_read_more_slowly_and_none_is_lost(build, clock):
    house = build("access.anonymous=publish", "signals.frames=10")
    terminal = house.dial("signals")
    terminal.send(b"".join(b"<<S%d|1>>" % number for number in range(25)))
    assert terminal.transport.producerState == "paused"
    clock.advance(1.4)
    assert terminal.transport.producerState == "paused"
    clock.advance(0.2)
    assert terminal.transport.producerState == "producing"
    assert len(house.hub.desk.channel("main").net) == 25


# What changes while somebody is here


def test_who_is_disabled_is_here_no_longer(house):
    terminal, _ = talk(house, hello("alice"))
    other, _ = talk(house, hello("bob"))
    house.change("alice", grants=["provider"], disabled=True, password=HASH)
    assert terminal.transport.ended
    assert not other.transport.ended
    assert codes(talk(house, hello("alice"))[1]) == ["code=login"]


def test_who_may_less_has_to_come_back(house):
    terminal, _ = talk(house, hello("alice"))
    house.change("alice", grants=["follower"], password=HASH)
    assert terminal.transport.ended
    _, answers = talk(house, hello("alice") + publish())
    assert codes(answers) == ["code=denied"]


def test_who_may_more_stays(house):
    terminal, _ = talk(house, hello("alice"))
    house.change("alice", grants=["provider", "read:ticks"], password=HASH)
    assert not terminal.transport.ended


def test_who_may_more_is_told_what_it_was_refused_before_and_may_have_now(house):
    provider, _ = talk(house, hello("alice") + publish("oil"))
    terminal, said = talk(house, hello("bob") + publish("gold") + requests.subscribe("oil"))
    assert codes(said) == ["code=denied", "code=denied"]
    more = [*GRANTS["bob"], "publish:signals/gold", "follow:signals/oil"]
    house.change("bob", grants=more, password=HASH)
    assert told(terminal) == ["CHANNELS|channels=gold,oil"]
    terminal.send(requests.subscribe("oil") + publish("gold"))
    assert [each for each in told(terminal) if "ERROR" in each] == []
    provider.hang_up()


def test_who_was_refused_to_follow_and_to_publish_is_told_of_each(house):
    provider, _ = talk(house, hello("alice") + publish("oil"))
    terminal, _ = talk(house, hello("bob") + requests.subscribe("oil") + publish("oil"))
    more = [*GRANTS["bob"], "follow:signals/oil"]
    house.change("bob", grants=more, password=HASH)
    assert told(terminal) == ["CHANNELS|channels=oil"]
    house.change("bob", grants=[*more, "publish:signals/oil"], password=HASH)
    assert told(terminal) == ["CHANNELS|channels=oil"]
    provider.hang_up()


def test_a_token_allows_no_more_when_its_account_may_more(house):
    terminal, said = talk(house, hello("bob", TOKEN) + publish("gold"))
    assert codes(said) == ["code=denied"]
    house.change("bob", grants=[*GRANTS["bob"], "publish", "follow"], password=HASH)
    assert told(terminal) == []


def test_status_says_who_is_there(house):
    talk(house, hello("alice"))
    assert next(iter(house.hub.desk.sessions)).report()["login"] == "alice"


# Errors of ours


def test_an_error_of_ours_ends_one_connection_and_is_logged_once(build, log, monkeypatch):
    house = build("access.anonymous=publish")
    other = house.dial("signals")
    other.send(b"<<EURUSD|1.00>>")

    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(house.hub.desk, "submit", fail)
        terminal = house.dial("signals", peer="127.8.8.8")
        terminal.send(b"<<EURUSD|1.00>>")
    assert terminal.reset
    assert not other.closed
    assert house.hub.access.bans.offences["error"] == 1
    assert [event["log_failure"].type for event in log if "log_failure" in event] == [
        ZeroDivisionError
    ]


def test_the_password_is_nowhere_in_the_log(house, log):
    for said in (
        hello("alice", "secret-canary"),
        b"<<HELLO|v=2|login=a|password=secret-canary>><<HELLO|password=secret-canary>>",
        hello("secret-canary", "secret-canary"),
    ):
        terminal = house.dial("signals")
        terminal.send(said)
        terminal.finish()
    shown = " ".join(map(formatEvent, log))
    assert "canary" not in shown
