"""What publishers and followers learn when a commit fails, and what is stored then."""

import os
from decimal import Decimal

import pytest
from fakes.threads import ManualThread
from journal_damages import shell
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from mtnet.clock import WallClock
from mtnet.errors import JournalError, WireError
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.upkeep import EXPIRY, LOOK, Upkeep
from mtnet.services.signals.model import Entry
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.status.report import Status
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


class Harness:
    def __init__(self, folder, kind=Faulty):
        self.clock, self.tail, self.answers = Clock(), Tail(), []
        self.journal, self.disk = kind(folder / "signals.sqlite", 1_000), ManualThread(held=False)
        now = WallClock(lambda: 10**12 + int(self.clock.seconds() * 1000), self.clock.seconds)
        self.signals = SignalService(SignalSettings(), self.journal, self.clock, now, self.disk)
        self.upkeep = Upkeep(self.signals, self.clock)
        self.signals.open()
        self.signals.fanout.attach("main", self.tail)
        self.session = self.signals.join("session", StringTransport())
        self.master = self.signals.join("master", StringTransport())
        self.refused = []
        self.master.refuse = self.refused.append

    def start(self):
        self.upkeep.start()
        self.signals.start()

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
        draft = Entry(channel, symbol, Decimal(volume), 0, id=identity)
        done = self.signals.publish(self.session, draft)
        done.addCallbacks(
            lambda seq: self.answers.append((identity, seq)),
            lambda failure: self.answers.append((identity, failure.value.code)),
        )

    def age(self):
        """Let a symbol that went flat grow so old that it expires."""
        self.publish("old", "0", "OLD")
        self.wait(8 * 86_400.0)

    def submit(self, symbol, volume):
        self.signals.submit(self.master, "main", symbol, Decimal(volume))

    def wait(self, seconds=1.0):
        self.clock.advance(seconds)

    @property
    def stored(self):
        return [(entry.id, entry.volume) for entry in self.journal.read("main", 0, 100)]


@pytest.fixture
def harness(tmp_path):
    return Harness(tmp_path)


def test_a_signal_that_the_disk_refused_is_certainly_not_stored_and_may_come_again(harness):
    harness.journal.before = 1
    harness.publish("a")
    assert harness.answers == [("a", "server")]
    assert harness.stored == []
    assert not Status(harness.signals).health()["healthy"]
    harness.publish("a")
    harness.wait()
    assert harness.answers == [("a", "server"), ("a", 1)]
    assert harness.tail.seqs == [1]
    assert Status(harness.signals).health()["healthy"]


def test_a_commit_that_failed_and_is_on_the_disk_all_the_same_is_answered_as_stored(harness):
    harness.journal.after = 1
    harness.publish("a")
    assert harness.answers == [("a", 1)]
    assert harness.tail.seqs == [1]
    harness.publish("a")
    harness.wait()
    assert harness.answers == [("a", 1), ("a", 1)]
    assert harness.tail.seqs == [1]


def test_nobody_is_answered_before_it_is_known_what_came_of_a_commit(harness):
    harness.journal.after, harness.journal.blind = 1, 3
    harness.publish("a")
    for _ in range(2):
        harness.wait()
        assert harness.answers == []
        assert harness.tail.seqs == []
    harness.wait()
    assert harness.answers == [("a", 1)]
    assert harness.tail.seqs == [1]


def test_what_comes_while_nothing_is_known_waits_and_is_stored_in_its_order(harness):
    harness.journal.before, harness.journal.blind = 1, 2
    harness.publish("a", "1")
    harness.publish("b", "2")
    for _ in range(4):
        harness.wait()
    assert harness.answers == [("a", "server"), ("b", 1)]
    assert harness.stored == [("b", Decimal(2))]


def test_of_classic_frames_the_newest_of_each_symbol_is_stored_later(harness):
    harness.journal.before = 5
    for volume in range(1, 4):
        harness.submit("GBPUSD", volume)
        harness.submit("EURUSD", -volume)
        harness.wait()
    for _ in range(6):
        harness.wait()
    assert {s: p.volume for s, p in harness.signals.positions("main").items()} == {
        "GBPUSD": 3,
        "EURUSD": -3,
    }
    assert harness.refused == []


