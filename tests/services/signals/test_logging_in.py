"""Dialect 2 with accounts: who may follow and publish what, and how soon one has to say so."""

import gc
from types import FunctionType, ModuleType

import pytest
from fakes.daemon import GRANTS, HASH, LOCAL, REMOTE, TOKEN, FakeDaemon, directory, hello
from signals_peers import frame
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.access.accounts.model import Token, digest, new_secret
from mtnet.interfaces import ISignals
from mtnet.services.signals.wire import requests
from mtnet.session import messages


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock)


@pytest.fixture
def build(tmp_path, clock):
    return lambda *sets, **more: FakeDaemon(tmp_path / "data", clock, *sets, **more)


def publish(channel="main", identity="a-1", symbol="EURUSD", volume="0.10"):
    return frame("PUBLISH", id=identity, channel=channel, symbol=symbol, volume=volume)


def talk(daemon, data, **addresses):
    terminal = daemon.dial("signals", **addresses)
    terminal.send(data)
    daemon.clock.advance(0)
    return terminal, got(terminal)


def got(terminal):
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


def test_a_login_is_welcome_and_may_what_its_account_may(daemon):
    terminal, answers = talk(daemon, hello("alice") + publish() + requests.subscribe())
    assert verbs(answers) == ["WELCOME", "STORED", "SNAPSHOT", "POSITION", "SYNCED", "STATUS"]
    assert not terminal.closed


@pytest.mark.parametrize(
    "again",
    [b"", messages.hello(), hello("bob", TOKEN)],
    ids=["once", "then as nobody", "then as another"],
)
def test_a_password_is_forgotten_once_it_has_let_somebody_in(daemon, again):
    secret = new_secret()
    token = Token("9f8e7d6c", "alice", "", digest(secret), None, None, 1, None)
    daemon.accounts.replace(directory(tokens=[token]))
    terminal, _ = talk(daemon, hello("alice", secret) + requests.subscribe() + again)
    (session,) = daemon.env.find(ISignals).channels.sessions
    held = held_by(terminal.protocol)
    assert any(each is session for each in held)
    texts = [each for each in held if isinstance(each, str | bytes)]
    assert not [each for each in texts if secret in str(each)]


def test_a_right_on_one_channel_is_none_on_another(daemon):
    talk(daemon, hello("alice") + publish("gold") + publish("main"))
    said = hello("bob") + requests.subscribe("main") + requests.subscribe("gold")
    _, answers = talk(daemon, said + publish("gold", "b-1"))
    assert any(each.startswith("SYNCED|channel=gold") for each in answers)
    assert codes(answers) == ["code=denied", "code=denied"]
    assert any("bob may not follow main" in each for each in answers)


@pytest.mark.parametrize("said", [hello("alice", "wrong"), hello("nobody")])
def test_a_wrong_login_is_told_and_closed(daemon, said):
    terminal, answers = talk(daemon, said + publish())
    assert codes(answers) == ["code=login"]
    assert len(answers) == 1
    assert terminal.transport.ended


def test_hello_without_a_login_is_not_enough_where_strangers_may_nothing(daemon):
    terminal, answers = talk(daemon, messages.hello())
    assert codes(answers) == ["code=login"]
    assert terminal.transport.ended


def test_hello_without_a_login_is_enough_where_strangers_may_follow(build):
    daemon = build("access.anonymous=follow")
    _, answers = talk(daemon, messages.hello() + publish())
    assert verbs(answers)[0] == "WELCOME"
    assert codes(answers) == ["code=denied"]


def test_a_token_is_a_password_too(daemon):
    _, answers = talk(daemon, hello("bob", TOKEN))
    assert verbs(answers) == ["WELCOME"]


def test_a_login_by_token_does_not_wait_for_others(daemon, monkeypatch):
    terminal = daemon.dial("signals")
    monkeypatch.setattr(terminal.transport, "pauseProducing", lambda: pytest.fail("paused"))
    terminal.send(hello("bob", TOKEN))
    assert verbs(got(terminal)) == ["WELCOME"]


