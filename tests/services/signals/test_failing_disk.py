"""What publishers and followers learn when a commit fails, and what is stored then."""

import os
from decimal import Decimal

import pytest
from journal_damages import shell
from signals_peers import Disk
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.clock import WallClock
from mtnet.config.schema import Signals
from mtnet.errors import JournalError, WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Draft
from mtnet.services.signals.service import LOOK, Desk
from mtnet.storage import sqlite


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
    def __init__(self, folder, kind=Faulty):
        self.clock, self.tail, self.answers = Clock(), Tail(), []
        self.journal, self.disk = kind(folder / "signals.sqlite", 1_000), Disk()
        now = WallClock(lambda: 10**12 + int(self.clock.seconds() * 1000), self.clock.seconds)
        self.desk = Desk(Signals(), self.journal, self.clock, now, self.disk)
        self.desk.open()
        self.desk.audience.attach("main", self.tail)
        self.session = self.desk.join("session", StringTransport())
        self.master = self.desk.join("master", StringTransport())
        self.refused = []
        self.master.refuse = self.refused.append

    def hold(self):
        """Let calls of the journal wait, behind one that holds up what follows."""
        self.disk.held = True
        self.publish_in("hold", "hold")

    def work(self):
        self.disk.work()
        self.disk.held = False
        self.answers[:] = [each for each in self.answers if each[0] != "hold"]

    def publish(self, identity, volume="1", symbol="GBPUSD"):
        self.publish_in("main", identity, volume, symbol)

    def publish_in(self, channel, identity, volume="1", symbol="GBPUSD"):
        draft = Draft(channel, symbol, Decimal(volume), 0, id=identity)
        done = self.desk.publish(self.session, draft)
        done.addCallbacks(
            lambda seq: self.answers.append((identity, seq)),
            lambda failure: self.answers.append((identity, failure.value.code)),
        )

    def age(self):
        """Let a symbol that went flat grow so old that it expires."""
        self.publish("old", "0", "OLD")
        self.wait(8 * 86_400.0)

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


# Calls that fail beside commits, channels that are damaged, drafts that no commit takes


def fail_once(journal, name, monkeypatch):
    """Let a call of the journal fail as SQLite fails: nothing is known of it then."""
    really = getattr(journal._database, name)

    def fail(work):
        monkeypatch.setattr(journal._database, name, really)
        journal._database._abandon()
        raise JournalError("The file is locked.")

    monkeypatch.setattr(journal._database, name, fail)


def test_a_failed_expiry_is_repaired_at_once_and_followers_are_caught_up(office, monkeypatch):
    office.age()
    office.publish("a")
    fail_once(office.journal, "transaction", monkeypatch)
    office.desk._expire()
    assert not office.journal.unsettled, "nobody had to publish for that"
    assert office.stored == [("old", 0), ("a", 1)]
    assert office.desk.health()["trouble"] == "The file is locked."
    office.wait()
    assert office.desk.health()["healthy"]


def test_health_says_why_nothing_can_be_read_until_a_failed_call_is_repaired(office, monkeypatch):
    office.age()
    office.publish("a")
    fail_once(office.journal, "transaction", monkeypatch)
    office.journal.blind = 2
    office.desk._expire()
    assert office.desk.health()["trouble"] == "The disk is still gone."
    office.publish("b")
    assert office.answers == [("old", 1), ("a", 2)]
    office.wait()
    office.wait()
    assert office.answers == [("old", 1), ("a", 2), ("b", 3)]
    assert office.desk.health()["healthy"]


@pytest.fixture
def two_channels(office):
    office.publish("a")
    office.publish_in("gold", "g1", "2")
    office.publish_in("gold", "g2", "3", "XAUUSD")
    return office


