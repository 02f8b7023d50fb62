"""What publishers and followers learn when a commit fails, and what is stored then."""

from decimal import Decimal

import pytest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.errors import JournalError, WireError
from mtnet.settings import Signals
from mtnet.signals.desk import Desk
from mtnet.signals.entries import Draft
from mtnet.signals.journal import Journal


class Faulty(Journal):
    """
    A journal whose disk fails when the test says so.

    Attributes:
        before, after: commits that fail before, or after, they are on the disk.
        blind: calls of `recover` that fail.
    """

    before = after = blind = 0

    def commit(self, drafts, judge):
        if self.before:
            self.before -= 1
            raise JournalError("The disk is full.")
        outcomes = super().commit(drafts, judge)
        if self.after:
            self.after -= 1
            raise JournalError("The disk did not answer.")
        return outcomes

    def recover(self, known):
        if self.blind:
            self.blind -= 1
            raise JournalError("The disk is still gone.")
        return super().recover(known)


class Tail:
    shared = None

    def __init__(self):
        self.seqs = []

    def committed(self, batch):
        self.seqs += [entry.seq for entry in batch.entries]

    def provider(self, up, since):
        pass


class Office:
    def __init__(self, folder):
        self.clock, self.tail, self.answers = Clock(), Tail(), []
        self.journal = Faulty(folder / "signals.sqlite", 1_000)
        self.desk = Desk(Signals(), self.journal, self.clock, lambda: 10**12, maybeDeferred)
        self.desk.open()
        self.desk.audience.attach("main", self.tail)
        self.session = self.desk.join("session", StringTransport())
        self.master = self.desk.join("master", StringTransport())
        self.refused = []
        self.master.refuse = self.refused.append

    def publish(self, identity, volume="1", symbol="GBPUSD"):
        draft = Draft("main", symbol, Decimal(volume), 0, id=identity)
        done = self.desk.publish(self.session, draft)
        done.addCallbacks(
            lambda seq: self.answers.append((identity, seq)),
            lambda failure: self.answers.append((identity, failure.value.code)),
        )

    def submit(self, symbol, volume):
        self.desk.submit(self.master, "main", symbol, Decimal(volume))

    def wait(self, seconds=1.0):
        self.clock.advance(seconds)

    @property
    def stored(self):
        return [(entry.id, entry.volume) for entry in self.journal.read("main", 0, 100)]


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path)


def test_a_signal_that_the_disk_refused_is_certainly_not_stored_and_may_come_again(office):
    office.journal.before = 1
    office.publish("a")
    assert office.answers == [("a", "server")]
    assert office.stored == []
    assert not office.desk.health()["healthy"]
    office.publish("a")
    office.wait()
    assert office.answers == [("a", "server"), ("a", 1)]
    assert office.tail.seqs == [1]
    assert office.desk.health()["healthy"]


def test_a_commit_that_failed_and_is_on_the_disk_all_the_same_is_answered_as_stored(office):
    office.journal.after = 1
    office.publish("a")
    assert office.answers == [("a", 1)]
    assert office.tail.seqs == [1]
    office.publish("a")
    office.wait()
    assert office.answers == [("a", 1), ("a", 1)]
    assert office.tail.seqs == [1]


def test_nobody_is_answered_before_it_is_known_what_came_of_a_commit(office):
    office.journal.after, office.journal.blind = 1, 3
    office.publish("a")
    for _ in range(2):
        office.wait()
        assert office.answers == []
        assert office.tail.seqs == []
    office.wait()
    assert office.answers == [("a", 1)]
    assert office.tail.seqs == [1]


def test_what_comes_while_nothing_is_known_waits_and_is_stored_in_its_order(office):
    office.journal.before, office.journal.blind = 1, 2
    office.publish("a", "1")
    office.publish("b", "2")
    for _ in range(4):
        office.wait()
    assert office.answers == [("a", "server"), ("b", 1)]
    assert office.stored == [("b", Decimal(2))]


def test_of_published_frames_the_newest_of_each_symbol_is_stored_later(office):
    office.journal.before = 5
    for volume in range(1, 4):
        office.submit("GBPUSD", volume)
        office.submit("EURUSD", -volume)
        office.wait()
    for _ in range(6):
        office.wait()
    assert {s: p.volume for s, p in office.desk.positions("main").items()} == {
        "GBPUSD": 3,
        "EURUSD": -3,
    }
    assert office.refused == []


def test_a_published_frame_that_landed_in_a_failed_commit_is_told_once(office):
    office.journal.after = 1
    office.submit("GBPUSD", 1)
    for _ in range(3):
        office.wait()
    assert office.tail.seqs == [1]
    assert len(office.stored) == 1


def test_a_resent_signal_is_stored_though_the_disk_refuses_new_ones(office):
    office.publish("a")
    office.journal.before = 1
    office.publish("a")
    office.publish("b")
    office.wait()
    assert office.answers[:2] == [("a", 1), ("a", 1)]


def test_a_stop_while_the_disk_refuses_answers_nobody_wrongly(office):
    office.journal.after, office.journal.blind = 1, 100
    office.publish("a")
    done = []
    Deferred.fromCoroutine(office.desk.close()).addBoth(done.append)
    assert done == [None]
    assert ("a", "server") not in office.answers, "it is stored"
    with pytest.raises(WireError, match="stopping"):
        office.publish("b")
