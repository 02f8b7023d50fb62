"""Everybody is told everything in order, and nobody waits for a crowd."""

from decimal import Decimal

import pytest

from mtnet.net.output import queue
from mtnet.net.output.queue import SendQueue
from mtnet.services.signals.book import Change
from mtnet.services.signals.fanout import Batch, Fanout
from mtnet.services.signals.model import Entry
from mtnet.testing import TerminalTransport


class Tail:
    """One that follows every entry, and notes what it is told and when."""

    def __init__(self, name, notes):
        self.name, self.notes, self.then = name, notes, lambda: None
        self.position, self.shared = 0, None

    def committed(self, batch):
        self.notes.append((self.name, *(entry.seq for entry in batch.entries)))
        self.then()

    def announced(self, news):
        self.notes.append((self.name, news.text))


class Subscriber(Tail):
    """One that follows net positions."""

    def changed(self, change):
        self.notes.append((self.name, change.symbol))
        self.then()


class Harness:
    def __init__(self, clock):
        self.fanout, self.notes = Fanout(clock), []

    def tail(self, name, channel="main", symbols=None):
        tail = Tail(name, self.notes)
        tail.index = self.fanout.attach(channel, tail, symbols)
        return tail

    def subscriber(self, name, channel="main"):
        subscriber = Subscriber(name, self.notes)
        self.fanout.subscribe(channel, subscriber)
        return subscriber

    def tell(self, seq, channel="main", symbol="GBPUSD"):
        entry = Entry(channel, symbol, Decimal(seq), 0, seq=seq)
        change = Change(channel, symbol, Decimal(seq), 0)
        self.fanout.send(channel, Batch([entry], changes=[change]))


@pytest.fixture
def harness(clock):
    return Harness(clock)


@pytest.fixture
def slices(monkeypatch):
    monkeypatch.setattr(queue, "SLICE", 2)


def test_those_who_follow_entries_are_told_before_those_who_follow_positions(harness):
    harness.subscriber("published")
    harness.tail("a")
    harness.tail("b")
    harness.tell(1)
    assert harness.notes == [("a", 1), ("b", 1), ("published", "GBPUSD")]


def test_a_channel_is_told_to_its_own_followers(harness):
    harness.tail("a", "gold")
    harness.subscriber("b", "gold")
    harness.tell(1)
    harness.fanout.announce("main", b"up")
    assert harness.notes == []
    assert harness.fanout.count() == harness.fanout.count("gold") == 2
    assert harness.fanout.count("main") == 0


def test_a_crowd_is_told_in_slices_and_each_follower_in_order(harness, slices, clock):
    for name in "abc":
        harness.tail(name)
    for seq in (1, 2):
        harness.tell(seq)
    harness.fanout.announce("main", b"down")
    assert harness.notes == [("a", 1), ("b", 1)]
    clock.pump([0] * 9)
    for name in "abc":
        assert [what for who, what in harness.notes if who == name] == [1, 2, b"down"]
    assert clock.getDelayedCalls() == []


def test_a_slice_is_no_longer_when_one_telling_ends_in_it(harness, slices, clock):
    for name in "abc":
        harness.tail(name)
        harness.subscriber(f"published {name}")
    harness.tell(1)
    (turn,) = clock.getDelayedCalls()
    turn.func()
    assert [who for who, _ in harness.notes] == ["a", "b", "c", "published a"]


def test_a_follower_that_joins_during_a_broadcast_gets_only_later_entries(harness, slices, clock):
    for name in "abcd":
        harness.tail(name)
    harness.tell(1)
    harness.tail("late")
    harness.tell(2)
    clock.pump([0] * 9)
    assert [what for who, what in harness.notes if who == "late"] == [2]


def test_a_follower_that_leaves_during_a_broadcast_gets_nothing_more(harness, slices, clock):
    tails = [harness.tail(name) for name in "abcd"]
    harness.tell(1)
    harness.fanout.detach("main", tails[3])
    clock.pump([0] * 9)
    assert ("d", 1) not in harness.notes
    assert ("c", 1) in harness.notes