def test_a_token_of_nobody_is_told_and_closed_and_counted(daemon):
    terminal, answers = talk(daemon, hello("bob", TOKEN[:-1] + "?") + publish())
    assert codes(answers) == ["code=login"]
    terminal, answers = talk(daemon, hello("alice", TOKEN) + publish())
    assert codes(answers) == ["code=login"]
    assert terminal.transport.ended
    assert daemon.env.access.bans.offences["login"] == 1  # the other one is a token, of bob


def test_what_stands_behind_hello_waits_for_the_login(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("signals")
    terminal.send(hello("alice") + publish())
    assert got(terminal) == []
    assert terminal.transport.producerState == "paused"
    terminal.send(publish(identity="a-2"))  # bytes that TLS had already taken
    held.callback(True)
    assert verbs(got(terminal)) == ["WELCOME", "STORED", "STORED"]
    assert terminal.transport.producerState == "producing"


def test_a_second_login_behind_the_first_is_waited_for_as_well(daemon, monkeypatch):
    held = [Deferred(), Deferred()]
    authenticator = daemon.env.access.authenticator
    # Once somebody has logged in from there, its network is a known one.
    for each, hasher in zip(held, (authenticator.unknown, authenticator.known), strict=True):
        monkeypatch.setattr(hasher, "in_thread", lambda *_, each=each: each)
    terminal = daemon.dial("signals")
    terminal.send(hello("alice") + hello("bob"))
    held[0].callback(True)
    assert terminal.transport.producerState == "paused", "all that it sends now would be kept"
    held[1].callback(True)
    assert verbs(got(terminal)) == ["WELCOME", "WELCOME"]
    assert terminal.transport.producerState == "producing"


def test_a_client_that_leaves_before_the_login_is_checked_is_forgotten(daemon, monkeypatch, log):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("signals")
    terminal.send(hello("alice") + publish())
    terminal.hang_up()
    held.callback(True)
    assert daemon.env.find(ISignals).channels.sessions == {}
    assert daemon.env.access.limiter("signals").total == 0


def test_a_half_closed_client_is_answered_when_the_login_is_checked(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("signals")
    terminal.send(hello("alice") + publish())
    terminal.finish()
    assert not terminal.transport.ended
    held.callback(True)
    assert verbs(got(terminal)) == ["WELCOME", "STORED"]
    assert terminal.transport.disconnecting


def test_a_stream_that_breaks_while_the_login_is_decided_leaves_nothing_behind(daemon, monkeypatch):
    held = Deferred()
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: held)
    terminal = daemon.dial("signals")
    terminal.send(hello("alice"))
    terminal.send(b"x" * 5_000)
    held.callback(True)
    assert codes(got(terminal)) == ["code=frame"]
    assert daemon.env.find(ISignals).channels.sessions == {}


def test_a_second_login_keeps_only_the_channels_of_the_new_account(daemon):
    terminal, _ = talk(daemon, hello("alice") + publish("main") + publish("gold", "a-2"))
    terminal.send(requests.subscribe("main") + requests.subscribe("gold") + hello("bob"))
    got(terminal)
    talk(daemon, hello("alice") + publish("main", "c-1") + publish("gold", "c-2"))
    assert [each.split("|")[1] for each in got(terminal)] == ["channel=gold"] * 2


def test_a_password_is_not_taken_where_others_can_listen(build):
    daemon = build("access.anonymous=follow")
    for said in (hello("alice"), b"<<HELLO|v=2|password=%zz>>", b"<<HELLO|v=2|login=x>>"):
        terminal, answers = talk(daemon, said, **REMOTE)
        assert codes(answers) == ["code=login"]
        assert "secure:" in answers[0]
        assert terminal.transport.ended
    assert not daemon.env.access.authenticator.counts


def test_a_password_is_taken_there_by_who_allows_it(build):
    daemon = build("access.allow_plaintext_login=true")
    _, answers = talk(daemon, hello("alice"), **REMOTE)
    assert verbs(answers) == ["WELCOME"]


def test_behind_a_balancer_loopback_is_not_private(daemon):
    terminal = daemon.dial("signals", "haproxy:tcp:1", **LOCAL)
    terminal.send(hello("alice"))
    assert codes(got(terminal)) == ["code=login"]


def test_a_guesser_is_told_that_it_is_banned(daemon, log):
    for _ in range(2):
        talk(daemon, hello("alice", "guess"))
    terminal, answers = talk(daemon, hello("alice"))
    assert codes(answers) == ["code=banned"]
    assert "come back in 15 s" in answers[0]
    assert terminal.transport.ended


def test_too_many_logins_at_once_are_told_to_come_back(build, monkeypatch):
    daemon = build("access.max_pending_logins=1")
    monkeypatch.setattr(daemon.hasher, "in_thread", lambda *_: Deferred())
    answers = [talk(daemon, hello(name))[1] for name in ("alice", "bob", "carol")]
    assert answers[:2] == [[], []]
    assert codes(answers[2]) == ["code=server"]


# Deadlines


def test_a_stranger_who_may_nothing_has_to_log_in_soon(daemon, clock):
    silent = daemon.dial("signals")
    clock.advance(4.9)
    assert not silent.closed
    clock.advance(0.2)
    assert silent.reset
    assert daemon.env.access.bans.offences["deadline"] == 1


def test_a_dripping_hello_is_no_login(daemon, clock):
    terminal = daemon.dial("signals")
    for byte in hello("alice"):
        terminal.send(bytes([byte]))
        clock.advance(1.0)
    assert terminal.reset
    assert got(terminal) == []


def test_a_classic_follower_may_be_silent_for_ever(build, clock):
    daemon = build("access.anonymous=follow")
    silent = daemon.dial("signals")
    clock.pump([10.0] * 720)
    assert not silent.closed
    assert daemon.env.access.limiter("signals").unauthenticated == 0


def test_a_publisher_without_the_right_to_follow_may_be_silent_too(build, clock):
    daemon = build("access.anonymous=publish")
    silent = daemon.dial("signals")
    clock.pump([10.0] * 720)
    assert not silent.closed
    assert silent.received() == b""
    silent.send(b"<<EURUSD|1.00>>")
    assert daemon.env.find(ISignals).channel("main").net


def test_a_frame_that_began_has_to_end(build, clock):
    daemon = build("access.anonymous=publish")
    terminal = daemon.dial("signals")
    terminal.send(b"<<EURUSD|1.00>>\r\n<<EUR")
    clock.advance(9.9)
    terminal.send(b"U")
    assert not terminal.closed
    clock.advance(0.2)
    assert terminal.reset
    assert daemon.env.access.bans.offences["deadline"] == 1


def test_each_frame_has_its_own_time(build, clock):
    daemon = build("access.anonymous=publish")
    terminal = daemon.dial("signals")
    for number in range(10):
        terminal.send(b"SD|1.%02d>><<EUR" % number if number else b"<<EUR")
        clock.advance(9.0)
    assert not terminal.closed
    terminal.send(b"USD|1>>\0tail>>\0")
    clock.advance(60)
    assert not terminal.closed


def test_more_frames_than_the_budget_are_read_more_slowly_and_none_is_lost(build, clock):
    daemon = build("access.anonymous=publish", "signals.frames=10")
    terminal = daemon.dial("signals")
    terminal.send(b"".join(b"<<S%d|1>>" % number for number in range(25)))
    assert terminal.transport.producerState == "paused"
    clock.advance(1.4)
    assert terminal.transport.producerState == "paused"
    clock.advance(0.2)
    assert terminal.transport.producerState == "producing"
    assert len(daemon.env.find(ISignals).channel("main").net) == 25


# What changes while somebody is here


def test_disabling_an_account_closes_its_connections(daemon):
    terminal, _ = talk(daemon, hello("alice"))
    other, _ = talk(daemon, hello("bob"))
    daemon.change("alice", grants=["provider"], disabled=True, password=HASH)
    assert terminal.transport.ended
    assert not other.transport.ended
    assert codes(talk(daemon, hello("alice"))[1]) == ["code=login"]


def test_a_session_that_loses_a_right_is_closed(daemon):
    terminal, _ = talk(daemon, hello("alice"))
    daemon.change("alice", grants=["follower"], password=HASH)
    assert terminal.transport.ended
    _, answers = talk(daemon, hello("alice") + publish())
    assert codes(answers) == ["code=denied"]


def test_a_session_that_gains_a_right_stays(daemon):
    terminal, _ = talk(daemon, hello("alice"))
    daemon.change("alice", grants=["provider", "read:ticks"], password=HASH)
    assert not terminal.transport.ended


def test_a_session_that_gains_a_right_is_offered_what_was_refused_before(daemon):
    provider, _ = talk(daemon, hello("alice") + publish("oil"))
    terminal, said = talk(daemon, hello("bob") + publish("gold") + requests.subscribe("oil"))
    assert codes(said) == ["code=denied", "code=denied"]
    more = [*GRANTS["bob"], "publish:signals/gold", "follow:signals/oil"]
    daemon.change("bob", grants=more, password=HASH)
    assert got(terminal) == ["CHANNELS|channels=gold,oil"]
    terminal.send(requests.subscribe("oil") + publish("gold"))
    assert [each for each in got(terminal) if "ERROR" in each] == []
    provider.hang_up()


def test_a_session_refused_to_follow_and_to_publish_is_offered_each(daemon):
    provider, _ = talk(daemon, hello("alice") + publish("oil"))
    terminal, _ = talk(daemon, hello("bob") + requests.subscribe("oil") + publish("oil"))
    more = [*GRANTS["bob"], "follow:signals/oil"]
    daemon.change("bob", grants=more, password=HASH)
    assert got(terminal) == ["CHANNELS|channels=oil"]
    daemon.change("bob", grants=[*more, "publish:signals/oil"], password=HASH)
    assert got(terminal) == ["CHANNELS|channels=oil"]
    provider.hang_up()


def test_a_token_allows_no_more_when_its_account_may_more(daemon):
    terminal, said = talk(daemon, hello("bob", TOKEN) + publish("gold"))
    assert codes(said) == ["code=denied"]
    daemon.change("bob", grants=[*GRANTS["bob"], "publish", "follow"], password=HASH)
    assert got(terminal) == []


def test_status_says_who_is_there(daemon):
    talk(daemon, hello("alice"))
    assert next(iter(daemon.env.find(ISignals).channels.sessions)).report()["login"] == "alice"


# Errors of ours


def test_an_error_of_ours_ends_one_connection_and_is_logged_once(build, log, monkeypatch):
    daemon = build("access.anonymous=publish")
    other = daemon.dial("signals")
    other.send(b"<<EURUSD|1.00>>")

    def fail(*_):
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(daemon.env.find(ISignals), "submit", fail)
        terminal = daemon.dial("signals", peer="127.8.8.8")
        terminal.send(b"<<EURUSD|1.00>>")
    assert terminal.reset
    assert not other.closed
    assert daemon.env.access.bans.offences["error"] == 1
    assert [event["log_failure"].type for event in log if "log_failure" in event] == [
        ZeroDivisionError
    ]


def test_the_password_is_nowhere_in_the_log(daemon, log):
    for said in (
        hello("alice", "secret-canary"),
        b"<<HELLO|v=2|login=a|password=secret-canary>><<HELLO|password=secret-canary>>",
        hello("secret-canary", "secret-canary"),
    ):
        terminal = daemon.dial("signals")
        terminal.send(said)
        terminal.finish()
    shown = " ".join(map(formatEvent, log))
    assert "canary" not in shown
