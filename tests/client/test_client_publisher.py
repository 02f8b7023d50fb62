"""A publisher: each signal is stored once and in order, and its Deferred fires once."""

import os
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from publishing import Bench
from twisted.python.failure import Failure

from mtnet.client.connection import QUIET
from mtnet.errors import ClientError, RefusedError
from mtnet.services.signals import answers
from mtnet.services.signals.requests import Hello, Publish

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "300"))


@pytest.fixture
def bench():
    bench = Bench()
    bench.settle()
    return bench


# Connections that do not help


@pytest.fixture
def torn(bench):
    """A server that breaks each connection off behind WELCOME, and a call that counts them."""
    takes = bench.desk.takes

    def tear(session, request):
        takes(session, request)
        if isinstance(request, Hello) and bench.desk.answer == "torn":
            session.say(b"<<SIGNAL|channel=main|seq=x>>")

    def attempts(seconds):
        before = len(bench.line.wires)
        for _ in range(seconds):
            bench.pass_time(1)
            if bench.line.wire.client.aborted:
                bench.line.wire.cut()
        return len(bench.line.wires) - before

    bench.desk.takes, bench.desk.answer = tear, "torn"
    bench.line.wire.cut()
    assert 10 < attempts(600) < 45, "after delays that grow"
    bench.desk.answer = "store"
    attempts(31)
    return attempts


def test_a_signal_that_is_stored_makes_the_delays_short_again(bench, torn):
    bench.line.wire.cut()
    assert torn(31) == 1
    bench.publish("GBPUSD", "1", id="open")
    bench.settle()
    assert bench.answered == {"open": [1]}
    bench.line.wire.cut()
    assert torn(2) == 1


def test_a_connection_that_lasts_makes_the_delays_short_again(bench, torn):
    for _ in range(int(QUIET)):
        bench.say(answers.pong(1))
        bench.pass_time(1)
    bench.line.wire.cut()
    assert torn(2) == 1


# The queue


def test_a_retry_that_waits_ends_with_the_connection_that_it_was_made_on(bench, monkeypatch):
    monkeypatch.setattr("mtnet.client.connection.uniform", lambda low, high: low)
    bench.desk.answer = "server"
    bench.publish("GBPUSD", "1", id="open")
    bench.publish("GBPUSD", "0", id="close")
    bench.settle()
    bench.line.wire.cut()
    bench.desk.answer = "silent"
    bench.clock.advance(0.9)  # the new connection is there before the retry was due
    bench.settle()
    bench.say(answers.stored("open", 1))
    bench.desk.answer = "store"
    bench.clock.advance(0.2)
    bench.settle()
    assert bench.desk.published == ["GBPUSD 1", "GBPUSD 1", "GBPUSD 0"], "once on each connection"
    bench.line.wire.cut()
    bench.pass_time(5)
    assert bench.answered == {"open": [1], "close": [2]}


def test_a_repeated_answer_takes_no_other_signal_out_of_the_queue(bench):
    bench.desk.answer = "silent"
    bench.publish("GBPUSD", "1", id="open")
    bench.publish("GBPUSD", "0", id="close")
    bench.settle()
    bench.say(answers.stored("open", 1), answers.stored("open", 1), answers.stored("open", 1))
    assert bench.answered == {"open": [1], "close": []}
    bench.line.wire.cut()
    bench.desk.answer = "store"
    bench.pass_time(5)
    assert bench.answered == {"open": [1], "close": [2]}


def test_a_signal_that_the_disk_refuses_is_sent_again_until_it_is_stored(bench):
    bench.desk.answer = "server"
    bench.publish("GBPUSD", "1", id="open")
    bench.pass_time(3)
    assert bench.answered == {"open": []}
    bench.desk.answer = "store"
    bench.pass_time(2)
    assert bench.answered == {"open": [1]}
    assert set(bench.told) == {"trouble"}


def test_an_answer_to_what_was_not_asked_changes_nothing(bench):
    bench.desk.answer = "silent"
    bench.publish("GBPUSD", "1", id="open")
    bench.publish("GBPUSD", "0", id="close")
    bench.settle()
    bench.say(
        answers.stored("close", 9),
        answers.error("field", "It is refused.", "close"),
        answers.stored("never", 9),
        answers.error("server", "It is refused.", "never"),
    )
    assert bench.answered == {"open": [], "close": []}
    assert bench.publisher.waiting == 2


