"""A publisher that was handed its account's positions keeps the channel equal to them."""

import os
from decimal import Decimal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from msgspec.structs import replace
from publishing import Harness
from twisted.internet.interfaces import IReactorCore, IReactorTime
from zope.interface import directlyProvides

from mtnet.client import Holdings, Position
from mtnet.client.core.reconciliation import Counted, Reconciliation
from mtnet.errors import ClientError
from mtnet.services.signals.wire import answers
from mtnet.services.signals.wire.requests import Publish, Subscribe

RUNS = int(os.environ.get("MTNET_TEST_RUNS", "100"))


class Account:
    """What an account holds, and a publisher that was handed it."""

    def __init__(self, shown=(), held=()):
        self.held = list(held)
        self.harness = Harness(positions=self.count)
        self.server = self.harness.server
        for position in shown:
            self.show(position)

    def show(self, position):
        """Let the channel show a position, before anybody asks."""
        fields = tuple(sorted(position.fields.items()))
        key = position.symbol, position.ticket
        self.server.book[key] = Decimal(position.volume), {"type": position.type, "fields": fields}

    def count(self):
        if isinstance(self.held, Exception):
            raise self.held
        return self.held

    @property
    def published(self):
        return self.server.published


def lots(**volumes):
    return [Position(symbol, volume) for symbol, volume in volumes.items()]


# After each connection


def test_what_the_channel_shows_otherwise_is_published_closes_first():
    account = Account(lots(A="1", B="3", C="1", D="1"), lots(A="1", B="2", D="-1", E="1", C="0"))
    account.harness.settle()
    assert account.published == ["C 0", "B 2", "D -1", "E 1"]
    account.harness.line.connection.cut()
    account.harness.pass_time(30)
    assert len(account.published) == 4, "the next connection finds them equal"


def test_a_position_that_the_account_lacks_is_closed_by_the_second_counting():
    account = Account(lots(A="1", B="2"), lots(A="1"))
    account.harness.pass_time(9.5)
    assert account.published == []
    account.harness.pass_time(2)
    assert account.published == ["B 0"]


def test_a_terminal_that_loads_late_flattens_nobody():
    account = Account(lots(A="1", B="2"), [])
    account.harness.pass_time(5)
    account.held = lots(A="1", B="2")
    account.harness.pass_time(60)
    assert account.published == []


def test_each_connection_counts_anew():
    account = Account(lots(A="1"), [])
    for _ in range(5):
        account.harness.pass_time(8)
        account.harness.line.connection.cut()
    assert account.published == []


def test_an_account_that_is_certainly_empty_twice_is_flat():
    account = Account(lots(A="1", B="2"))
    account.held = Holdings([], flat=True)
    account.harness.pass_time(9.5)
    assert account.published == []
    account.harness.pass_time(11)
    assert account.published == ["A 0", "B 0"]


def test_what_is_not_known_yet_is_counted_later():
    account = Account(lots(A="1"), lots(A="2"))
    account.held = None
    account.harness.pass_time(60)
    assert account.published == []
    account.held = lots(A="2")
    account.harness.pass_time(11)
    assert account.published == ["A 2"]


@pytest.mark.parametrize(
    "held",
    [
        [*lots(A="1"), Position("B", "nan")],
        [*lots(A="1"), Position("B|C", "1")],
        [*lots(A="1"), Position("A", "2")],
        ValueError("no terminal"),
        17,
    ],
)
def test_a_counting_that_is_wrong_anywhere_counts_for_nothing(held):
    account = Account(lots(A="3", B="2"))
    account.held = held
    account.harness.pass_time(60)
    assert account.published == []
    assert set(account.harness.told) == {"positions"}
    account.held = lots(A="1", B="2")
    account.harness.pass_time(11)
    assert account.published == ["A 1"]


@pytest.mark.parametrize(
    ("shown", "held"),
    [
        (Position("A", "1", sl="1.1"), Position("A", "1.0", sl="1.10")),
        (Position("A", "0.3"), Position("A", "0.30000000000000004")),
        (Position("A", "1", price="1.5"), Position("A", Decimal(1), price="1.5", ptime="99")),
        (Position("A", "1", comment="x"), Position("A", "1", comment="x")),
    ],
)
def test_equal_by_value_is_equal(shown, held):
    account = Account([shown], [held])
    account.harness.pass_time(30)
    assert account.published == []