def test_one_that_fails_or_leaves_in_the_middle_keeps_nothing_from_the_others(harness, log):
    first, second = harness.tail("a"), harness.tail("b")
    harness.tail("c")

    def fail():
        harness.fanout.detach("main", second)
        raise ZeroDivisionError("a bug")

    first.then = fail
    harness.tell(1)
    assert harness.notes == [("a", 1), ("c", 1)]
    assert any("ZeroDivisionError" in str(event.get("log_failure")) for event in log)


def test_leaving_without_having_come_is_harmless(harness):
    harness.fanout.detach("nowhere", Tail("a", []))
    harness.fanout.unsubscribe("nowhere", Subscriber("a", []))


def test_after_the_close_nothing_is_told_and_no_timer_runs(harness, slices, clock):
    for name in "abcd":
        harness.tail(name)
    harness.tell(1)
    harness.fanout.close()
    clock.pump([0] * 5)
    assert len(harness.notes) == 2
    assert clock.getDelayedCalls() == []


class Shared(Tail):
    """One that is sent the same bytes as others with its encoder."""

    def __init__(self, clock, encoder):
        self.transport = TerminalTransport(clock, "127.0.0.1", "127.0.0.1")
        self.shared = SendQueue(self.transport, clock, 10_000, None, encoder)


def test_a_batch_is_encoded_once_for_all_with_the_same_encoder(harness, clock):
    encoded = []

    def upper(frames):
        encoded.append(frames)
        return frames.upper()

    tails = [Shared(clock, each) for each in (None, upper, upper, bytes.lower)]
    for tail in tails:
        harness.fanout.attach("main", tail)
    assert harness.fanout.count("main") == 4
    harness.tell(1)
    assert len(encoded) == 1
    said = [tail.transport.value() for tail in tails]
    frame = encoded[0]
    assert said == [frame, frame.upper(), frame.upper(), frame.lower()]
    harness.fanout.detach("main", tails[1])
    harness.tell(2)
    assert [tail.transport.value().lower().count(b"<<signal|") for tail in tails] == [2, 1, 2, 2]


def test_the_frames_of_a_batch_are_made_once(harness):
    entry = Entry("main", "GBPUSD", Decimal("1.50"), 7, seq=3, fields=(("comment", "a|b"),))
    batch = Batch([entry, entry])
    frame = b"<<SIGNAL|channel=main|seq=3|symbol=GBPUSD|volume=1.50|time=7|comment=a%7Cb>>\r\n"
    assert batch.text == frame * 2
    assert batch.frames is batch.frames


def test_a_follower_of_other_symbols_is_not_called(harness):
    harness.tail("all")
    harness.tail("pounds", symbols=frozenset(["GBPUSD", "GBPJPY"]))
    euros = harness.tail("euros", symbols=frozenset(["EURUSD"]))
    harness.tell(1)
    harness.tell(2, symbol="EURUSD")
    harness.fanout.detach("main", euros)
    harness.tell(3, symbol="EURUSD")
    assert harness.notes == [("all", 1), ("pounds", 1), ("all", 2), ("euros", 2), ("all", 3)]
    assert harness.fanout.count("main") == 2


def test_a_commit_of_several_symbols_is_sent_once_to_those_who_want_two_of_them(harness):
    harness.tail("both", symbols=frozenset(["GBPUSD", "EURUSD"]))
    entries = [Entry("main", each, Decimal(1), 0, seq=n) for n, each in enumerate(SYMBOLS, 1)]
    harness.fanout.send("main", Batch(entries))
    assert harness.notes == [("both", 1, 2, 3)]


SYMBOLS = ("GBPUSD", "USDJPY", "EURUSD")


def test_what_a_filter_leaves_out_counts_as_sent_behind_all_that_waits(harness, clock, slices):
    pounds = [harness.tail(f"{n}", symbols=frozenset(["GBPUSD"])) for n in range(3)]
    harness.tell(1)
    harness.tell(2, symbol="EURUSD")
    assert pounds[0].index.sequence == 0, "one of them was not sent the first yet"
    clock.advance(0)
    assert pounds[0].index.sequence == 2
