"""A publisher: each signal is stored once and in order, and its Deferred fires once."""

import os
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from publishing import Harness
from twisted.python.failure import Failure

from mtnet.client.core.session import STABLE_AFTER
from mtnet.errors import ClientError, RefusedError
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.requests import Publish
from mtnet.session import messages
from mtnet.session.messages import Hello

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "300"))


@pytest.fixture
def harness():
    harness = Harness()
    harness.settle()
    return harness


# Connections that do not help


@pytest.fixture
def torn(harness):
    """A server that breaks each connection off behind WELCOME, and a call that counts them."""
    takes = harness.server.takes

    def tear(session, request):
        takes(session, request)
        if isinstance(request, Hello) and harness.server.answer == "torn":
            session.say(b"<<SIGNAL|channel=main|seq=x>>")

    def attempts(seconds):
        before = len(harness.line.connections)
        for _ in range(seconds):
            harness.pass_time(1)
            if harness.line.connection.client.aborted:
                harness.line.connection.cut()
        return len(harness.line.connections) - before

    harness.server.takes, harness.server.answer = tear, "torn"
    harness.line.connection.cut()
    assert 10 < attempts(600) < 45, "after delays that grow"
    harness.server.answer = "store"
    attempts(31)
    return attempts


def test_a_signal_that_is_stored_makes_the_delays_short_again(harness, torn):
    harness.line.connection.cut()
    assert torn(31) == 1
    harness.publish("GBPUSD", "1", id="open")
    harness.settle()
    assert harness.answered == {"open": [1]}
    harness.line.connection.cut()
    assert torn(2) == 1


def test_a_connection_that_lasts_makes_the_delays_short_again(harness, torn):
    for _ in range(int(STABLE_AFTER)):
        harness.say(messages.pong(1))
        harness.pass_time(1)
    harness.line.connection.cut()
    assert torn(2) == 1


# The queue


def test_a_retry_that_waits_ends_with_the_connection_that_it_was_made_on(harness, monkeypatch):
    monkeypatch.setattr("mtnet.backoff.uniform", lambda low, high: low)
    harness.server.answer = "server"
    harness.publish("GBPUSD", "1", id="open")
    harness.publish("GBPUSD", "0", id="close")
    harness.settle()
    harness.line.connection.cut()
    harness.server.answer = "silent"
    harness.clock.advance(0.9)  # the new connection is there before the retry was due
    harness.settle()
    harness.say(answers.stored("open", 1))
    harness.server.answer = "store"
    harness.clock.advance(0.2)
    harness.settle()
    assert harness.server.published == ["GBPUSD 1", "GBPUSD 1", "GBPUSD 0"], (
        "once on each connection"
    )
    harness.line.connection.cut()
    harness.pass_time(5)
    assert harness.answered == {"open": [1], "close": [2]}


def test_a_repeated_answer_takes_no_other_signal_out_of_the_queue(harness):
    harness.server.answer = "silent"
    harness.publish("GBPUSD", "1", id="open")
    harness.publish("GBPUSD", "0", id="close")
    harness.settle()
    harness.say(answers.stored("open", 1), answers.stored("open", 1), answers.stored("open", 1))
    assert harness.answered == {"open": [1], "close": []}
    harness.line.connection.cut()
    harness.server.answer = "store"
    harness.pass_time(5)
    assert harness.answered == {"open": [1], "close": [2]}


def test_a_signal_that_the_disk_refuses_is_sent_again_until_it_is_stored(harness):
    harness.server.answer = "server"
    harness.publish("GBPUSD", "1", id="open")
    harness.pass_time(3)
    assert harness.answered == {"open": []}
    harness.server.answer = "store"
    harness.pass_time(2)
    assert harness.answered == {"open": [1]}
    assert set(harness.told) == {"trouble"}


def test_an_answer_to_what_was_not_asked_changes_nothing(harness):
    harness.server.answer = "silent"
    harness.publish("GBPUSD", "1", id="open")
    harness.publish("GBPUSD", "0", id="close")
    harness.settle()
    harness.say(
        answers.stored("close", 9),
        messages.error("field", "It is refused.", "close"),
        answers.stored("never", 9),
        messages.error("server", "It is refused.", "never"),
    )
    assert harness.answered == {"open": [], "close": []}
    assert harness.publisher.waiting == 2


