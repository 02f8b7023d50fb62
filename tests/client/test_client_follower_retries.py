"""A follower that is refused, fails, or finds nobody: when it tries again."""

from contextlib import suppress

import pytest
from follower_harness import (
    EPOCH,
    KNOWN,
    entry,
    held,
    signal,
    snapshot,
)
from msgspec.structs import replace

from mtnet.client import Follower, Login
from mtnet.services.signals.wire import answers
from mtnet.session import messages

# Refused subscriptions


@pytest.mark.parametrize("code", ["channel", "denied", "server"])
def test_a_channel_that_was_refused_is_asked_for_again_with_growing_delays(harness, code):
    harness.server.answer = lambda asked: messages.error(code, "Not now", channel="main")
    harness.follow()
    for _ in range(600):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
    assert len(harness.line.connections) == 1
    assert 20 < len(harness.server.asked) < 60
    assert harness.told == [("error", code, "Not now")], "it is told once"
    harness.server.answer = lambda asked: snapshot(1, "A")
    for _ in range(30):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
    assert harness.names == ["error", "snapshot", "blind", "synced"]


def test_a_follower_that_is_denied_a_channel_logs_in_again(harness):
    harness.server.answer = lambda asked: messages.error("denied", "Not yours.", channel="main")
    harness.follow(login=Login("joe", "canary"))
    for _ in range(600):
        harness.clock.advance(1)
        harness.say(messages.pong(1))
    assert 15 < len(harness.line.connections) < 45, "after delays that grow"
    assert harness.names.count("error") == 1, "it is told once"
    harness.server.answer = lambda asked: snapshot(1, "A")
    for _ in range(32):
        harness.clock.advance(1)
        harness.say(messages.pong(1))
    assert held(harness.follower) == {"A": "1"}


def test_a_channel_that_may_be_asked_for_now_is_asked_for_at_once(harness):
    harness.server.answer = lambda asked: messages.error("channel", "No main.", channel="main")
    harness.follow()
    harness.say(answers.channels(["gold"]))
    assert len(harness.server.asked) == 1
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.say(answers.channels(["gold", "main"]))
    assert held(harness.follower) == {"A": "1"}
    harness.clock.advance(5)
    harness.say(answers.channels(["gold", "main"]))
    assert len(harness.server.asked) == 2, "who has it does not ask"


def test_a_subscription_that_the_server_ends_makes_blind_until_it_is_had_again(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(messages.error("server", "The disk is ill", channel="main"))
    assert harness.follower.blind
    assert harness.told[-1] == ("blind", "The disk is ill")
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 1) + signal(2)
    harness.clock.advance(1)
    harness.line.settle()
    assert (harness.follower.blind, harness.follower.seq) == (False, 2)


def test_an_error_about_something_else_ends_no_subscription(harness):
    harness.server.answer = lambda asked: snapshot(1, "A")
    harness.follow()
    harness.say(messages.error("channel", "No gold.", channel="gold"))
    harness.say(messages.error("field", "No seq.", channel="main"))
    harness.clock.advance(10)
    assert not harness.follower.blind
    assert len(harness.server.asked) == 1


def test_a_follower_replaced_by_its_own_account_waits_ten_minutes(harness):
    harness.follow()
    harness.say(messages.error("sessions", "Another session took over."))
    harness.line.connection.cut()
    harness.clock.advance(599)
    assert len(harness.line.connections) == 1
    harness.clock.advance(61)
    assert len(harness.line.connections) == 2
    harness.line.settle()
    harness.line.connection.cut()
    harness.clock.advance(2)
    assert len(harness.line.connections) == 3, "once"


@pytest.mark.parametrize("code", ["login", "banned"])
def test_a_client_that_is_not_welcome_waits_long_from_the_first_time_on(harness, code):
    harness.follow()
    harness.say(messages.error(code, "No."))
    harness.line.connection.cut()
    harness.clock.advance(14)
    assert len(harness.line.connections) == 1
    harness.clock.advance(17)
    assert len(harness.line.connections) == 2


# Connections that do not help