@pytest.mark.parametrize(
    "held",
    [
        Position("A", "1", sl="1.2"),
        Position("A", "1"),
        Position("A", "1", sl="1.1", comment="x"),
        Position("A", "1", sl="1.1", type="buy_limit"),
    ],
)
def test_another_stop_comment_or_type_is_a_difference(held):
    account = Account([Position("A", "1", sl="1.1")], [held])
    account.harness.settle()
    assert account.published == ["A 1"]


def test_a_symbol_goes_from_net_to_tickets_once_it_is_flat():
    account = Account(lots(A="1"), [Position("A", "1", "7"), Position("B", "1")])
    account.harness.settle()
    assert account.published == ["B 1"]
    account.harness.pass_time(11)
    assert account.published == ["B 1", "A 0", "A/7 1"]


def test_what_is_on_its_way_is_not_published_again():
    account = Account([], lots(A="2"))
    account.harness.publish("A", "1")
    account.harness.publish("A", "2")
    account.harness.pass_time(30)
    assert account.published == ["A 1", "A 2"]


def test_in_a_channel_that_is_not_there_everything_is_published():
    account = Account([], lots(A="2"))
    account.server.book = None
    account.harness.settle()
    assert account.published == ["A 2"]
    account.harness.say(answers.channels(["main"]))
    assert sum(isinstance(each, Subscribe) for each in account.server.heard) == 2
    account.harness.pass_time(60)
    assert account.published == ["A 2"]


def test_without_positions_nothing_is_closed_and_nothing_subscribed_to():
    harness = Harness()
    harness.server.book = {("A", ""): (Decimal(1), {})}
    harness.pass_time(5)
    harness.say(answers.paused("main", "frozen"), answers.resumed("main"))
    harness.pass_time(60)
    assert harness.told == ["frozen", "resumed"]
    assert harness.server.published == []
    assert not any(isinstance(each, Subscribe) for each in harness.server.heard)


# Pauses


def test_when_a_pause_ends_the_whole_state_is_published():
    account = Account(lots(A="1"), lots(A="1"))
    account.harness.pass_time(1)
    account.server.flatten()
    account.harness.pass_time(30)
    assert account.published == [], "a person has closed it"
    account.server.pause(None)
    account.harness.settle()
    assert account.published == ["A 1"]
    assert account.harness.told == ["flattened", "close_only", "resumed"]


def test_a_close_that_was_missed_in_a_pause_is_counted_twice_when_it_ends():
    account = Account(lots(A="1"), lots(A="1"))
    account.harness.pass_time(1)
    account.server.pause("frozen")
    account.held = Holdings([], flat=True)
    account.harness.pass_time(30)
    assert account.published == []
    account.server.pause(None)
    account.harness.pass_time(5)
    assert account.published == []
    account.harness.pass_time(6)
    assert account.published == ["A 0"]


def test_a_freeze_that_becomes_close_only_is_answered_by_the_closes():
    account = Account(lots(A="3", B="1"), lots(A="3", B="1"))
    account.harness.pass_time(1)
    account.server.pause("frozen")
    account.held = lots(A="1", B="2", C="1", D="0")
    account.harness.pass_time(1)
    account.server.pause("close_only")
    account.harness.pass_time(30)
    assert account.published == ["A 1"]
    account.server.pause(None)
    account.harness.settle()
    assert account.published == ["A 1", "B 2", "C 1"]


def test_close_only_by_itself_is_answered_by_nothing():
    account = Account(lots(A="3"), lots(A="3"))
    account.harness.pass_time(1)
    account.held = lots(A="1")
    account.server.pause("close_only")
    account.harness.pass_time(30)
    assert account.published == []


def test_a_fenced_publisher_answers_no_resumed_and_does_not_come_back():
    account = Account([], lots(A="1"))
    account.server.answer = "fenced"
    account.harness.settle()
    assert account.harness.told == ["fenced main"]
    account.harness.say(answers.resumed("main"))
    account.harness.pass_time(900)
    assert account.published == ["A 1"]
    assert len(account.harness.line.connections) == 1
    assert not account.harness.clock.getDelayedCalls()