def test_closing_a_symbol_waits_for_its_tickets_and_they_wait_for_it(harness):
    harness.server.answer = "silent"
    for number, (ticket, volume) in enumerate([("1", "1"), ("2", "1"), ("", "0"), ("1", "2")]):
        harness.publish("GBPUSD", volume, ticket=ticket, id=f"n{number}")
    harness.settle()
    assert harness.server.published == ["GBPUSD/1 1", "GBPUSD/2 1"]
    harness.say(answers.stored("n0", 1))
    assert len(harness.server.published) == 2
    harness.say(answers.stored("n1", 2))
    assert harness.server.published[2:] == ["GBPUSD 0"]
    harness.say(answers.stored("n2", 3))
    assert harness.server.published[3:] == ["GBPUSD/1 2"]


def test_a_program_may_publish_and_stop_when_it_is_told_of_a_signal(harness):
    done = harness.publisher.publish("GBPUSD", "1")
    done.addCallback(lambda _: harness.publish("GBPUSD", "2", id="second"))
    done.addCallback(lambda _: harness.publisher.stopService())
    harness.pass_time(2)
    (failure,) = harness.answered["second"]
    assert "stopped" in failure.getErrorMessage()


def test_a_publisher_that_stops_says_so_and_leaves_the_channel_free(harness):
    harness.publish("GBPUSD", "1")
    harness.settle()
    stopped = []
    harness.publisher.stopService().addCallback(stopped.append)
    harness.settle()
    assert stopped == [None]
    assert harness.ended


# Who holds the channel


def takes(harness):
    return [each.take for each in harness.server.heard if isinstance(each, Publish)]


def test_a_channel_is_taken_only_when_it_is_free(harness):
    harness.publish("A", "1")
    harness.settle()
    assert takes(harness) == ["free"]


def test_a_publisher_with_take_0_never_takes_over():
    harness = Harness(take="0")
    harness.publish("A", "1")
    harness.settle()
    harness.publish("A", "2")
    harness.settle()
    assert takes(harness) == ["0", "0"]


def test_a_channel_is_taken_over_once_and_not_taken_back():
    harness = Harness(take="1")
    harness.server.answer = "silent"
    harness.publish("A", "1")
    harness.settle()
    harness.line.connection.cut()
    harness.server.answer = "store"
    harness.pass_time(5)
    harness.publish("A", "2")
    harness.publish("B", "1", channel="gold")
    harness.settle()
    assert takes(harness) == ["1", "1", "free", "1"]


def test_a_fenced_publisher_stops_and_says_whose_channel_it_was(harness):
    harness.publish("A", "1", id="first")
    harness.publish("A", "2", id="second")
    harness.server.answer = "fenced"
    harness.pass_time(900)
    assert harness.told == ["fenced main"]
    for (failure,) in harness.answered.values():
        assert "Another publisher holds main" in failure.getErrorMessage()
    with pytest.raises(ClientError, match="Another publisher"):
        harness.publisher.startService()
    assert len(harness.line.connections) == 1


# What is told beside it


def test_a_reversal_that_only_closed_is_told_apart(harness):
    harness.server.answer = "silent"
    harness.publish("A", "-1", id="turn")
    harness.settle()
    harness.say(messages.error("field", "3 lots are too many", "turn", closed=True))
    (failure,) = harness.answered["turn"]
    assert failure.check(RefusedError)
    assert (failure.value.code, failure.value.closed) == ("field", True)
    assert str(failure.value).startswith("3 lots are too many (field). What stood there")


def test_a_sentence_of_the_server_keeps_one_full_stop(harness):
    harness.server.answer = "silent"
    harness.publish("A", "1", id="x")
    harness.settle()
    harness.say(messages.error("denied", "alice may not publish here.", "x"))
    (failure,) = harness.answered["x"]
    assert str(failure.value) == "alice may not publish here (denied)."


def test_pauses_and_notices_are_told(harness):
    harness.say(answers.paused("main", "frozen"), answers.paused("gold", "frozen"))
    harness.say(answers.flattened("main"), answers.resumed("main"), answers.notice("Good night."))
    harness.say(messages.error("banned", "For 60 s"))
    assert harness.told == ["frozen", "flattened", "resumed", "Good night.", "banned"]


@pytest.mark.parametrize("code", ["login", "expired"])
def test_an_account_that_is_refused_ends_the_publisher(code):
    harness = Harness()
    harness.publish("A", "1", id="first")
    harness.line.connection.server.protocol.say(messages.error(code, "You are not known."))
    harness.settle()
    assert harness.publisher.stopped


def test_an_account_that_expires_meanwhile_may_come_back_to_close(harness):
    harness.say(messages.error("expired", "It ended today."))
    harness.line.connection.cut()
    harness.pass_time(5)
    harness.publish("A", "0")
    harness.settle()
    assert harness.answered == {"n0": [1]}


# Whatever breaks