def test_a_classic_frame_that_landed_in_a_failed_commit_is_told_once(harness):
    harness.journal.after = 1
    harness.submit("GBPUSD", 1)
    for _ in range(3):
        harness.wait()
    assert harness.tail.seqs == [1]
    assert len(harness.stored) == 1


def test_a_resent_signal_is_stored_though_the_disk_refuses_new_ones(harness):
    harness.publish("a")
    harness.journal.before = 1
    harness.publish("a")
    harness.publish("b")
    harness.wait()
    assert harness.answers[:2] == [("a", 1), ("a", 1)]


def test_a_stop_while_the_disk_refuses_answers_nobody_wrongly(harness):
    harness.journal.after, harness.journal.blind = 1, 100
    harness.publish("a")
    done = []
    Deferred.fromCoroutine(harness.signals.close()).addBoth(done.append)
    assert done == [None]
    assert ("a", "server") not in harness.answers, "it is stored"
    with pytest.raises(WireError, match="stopping"):
        harness.publish("b")


# Calls that fail beside commits, channels that are damaged, drafts that no commit takes


def fail_once(journal, name, monkeypatch):
    """Let a call of the journal fail as SQLite fails: nothing is known of it then."""
    really = getattr(journal.database, name)

    def fail(work):
        monkeypatch.setattr(journal.database, name, really)
        journal.database._abandon()
        raise JournalError("The file is locked.")

    monkeypatch.setattr(journal.database, name, fail)


def test_a_failed_expiry_is_repaired_at_once_and_followers_are_caught_up(harness, monkeypatch):
    harness.age()
    harness.publish("a")
    fail_once(harness.journal, "transaction", monkeypatch)
    harness.upkeep.expire()
    assert not harness.journal.needs_recovery, "nobody had to publish for that"
    assert harness.stored == [("old", 0), ("a", 1)]
    assert Status(harness.signals).health()["trouble"] == "The file is locked."
    harness.wait()
    assert Status(harness.signals).health()["healthy"]


def test_health_says_why_nothing_can_be_read_until_a_failed_call_is_repaired(harness, monkeypatch):
    harness.age()
    harness.publish("a")
    fail_once(harness.journal, "transaction", monkeypatch)
    harness.journal.blind = 2
    harness.upkeep.expire()
    assert Status(harness.signals).health()["trouble"] == "The disk is still gone."
    harness.publish("b")
    assert harness.answers == [("old", 1), ("a", 2)]
    harness.wait()
    harness.wait()
    assert harness.answers == [("old", 1), ("a", 2), ("b", 3)]
    assert Status(harness.signals).health()["healthy"]


@pytest.fixture
def two_channels(harness):
    harness.publish("a")
    harness.publish_in("gold", "g1", "2")
    harness.publish_in("gold", "g2", "3", "XAUUSD")
    return harness