def attempts(harness, seconds):
    before = len(harness.line.connections)
    for _ in range(seconds):
        harness.clock.advance(1)
        harness.line.settle()
        harness.say(messages.pong(1))
        if harness.line.connection.client.aborted:
            harness.line.connection.cut()
    return len(harness.line.connections) - before


@pytest.mark.parametrize(
    "replay",
    [
        pytest.param(signal(8), id="a hole"),
        pytest.param(answers.synced("main", EPOCH, 9), id="an end that does not fit"),
        pytest.param(b"<<SIGNAL|channel=main|seq=7|symbol=A|volume=x|time=1>>", id="unreadable"),
    ],
)
def test_a_server_whose_replay_cannot_be_taken_is_dialled_after_delays_that_grow(harness, replay):
    harness.server.answer = lambda asked: replay
    harness.follow(**KNOWN)
    assert 10 < attempts(harness, 600) < 45
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 6)
    attempts(harness, 31)
    assert not harness.follower.blind
    harness.line.connection.cut()
    assert attempts(harness, 2) == 1, "SYNCED makes the delays short again"


# Programs that fail


def fail_once(harness, name):
    """Let a callback raise, the first time it is called."""
    works = getattr(harness.follower._on, name)

    def fail(*told):
        harness.follower._on = replace(harness.follower._on, **{name: works})
        raise RuntimeError("The broker does not answer.")

    harness.follower._on = replace(harness.follower._on, **{name: fail})


def test_a_signal_on_which_the_program_failed_comes_again_before_the_next(harness):
    harness.server.answer = lambda asked: answers.synced("main", EPOCH, 6, KNOWN["h"])
    follower = harness.follow(**KNOWN, positions=[entry("A")])
    fail_once(harness, "signal")
    with pytest.raises(RuntimeError):
        harness.say(signal(7, "A", "0"), signal(8, "B"))
    assert (follower.seq, follower.h, held(follower)) == (6, "0000beef", {"A": "1"})
    assert harness.line.connection.client.aborted
    missed = signal(7, "A", "0") + signal(8, "B") + answers.synced("main", EPOCH, 8)
    harness.server.answer = lambda asked: missed
    wait(harness, 3)
    assert harness.server.asked[-1].after == 6
    assert [each[1].seq for each in harness.told if each[0] == "signal"] == [7, 8]


def test_a_state_on_which_the_program_failed_comes_again(harness):
    harness.server.answer = lambda asked: b""
    follower = harness.follow()
    fail_once(harness, "snapshot")
    with pytest.raises(RuntimeError):
        harness.say(snapshot(3, "A", "B"))
    assert (follower.epoch, follower.seq, held(follower)) == (None, 0, {})
    harness.server.answer = lambda asked: snapshot(3, "A", "B")
    wait(harness, 3)
    assert harness.names.count("snapshot") == 1
    assert held(follower) == {"A": "1", "B": "1"}


def test_a_program_that_fails_again_and_again_is_called_after_delays_that_grow(harness):
    harness.server.answer = lambda asked: signal(7) + answers.synced("main", EPOCH, 7)
    harness.told, calls = [], []

    def fail(signal):
        calls.append(harness.clock.seconds())
        raise RuntimeError("never")

    follower = Follower(harness.line, harness.clock, on_signal=fail, **KNOWN)
    follower.startService()
    for _ in range(300):
        with suppress(RuntimeError):
            harness.line.settle()
        harness.clock.advance(1)
    assert 8 < len(calls) < 30
    assert follower.seq == 6


# Servers that are not there


def wait(harness, seconds):
    for _ in range(seconds):
        harness.line.settle()
        harness.clock.advance(1)
    harness.line.settle()


def test_a_server_that_is_not_there_is_named_once_until_it_is_there(harness):
    harness.line.factory = ConnectionRefusedError("Connection refused")
    told = []
    harness.follow(on_unreachable=told.append)
    wait(harness, 100)
    assert told == ["No connection to the server: Connection refused."]
    harness.line.factory = harness.server
    seconds = 0
    while harness.follower.blind and seconds < 31:
        wait(harness, 1)
        seconds += 1
    assert not harness.follower.blind
    harness.line.factory = ConnectionRefusedError("Connection refused")
    harness.line.connection.cut()
    wait(harness, 100)
    assert len(told) == 2