class Machine(RuleBasedStateMachine):
    """The model is what the server stored, and what each Deferred was told."""

    @initialize()
    def begin(self):
        self.harness = Harness()
        self.asked, self.refused = {}, set()

    @rule(
        symbol=st.sampled_from("AB"),
        ticket=st.sampled_from(["", "", "1", "2"]),
        volume=st.integers(0, 3),
    )
    def publish(self, symbol, ticket, volume):
        identity = self.harness.publish(symbol, str(volume), ticket=ticket)
        self.asked[identity] = symbol, ticket, Decimal(volume)

    @rule(answer=st.sampled_from(["store", "twice", "silent", "server", "field"]))
    def behave(self, answer):
        self.harness.server.answer = answer

    @rule(there=st.integers(0, 300), back=st.integers(0, 300))
    def carry(self, there, back):
        """Let so many bytes arrive at most."""
        self.harness.line.connection.carry(there, back)

    @rule()
    def settle(self):
        self.harness.settle()

    @rule()
    def cut(self):
        self.harness.line.connection.cut()

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 2.0, 13.0]))
    def wait(self, seconds):
        self.harness.clock.advance(seconds)

    @rule(number=st.integers(0, 9), code=st.sampled_from(["stored", "server", "field"]))
    def repeat_an_answer(self, number, code):
        """A server that answers what it has answered before, or was never asked."""
        identity = f"n{number}"
        session = self.harness.line.connection.server.protocol
        if code == "stored" and identity in self.harness.server.stored:
            session.say(answers.stored(identity, self.harness.server.stored[identity][0]))
        elif code == "server" and identity not in self.harness.server.stored:
            session.say(messages.error("server", "The disk is full.", identity))
        elif code == "field" and self.harness.answered.get(identity):
            session.say(messages.error("field", "It is refused.", identity))

    @invariant()
    def each_is_told_once_and_what_is_true(self):
        if not hasattr(self, "bench"):
            return
        for identity, told in self.harness.answered.items():
            assert len(told) <= 1
            if told and not isinstance(told[0], Failure):
                assert told[0] == self.harness.server.stored[identity][0]

    @invariant()
    def nothing_overtakes(self):
        if not hasattr(self, "bench"):
            return
        for one, other in combinations(self.harness.server.order, 2):
            symbol, ticket, _ = self.asked[one]
            if self.asked[other][0] == symbol and (
                not ticket or self.asked[other][1] in ("", ticket)
            ):
                assert int(one[1:]) < int(other[1:])

    def teardown(self):
        if not hasattr(self, "bench"):
            return
        self.harness.server.answer = "store"
        self.harness.line.connection.cut()
        self.harness.pass_time(60)
        assert self.harness.publisher.waiting == 0
        assert all(len(told) == 1 for told in self.harness.answered.values()), (
            "every Deferred fires"
        )
        self.each_is_told_once_and_what_is_true()
        self.nothing_overtakes()
        assert not any("Unhandled" in line for line in self.harness.told)
        asked = [each for each in self.harness.server.heard if isinstance(each, Publish)]
        assert {each.id for each in asked} == set(self.asked)


def test_whatever_breaks_each_signal_is_stored_once_in_order_and_answered_once():
    case = Machine.TestCase()
    case.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
    case.runTest()


def test_what_the_server_refuses_is_told_and_the_next_signal_goes_on(harness):
    harness.server.answer = "field"
    harness.publish("GBPUSD", "1", id="open")
    harness.settle()
    harness.server.answer = "store"
    harness.publish("GBPUSD", "2", id="more")
    harness.settle()
    (failure,) = harness.answered["open"]
    assert failure.check(ClientError)
    assert harness.answered["more"] == [1]


@pytest.mark.parametrize(
    ("volume", "stored"),
    [(0.1 + 0.2, "0.3"), (0.25, "0.25"), (-1, "-1"), (1e-05, "0.00001"), (Decimal("1.10"), "1.10")],
)
def test_a_volume_may_be_a_float_with_the_noise_of_sums(harness, volume, stored):
    harness.publish("GBPUSD", volume, id="one", sl=1.25, tp=Decimal("1.50"), magic=7)
    harness.settle()
    _, asked = harness.server.stored["one"]
    assert f"{asked.volume:f}" == stored
    assert dict(asked.fields) == {"sl": "1.25", "tp": "1.50", "magic": "7"}


@pytest.mark.parametrize("volume", [float("nan"), float("inf"), 0.123456, 1e12])
def test_a_float_that_is_no_volume_is_refused(harness, volume):
    with pytest.raises(ClientError, match="is refused"):
        harness.publisher.publish("GBPUSD", volume)