def test_closing_a_symbol_waits_for_its_tickets_and_they_wait_for_it(bench):
    bench.desk.answer = "silent"
    for number, (ticket, volume) in enumerate([("1", "1"), ("2", "1"), ("", "0"), ("1", "2")]):
        bench.publish("GBPUSD", volume, ticket=ticket, id=f"n{number}")
    bench.settle()
    assert bench.desk.published == ["GBPUSD/1 1", "GBPUSD/2 1"]
    bench.say(answers.stored("n0", 1))
    assert len(bench.desk.published) == 2
    bench.say(answers.stored("n1", 2))
    assert bench.desk.published[2:] == ["GBPUSD 0"]
    bench.say(answers.stored("n2", 3))
    assert bench.desk.published[3:] == ["GBPUSD/1 2"]


def test_a_program_may_publish_and_stop_when_it_is_told_of_a_signal(bench):
    done = bench.publisher.publish("GBPUSD", "1")
    done.addCallback(lambda _: bench.publish("GBPUSD", "2", id="second"))
    done.addCallback(lambda _: bench.publisher.stopService())
    bench.pass_time(2)
    (failure,) = bench.answered["second"]
    assert "stopped" in failure.getErrorMessage()


def test_a_publisher_that_stops_says_so_and_leaves_the_channel_free(bench):
    bench.publish("GBPUSD", "1")
    bench.settle()
    stopped = []
    bench.publisher.stopService().addCallback(stopped.append)
    bench.settle()
    assert stopped == [None]
    assert bench.ended


# Who holds the channel


def takes(bench):
    return [each.take for each in bench.desk.heard if isinstance(each, Publish)]


def test_a_channel_is_taken_only_when_it_is_free(bench):
    bench.publish("A", "1")
    bench.settle()
    assert takes(bench) == ["free"]


def test_who_takes_nothing_over_never_does():
    bench = Bench(take="0")
    bench.publish("A", "1")
    bench.settle()
    bench.publish("A", "2")
    bench.settle()
    assert takes(bench) == ["0", "0"]


def test_a_channel_is_taken_over_once_and_not_taken_back():
    bench = Bench(take="1")
    bench.desk.answer = "silent"
    bench.publish("A", "1")
    bench.settle()
    bench.line.wire.cut()
    bench.desk.answer = "store"
    bench.pass_time(5)
    bench.publish("A", "2")
    bench.publish("B", "1", channel="gold")
    bench.settle()
    assert takes(bench) == ["1", "1", "free", "1"]


def test_a_fenced_publisher_stops_and_says_whose_channel_it_was(bench):
    bench.publish("A", "1", id="first")
    bench.publish("A", "2", id="second")
    bench.desk.answer = "fenced"
    bench.pass_time(900)
    assert bench.told == ["fenced main"]
    for (failure,) in bench.answered.values():
        assert "Another publisher holds main" in failure.getErrorMessage()
    with pytest.raises(ClientError, match="Another publisher"):
        bench.publisher.startService()
    assert len(bench.line.wires) == 1


# What is told beside it


def test_a_reversal_that_only_closed_is_told_apart(bench):
    bench.desk.answer = "silent"
    bench.publish("A", "-1", id="turn")
    bench.settle()
    bench.say(answers.error("field", "3 lots are too many", "turn", closed=True))
    (failure,) = bench.answered["turn"]
    assert failure.check(RefusedError)
    assert (failure.value.code, failure.value.closed) == ("field", True)
    assert str(failure.value).startswith("3 lots are too many (field). What stood there")


def test_pauses_and_notices_are_told(bench):
    bench.say(answers.paused("main", "frozen"), answers.paused("gold", "frozen"))
    bench.say(answers.flattened("main"), answers.resumed("main"), answers.notice("Good night."))
    bench.say(answers.error("banned", "For 60 s"))
    assert bench.told == ["frozen", "flattened", "resumed", "Good night.", "banned"]


@pytest.mark.parametrize("code", ["login", "expired"])
def test_an_account_that_is_refused_ends_the_publisher(code):
    bench = Bench()
    bench.publish("A", "1", id="first")
    bench.line.wire.server.protocol.say(answers.error(code, "You are not known."))
    bench.settle()
    assert bench.publisher.stopped