CHANGES = [
    "UPDATE position SET body = x'00' WHERE channel = 'gold' AND symbol = 'GBPUSD'",
    "UPDATE channel SET digest = zeroblob(32) WHERE name = 'gold'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_damage_that_a_commit_meets_refuses_its_channel_and_no_other(two_channels, change):
    harness = two_channels
    harness.journal.close()
    harness.journal.load()
    shell(harness.journal.path, change)
    del harness.answers[:]
    harness.hold()
    harness.publish_in("gold", "g3", "5")
    harness.publish("b", "7")
    harness.publish_in("gold", "g4", "6", "EURUSD")
    harness.work()
    assert harness.answers == [("g3", "server"), ("b", 2), ("g4", "server")]
    health = Status(harness.signals).health()
    assert (health["healthy"], health["damaged"]) == (False, ["gold"])
    assert "signals.sqlite, channel gold" in health["trouble"]
    with pytest.raises(WireError, match="channel gold") as refused:
        harness.publish_in("gold", "g5", "1")
    assert str(harness.journal.path.parent) not in str(refused.value)
    harness.publish("c", "8")
    assert harness.answers[-1] == ("c", 3)


def test_damage_that_a_look_behind_a_failed_commit_meets_lets_the_others_go_on(two_channels):
    harness = two_channels
    del harness.answers[:]
    harness.hold()
    harness.publish_in("gold", "g1", "2")
    harness.publish("b", "7")
    harness.disk.step()
    harness.journal.before = 1
    shell(
        harness.journal.path,
        "DELETE FROM known WHERE id = 'g2'",
        "UPDATE known SET seq = 2 WHERE id = 'g1'",
    )
    harness.work()
    harness.wait()
    assert harness.answers == [("g1", "server"), ("b", "server")]
    harness.publish("b", "7")
    harness.wait()
    assert harness.answers[-1] == ("b", 2)
    assert Status(harness.signals).health()["damaged"] == ["gold"]


def test_damage_that_the_daily_check_finds_refuses_the_channel_at_once(two_channels, log):
    harness = two_channels
    shell(harness.journal.path, "UPDATE known SET proof = zeroblob(32) WHERE channel = 'gold'")
    harness.signals.worker.scrubber.start()
    for _ in range(20):
        harness.wait()
    harness.signals.worker.scrubber.stop()
    assert Status(harness.signals).health()["damaged"] == ["gold"]
    with pytest.raises(WireError, match="ids are changed"):
        harness.publish_in("gold", "g3")
    harness.publish("b")
    assert harness.answers[-1] == ("b", 2)


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
    return Harness(tmp_path, Poisoned)


@pytest.mark.parametrize("place", [0, 7, 15])
def test_a_draft_that_lets_every_commit_fail_keeps_nobody_else_from_the_disk(poisoned, place):
    harness, symbols = poisoned, [f"S{number}" for number in range(16)]
    harness.journal.poison = {symbols[place]}
    harness.hold()
    for symbol in symbols:
        harness.submit(symbol, 1)
    harness.work()
    for _ in range(4):
        harness.wait()
    kept = {symbol for symbol in symbols if symbol != symbols[place]}
    assert set(harness.signals.positions("main")) == kept
    (refused,) = harness.refused
    assert "it alone lets every commit fail" in str(refused)
    assert Status(harness.signals).health()["healthy"]


def test_two_such_drafts_keep_nobody_else_from_the_disk(poisoned):
    harness, symbols = poisoned, [f"S{number}" for number in range(16)]
    harness.journal.poison = {"S3", "S12"}
    harness.hold()
    for symbol in symbols:
        harness.submit(symbol, 1)
    harness.work()
    for _ in range(10):
        harness.wait()
    assert len(harness.signals.positions("main")) == 14
    assert len(harness.refused) == 2


def test_newer_frames_of_a_symbol_stay_behind_one_that_is_tried_later(poisoned):
    harness = poisoned
    other = harness.signals.join("other", StringTransport())
    harness.journal.poison = {"BAD"}
    harness.hold()
    harness.submit("BAD", 1)
    harness.submit("GBPUSD", 1)
    harness.signals.submit(other, "main", "GBPUSD", Decimal(2))
    harness.work()
    for _ in range(4):
        harness.wait()
    assert harness.stored == [("", 1), ("", 2)]


def test_a_disk_that_takes_nothing_is_not_asked_for_each_draft(poisoned):
    harness = poisoned
    harness.journal.poison = {f"S{number}" for number in range(100)}
    harness.hold()
    for symbol in sorted(harness.journal.poison):
        harness.submit(symbol, 1)
    harness.work()
    for _ in range(63):
        harness.wait()
    assert harness.journal.commits < 64 + 5 * 10
    assert harness.refused == []
    harness.journal.poison = frozenset()
    harness.wait()
    assert len(harness.signals.positions("main")) == 100


# What nobody asks for: files that go away, heads that take no write


def test_a_folder_that_is_gone_is_told_by_health_before_anybody_publishes(harness, tmp_path):
    harness.start()
    harness.publish("a")
    tmp_path.rename(tmp_path.with_name("gone"))
    harness.wait(LOOK)
    health = Status(harness.signals).health()
    assert not health["healthy"]
    assert "signals.sqlite is gone: " in health["trouble"]
    harness.publish("b")
    harness.wait()
    assert harness.answers == [("a", 1), ("b", "server")]
    tmp_path.with_name("gone").rename(tmp_path)
    harness.wait(LOOK)
    harness.publish("b")
    harness.wait()
    assert harness.answers[-1] == ("b", 2)
    assert Status(harness.signals).health()["healthy"]
    harness.upkeep.loops[EXPIRY].stop()


def test_heads_that_take_no_write_are_told_and_written_when_they_do(harness, monkeypatch, log):
    harness.start()
    harness.publish("a")
    checkpoints = harness.journal.checkpoints

    def fail(found):
        raise JournalError(f"{checkpoints.path} does not take the checkpoints.")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "write", fail)
        harness.publish("b")
        harness.wait(LOOK)
        assert harness.answers[-1] == ("b", 2), "it is on the disk"
        assert (
            Status(harness.signals)
            .health()["trouble"]
            .endswith("signals.heads does not take the checkpoints.")
        )
        harness.wait(LOOK)
    complaints = [each for each in log if "the loss of the journal's end" in each["log_format"]]
    assert len(complaints) == 1
    harness.wait(LOOK)
    assert Status(harness.signals).health()["healthy"]
    assert checkpoints.read()["main"].seq == 2, "nobody had to publish for that"
    harness.upkeep.loops[EXPIRY].stop()