CHANGES = [
    "UPDATE position SET body = x'00' WHERE channel = 'gold' AND symbol = 'GBPUSD'",
    "UPDATE channel SET digest = zeroblob(32) WHERE name = 'gold'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_damage_that_a_commit_meets_refuses_its_channel_and_no_other(two_channels, change):
    office = two_channels
    office.journal.close()
    office.journal.load()
    shell(office.journal.path, change)
    del office.answers[:]
    office.hold()
    office.publish_in("gold", "g3", "5")
    office.publish("b", "7")
    office.publish_in("gold", "g4", "6", "EURUSD")
    office.work()
    assert office.answers == [("g3", "server"), ("b", 2), ("g4", "server")]
    health = office.desk.health()
    assert (health["healthy"], health["damaged"]) == (False, ["gold"])
    assert "signals.sqlite, channel gold" in health["trouble"]
    with pytest.raises(WireError, match="channel gold") as refused:
        office.publish_in("gold", "g5", "1")
    assert str(office.journal.path.parent) not in str(refused.value)
    office.publish("c", "8")
    assert office.answers[-1] == ("c", 3)


def test_damage_that_a_look_behind_a_failed_commit_meets_lets_the_others_go_on(two_channels):
    office = two_channels
    del office.answers[:]
    office.hold()
    office.publish_in("gold", "g1", "2")
    office.publish("b", "7")
    office.disk.step()
    office.journal.before = 1
    shell(
        office.journal.path,
        "DELETE FROM known WHERE id = 'g2'",
        "UPDATE known SET seq = 2 WHERE id = 'g1'",
    )
    office.work()
    office.wait()
    assert office.answers == [("g1", "server"), ("b", "server")]
    office.publish("b", "7")
    office.wait()
    assert office.answers[-1] == ("b", 2)
    assert office.desk.health()["damaged"] == ["gold"]


def test_damage_that_the_daily_check_finds_refuses_the_channel_at_once(two_channels, log):
    office = two_channels
    shell(office.journal.path, "UPDATE known SET proof = zeroblob(32) WHERE channel = 'gold'")
    office.desk._inspection.start()
    for _ in range(20):
        office.wait()
    office.desk._inspection.stop()
    assert office.desk.health()["damaged"] == ["gold"]
    with pytest.raises(WireError, match="ids are changed"):
        office.publish_in("gold", "g3")
    office.publish("b")
    assert office.answers[-1] == ("b", 2)


class Poisoned(Faulty):
    """A journal of which each commit fails that holds one of some symbols."""

    poison = frozenset()
    commits = 0

    def commit(self, drafts, judge):
        self.commits += 1
        if self.poison & {draft.symbol for draft in drafts}:
            raise JournalError("This cannot be stored.")
        return super().commit(drafts, judge)


@pytest.fixture
def poisoned(tmp_path):
    return Office(tmp_path, Poisoned)


@pytest.mark.parametrize("place", [0, 7, 15])
def test_a_draft_that_lets_every_commit_fail_keeps_nobody_else_from_the_disk(poisoned, place):
    office, symbols = poisoned, [f"S{number}" for number in range(16)]
    office.journal.poison = {symbols[place]}
    office.hold()
    for symbol in symbols:
        office.submit(symbol, 1)
    office.work()
    for _ in range(4):
        office.wait()
    kept = {symbol for symbol in symbols if symbol != symbols[place]}
    assert set(office.desk.positions("main")) == kept
    (refused,) = office.refused
    assert "it alone lets every commit fail" in str(refused)
    assert office.desk.health()["healthy"]


def test_two_such_drafts_keep_nobody_else_from_the_disk(poisoned):
    office, symbols = poisoned, [f"S{number}" for number in range(16)]
    office.journal.poison = {"S3", "S12"}
    office.hold()
    for symbol in symbols:
        office.submit(symbol, 1)
    office.work()
    for _ in range(10):
        office.wait()
    assert len(office.desk.positions("main")) == 14
    assert len(office.refused) == 2


def test_newer_frames_of_a_symbol_stay_behind_one_that_is_tried_later(poisoned):
    office = poisoned
    other = office.desk.join("other", StringTransport())
    office.journal.poison = {"BAD"}
    office.hold()
    office.submit("BAD", 1)
    office.submit("GBPUSD", 1)
    office.desk.submit(other, "main", "GBPUSD", Decimal(2))
    office.work()
    for _ in range(4):
        office.wait()
    assert office.stored == [("", 1), ("", 2)]


def test_a_disk_that_takes_nothing_is_not_asked_for_each_draft(poisoned):
    office = poisoned
    office.journal.poison = {f"S{number}" for number in range(100)}
    office.hold()
    for symbol in sorted(office.journal.poison):
        office.submit(symbol, 1)
    office.work()
    for _ in range(63):
        office.wait()
    assert office.journal.commits < 64 + 5 * 10
    assert office.refused == []
    office.journal.poison = frozenset()
    office.wait()
    assert len(office.desk.positions("main")) == 100


# What nobody asks for: files that go away, heads that take no write


def test_a_folder_that_is_gone_is_told_by_health_before_anybody_publishes(office, tmp_path):
    office.desk.start()
    office.publish("a")
    tmp_path.rename(tmp_path.with_name("gone"))
    office.wait(LOOK)
    health = office.desk.health()
    assert not health["healthy"]
    assert "signals.sqlite is gone: " in health["trouble"]
    office.publish("b")
    office.wait()
    assert office.answers == [("a", 1), ("b", "server")]
    tmp_path.with_name("gone").rename(tmp_path)
    office.wait(LOOK)
    office.publish("b")
    office.wait()
    assert office.answers[-1] == ("b", 2)
    assert office.desk.health()["healthy"]
    office.desk._expiry.stop()


def test_heads_that_take_no_write_are_told_and_written_when_they_do(office, monkeypatch, log):
    office.desk.start()
    office.publish("a")
    heads = office.journal._heads

    def fail(found):
        raise JournalError(f"{heads.path} does not take the heads.")

    with monkeypatch.context() as patch:
        patch.setattr(heads, "write", fail)
        office.publish("b")
        office.wait(LOOK)
        assert office.answers[-1] == ("b", 2), "it is on the disk"
        assert office.desk.health()["trouble"].endswith("signals.heads does not take the heads.")
        office.wait(LOOK)
    complaints = [each for each in log if "the loss of the journal's end" in each["log_format"]]
    assert len(complaints) == 1
    office.wait(LOOK)
    assert office.desk.health()["healthy"]
    assert heads.read()["main"].seq == 2, "nobody had to publish for that"
    office.desk._expiry.stop()


def test_the_end_of_a_log_that_is_lost_is_found_without_a_commit(office):
    office.desk.start()
    office.publish("a")
    os.truncate(office.journal.path.with_name("signals.sqlite-wal"), 0)
    office.wait(LOOK)
    for _ in range(3):
        office.wait()
    health = office.desk.health()
    assert not health["healthy"]
    assert "signals.sqlite" in health["trouble"]
    office.desk._expiry.stop()


def test_a_full_disk_refuses_and_serves_and_goes_on_by_itself(office, tmp_path):
    office.publish("a")
    office.desk.start()
    full = pytest.MonkeyPatch()
    full.setattr(sqlite, "has_free_space", lambda folder: False)
    office.publish("b")
    assert office.answers == [("a", 1), ("b", "server")]
    office.journal.close()
    again = Office(tmp_path)
    assert again.stored == [("a", 1)]
    assert "signals.sqlite: database or disk is full" in again.desk.health()["trouble"]
    again.journal.close()
    full.undo()
    office.wait(LOOK)
    office.publish("b")
    office.wait()
    assert office.answers[-1] == ("b", 2)
    assert office.desk.health()["healthy"]
    office.desk._expiry.stop()


def test_a_disk_that_has_room_again_is_healthy_though_nobody_publishes(office):
    office.publish("a")
    office.desk.start()
    with pytest.MonkeyPatch.context() as full:
        full.setattr(sqlite, "has_free_space", lambda folder: False)
        office.publish("b")
        office.wait(LOOK)
        assert not office.desk.health()["healthy"]
    for _ in range(3):
        office.wait(LOOK)
    assert office.desk.health()["healthy"], office.desk.health()["trouble"]
    office.publish("c")
    assert office.answers == [("a", 1), ("b", "server"), ("c", 2)]
    office.desk._expiry.stop()


def test_a_disk_that_fails_on_stays_in_trouble(office):
    office.publish("a")
    office.desk.start()
    office.journal.before = 1_000
    office.publish("b")
    for _ in range(9):
        office.wait(LOOK)
    assert office.desk.health()["trouble"] == "The disk is full."
    office.desk._expiry.stop()