def test_an_account_that_expires_meanwhile_may_come_back_to_close(bench):
    bench.say(answers.error("expired", "It ended today."))
    bench.line.wire.cut()
    bench.pass_time(5)
    bench.publish("A", "0")
    bench.settle()
    assert bench.answered == {"n0": [1]}


# Whatever breaks


class Machine(RuleBasedStateMachine):
    """The model is what the server stored, and what each Deferred was told."""

    @initialize()
    def begin(self):
        self.bench = Bench()
        self.asked, self.refused = {}, set()

    @rule(
        symbol=st.sampled_from("AB"),
        ticket=st.sampled_from(["", "", "1", "2"]),
        volume=st.integers(0, 3),
    )
    def publish(self, symbol, ticket, volume):
        identity = self.bench.publish(symbol, str(volume), ticket=ticket)
        self.asked[identity] = symbol, ticket, Decimal(volume)

    @rule(answer=st.sampled_from(["store", "twice", "silent", "server", "field"]))
    def behave(self, answer):
        self.bench.desk.answer = answer

    @rule(there=st.integers(0, 300), back=st.integers(0, 300))
    def carry(self, there, back):
        """Let so many bytes arrive at most."""
        wire = self.bench.line.wire
        for end, other, size in (
            (wire.client, wire.server, there),
            (wire.server, wire.client, back),
        ):
            data, end.unread = end.unread[:size], end.unread[size:]
            if data and other.connected and not other.aborted:
                other.protocol.dataReceived(data)

    @rule()
    def settle(self):
        self.bench.settle()

    @rule()
    def cut(self):
        self.bench.line.wire.cut()

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.0, 2.0, 13.0]))
    def wait(self, seconds):
        self.bench.clock.advance(seconds)

    @rule(number=st.integers(0, 9), code=st.sampled_from(["stored", "server", "field"]))
    def repeat_an_answer(self, number, code):
        """A server that answers what it has answered before, or was never asked."""
        identity = f"n{number}"
        session = self.bench.line.wire.server.protocol
        if code == "stored" and identity in self.bench.desk.stored:
            session.say(answers.stored(identity, self.bench.desk.stored[identity][0]))
        elif code == "server" and identity not in self.bench.desk.stored:
            session.say(answers.error("server", "The disk is full.", identity))
        elif code == "field" and self.bench.answered.get(identity):
            session.say(answers.error("field", "It is refused.", identity))

    @invariant()
    def each_is_told_once_and_what_is_true(self):
        if not hasattr(self, "bench"):
            return
        for identity, told in self.bench.answered.items():
            assert len(told) <= 1
            if told and not isinstance(told[0], Failure):
                assert told[0] == self.bench.desk.stored[identity][0]

    @invariant()
    def nothing_overtakes(self):
        if not hasattr(self, "bench"):
            return
        for one, other in combinations(self.bench.desk.order, 2):
            symbol, ticket, _ = self.asked[one]
            if self.asked[other][0] == symbol and (
                not ticket or self.asked[other][1] in ("", ticket)
            ):
                assert int(one[1:]) < int(other[1:])

    def teardown(self):
        if not hasattr(self, "bench"):
            return
        self.bench.desk.answer = "store"
        self.bench.line.wire.cut()
        self.bench.pass_time(60)
        assert self.bench.publisher.waiting == 0
        assert all(len(told) == 1 for told in self.bench.answered.values()), "every Deferred fires"
        self.each_is_told_once_and_what_is_true()
        self.nothing_overtakes()
        assert not any("Unhandled" in line for line in self.bench.told)
        asked = [each for each in self.bench.desk.heard if isinstance(each, Publish)]
        assert {each.id for each in asked} == set(self.asked)


def test_whatever_breaks_each_signal_is_stored_once_in_order_and_answered_once():
    case = Machine.TestCase()
    case.settings = settings(max_examples=RUNS, stateful_step_count=40, deadline=None)
    case.runTest()


def test_what_the_server_refuses_is_told_and_the_next_signal_goes_on(bench):
    bench.desk.answer = "field"
    bench.publish("GBPUSD", "1", id="open")
    bench.settle()
    bench.desk.answer = "store"
    bench.publish("GBPUSD", "2", id="more")
    bench.settle()
    (failure,) = bench.answered["open"]
    assert failure.check(ClientError)
    assert bench.answered["more"] == [1]