def test_the_end_of_a_log_that_is_lost_is_found_without_a_commit(harness):
    harness.start()
    harness.publish("a")
    os.truncate(harness.journal.path.with_name("signals.sqlite-wal"), 0)
    harness.wait(LOOK)
    for _ in range(3):
        harness.wait()
    health = Status(harness.signals).health()
    assert not health["healthy"]
    assert "signals.sqlite" in health["trouble"]
    harness.upkeep.loops[EXPIRY].stop()


def test_a_full_disk_refuses_and_serves_and_goes_on_by_itself(harness, tmp_path):
    harness.publish("a")
    harness.start()
    with pytest.MonkeyPatch.context() as full:
        full.setattr(sqlite, "has_free_space", lambda folder: False)
        harness.publish("b")
        assert harness.answers == [("a", 1), ("b", "server")]
        harness.journal.close()
        again = Harness(tmp_path)
        assert again.stored == [("a", 1)]
        assert (
            "signals.sqlite: database or disk is full" in Status(again.signals).health()["trouble"]
        )
        again.journal.close()
    harness.wait(LOOK)
    harness.publish("b")
    harness.wait()
    assert harness.answers[-1] == ("b", 2)
    assert Status(harness.signals).health()["healthy"]
    harness.upkeep.loops[EXPIRY].stop()


def test_a_disk_that_has_room_again_is_healthy_though_nobody_publishes(harness):
    harness.publish("a")
    harness.start()
    with pytest.MonkeyPatch.context() as full:
        full.setattr(sqlite, "has_free_space", lambda folder: False)
        harness.publish("b")
        harness.wait(LOOK)
        assert not Status(harness.signals).health()["healthy"]
    for _ in range(3):
        harness.wait(LOOK)
    assert Status(harness.signals).health()["healthy"], Status(harness.signals).health()["trouble"]
    harness.publish("c")
    assert harness.answers == [("a", 1), ("b", "server"), ("c", 2)]
    harness.upkeep.loops[EXPIRY].stop()


def test_a_disk_that_fails_on_stays_in_trouble(harness):
    harness.publish("a")
    harness.start()
    harness.journal.before = 1_000
    harness.publish("b")
    for _ in range(9):
        harness.wait(LOOK)
    assert Status(harness.signals).health()["trouble"] == "The disk is full."
    harness.upkeep.loops[EXPIRY].stop()