def test_what_is_refused_of_the_whole_state_is_told():
    account = Account([], lots(A="1"))
    account.server.answer = "field"
    account.harness.settle()
    assert account.harness.told == ["field"]


# Whatever happens


class Machine(RuleBasedStateMachine):
    """Trades, pauses, refusals and breaks in any order; then faults stop."""

    @initialize(shown=st.dictionaries(st.sampled_from("ABC"), st.sampled_from(["1", "-2"])))
    def begin(self, shown):
        self.account = Account(lots(**shown))
        self.held = {}

    def hold(self):
        found = [Position(symbol, volume, ticket) for (symbol, ticket), volume in self.held.items()]
        self.account.held = Holdings(found, flat=not found)

    @rule(
        key=st.sampled_from([("A", ""), ("B", ""), ("C", "1"), ("C", "2")]),
        volume=st.integers(-2, 3),
    )
    def trade(self, key, volume):
        """The account trades, and its program publishes it or not."""
        self.held.pop(key, None)
        if volume:
            self.held[key] = str(volume)
        self.hold()

    @rule(number=st.integers(0, 3))
    def publish(self, number):
        keys = list(self.held)
        if number < len(keys):
            symbol, ticket = keys[number]
            self.account.harness.publish(symbol, self.held[symbol, ticket], ticket=ticket)

    @rule(known=st.booleans())
    def load(self, known):
        if known:
            self.hold()
        else:
            self.account.held = None

    @rule(mode=st.sampled_from(["close_only", "frozen", None]))
    def pause(self, mode):
        self.account.server.pause(mode)

    @rule()
    def flatten(self):
        self.account.server.flatten()

    @rule(answer=st.sampled_from(["store", "twice", "silent", "server", "field"]))
    def behave(self, answer):
        self.account.server.answer = answer

    @rule()
    def cut(self):
        self.account.harness.line.connection.cut()
        self.account.server.followers.clear()

    @rule(seconds=st.sampled_from([0.5, 3, 11]))
    def wait(self, seconds):
        self.account.harness.pass_time(seconds)

    def teardown(self):
        if not hasattr(self, "account"):
            return
        self.hold()
        self.account.server.answer = "store"
        self.cut()
        self.account.harness.pass_time(60)
        self.account.server.pause(None)
        self.account.harness.pass_time(60)
        shown = {key: str(volume) for key, (volume, _) in self.account.server.book.items()}
        assert shown == self.held


def test_whatever_happens_the_channel_ends_equal_to_the_account():
    case = Machine.TestCase()
    case.settings = settings(max_examples=RUNS, stateful_step_count=30, deadline=None)
    case.runTest()


# The rule itself


def test_a_position_is_missing_from_the_first_counting_in_a_row_that_lacks_it():
    reconciliation = Reconciliation()
    channel = {("A", ""): Publish("", "A", Decimal(1))}
    assert reconciliation.compare(Counted([]), channel, 0.0) == []
    assert reconciliation.compare(Counted([channel["A", ""]]), channel, 8.0) == []
    assert not reconciliation.unsure
    assert reconciliation.compare(Counted([]), channel, 12.0) == []
    assert reconciliation.unsure
    assert reconciliation.compare(Counted([]), channel, 22.0) == []
    assert reconciliation.unproven
    (close,) = reconciliation.compare(Counted([], flat=True), channel, 22.0)
    assert (close.symbol, close.volume) == ("A", 0)


def test_two_positions_of_one_name_are_refused():
    both = [Publish("", "A", Decimal(1), ticket="7"), Publish("", "A", Decimal(2), ticket="7")]
    with pytest.raises(ClientError, match="A 7 twice"):
        Reconciliation().compare(Counted(both), {}, 0.0)


# What must not be closed


@pytest.mark.parametrize("held", [[], (), Holdings([]), lots(C="0"), Holdings(lots(C="0"))])
def test_an_account_without_a_position_closes_nothing_until_it_is_sure(held):
    account = Account(lots(A="1", B="2", C="3"))
    account.held = held
    account.harness.pass_time(300)
    assert [each for each in account.published if each != "C 0"] == []
    assert set(account.harness.told) == {"positions"}, "a person can see why"
    account.held = Holdings([], flat=True)
    account.harness.pass_time(22)
    assert {"A 0", "B 0"} <= set(account.published)


def test_an_account_without_a_position_is_no_error_where_the_channel_has_none():
    account = Account()
    account.held = []
    account.harness.pass_time(60)
    assert account.harness.told == []


def test_another_account_is_counted_anew():
    account = Account(lots(A="1", B="2"))
    account.held = Holdings(lots(B="2"), account="1@Broker")
    account.harness.pass_time(5)
    account.held = Holdings(lots(B="2"), account="2@Broker")
    account.harness.pass_time(15)
    assert account.published == []
    account.harness.pass_time(8)
    assert account.published == ["A 0"]


def test_a_clock_that_is_set_closes_nothing_early(monkeypatch):
    account = Account(lots(A="1", B="2"), lots(B="2"))
    monkeypatch.setattr("mtnet.client.failures.time.monotonic", lambda: 1.0)
    directlyProvides(account.harness.clock, IReactorTime, IReactorCore)  # as a reactor
    account.harness.settle()
    account.harness.clock.advance(3600)
    account.harness.settle()
    assert account.published == []


def test_a_second_publisher_cannot_state_the_positions_of_the_first():
    with pytest.raises(ClientError, match="take"):
        Harness(positions=list, take="0")


# What is stored late


def test_what_was_stored_before_the_snapshot_says_nothing_about_what_came_after():
    account = Account([], lots(A="1"))
    account.server.answer = "silent"
    account.harness.settle()
    account.harness.line.connection.cut()
    ((identity, (seq, _)),) = account.server.stored.items()
    account.server._enter(Publish("", "A", Decimal(0)))  # somebody else closes it meanwhile
    account.harness.pass_time(5)
    account.server.answer = "store"
    account.harness.say(answers.stored(identity, seq))
    account.harness.pass_time(60)
    assert {key: str(lots) for key, (lots, _) in account.server.book.items()} == {("A", ""): "1"}


# Stopped, and programs that fail


@pytest.mark.parametrize(
    ("name", "happen"),
    [
        ("connected", lambda account: account.harness.line.connection.cut()),
        ("lost", lambda account: account.harness.line.connection.cut()),
        ("trouble", lambda account: setattr(account.server, "answer", "server")),
        ("fenced", lambda account: setattr(account.server, "answer", "fenced")),
        ("paused", lambda account: account.server.pause("frozen")),
        ("flattened", lambda account: account.server.flatten()),
        ("notice", lambda account: account.harness.say(answers.notice("Good night."))),
        ("error", lambda account: setattr(account.server, "answer", "field")),
        ("error", lambda account: setattr(account, "held", ValueError("no terminal"))),
    ],
)
def test_a_publisher_may_be_stopped_in_every_callback(name, happen):
    account = Account(lots(A="1"), lots(A="2"))
    publisher = account.harness.publisher
    publisher._on = replace(publisher._on, **{name: lambda *_: publisher.stopService()})
    account.harness.settle()
    account.held = lots(A="3", B="1")
    happen(account)
    account.server.tell(answers.resumed("main"))
    account.harness.pass_time(4)
    assert publisher.stopped
    assert publisher.waiting == 0
    assert not account.harness.clock.getDelayedCalls()


def test_a_publisher_may_be_stopped_while_it_counts():
    account = Account(lots(A="1"))

    def count():
        account.harness.publisher.stopService()
        return lots(A="2")

    account.harness.publisher._core._reconciler._positions = count
    account.harness.pass_time(30)
    assert account.published == []
    assert not account.harness.clock.getDelayedCalls()


def test_a_program_that_fails_when_it_is_told_of_an_error_is_counted_again():
    account = Account(lots(A="1"))
    account.held = ValueError("no terminal")

    def fail(code, text):
        raise RuntimeError(text)

    publisher = account.harness.publisher
    publisher._on = replace(publisher._on, error=fail)
    with pytest.raises(RuntimeError):
        account.harness.settle()
    account.held = lots(A="2")
    account.harness.pass_time(12)
    assert account.published == ["A 2"]
