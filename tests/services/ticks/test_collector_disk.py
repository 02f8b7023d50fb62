"""A collector whose disk is full, refuses, or fails: nothing is lost without being counted."""

import tempfile
from pathlib import Path

import pytest
from collecting import EURUSD, GBPUSD, FailingStore, Harness
from failing_commits import fail_commits
from hypothesis import given, settings
from hypothesis import strategies as st
from refused_symbols import refuse_symbol

from mtnet.errors import JournalError
from mtnet.services.ticks.health.losses import SHOWN
from mtnet.services.ticks.model import Batch
from mtnet.services.ticks.storage.blocks import Series


@pytest.fixture
def harness(tmp_path, clock):
    """Open a collector in the test's own folder: `yard(queue=10)`."""
    return lambda **settings: Harness(tmp_path, clock, **settings)


# A disk that is nearly full


def test_ticks_leave_the_reserve_free_and_go_on_when_there_is_room(harness, warnings):
    here = harness(reserve=100)
    here.disk.room = 99
    here.take(2)
    here.flush()
    assert here.health["full"] is True
    assert here.take(3) == 0
    here.flush()
    assert here.health["healthy"] is False
    (line,) = warnings()
    assert line["what"] == "3 dropped (the disk is nearly full)"
    here.disk.room = 100
    here.flush()
    assert here.take(1) == 1
    here.flush()
    assert here.stored() == [0, 1, 5]
    assert here.health["full"] is False
    assert len(warnings()) == 1


def test_a_disk_that_is_full_from_the_start_takes_nothing(harness):
    here = harness(reserve=100, room=99)
    assert here.take() == 0
    assert here.health["healthy"] is False


def test_a_disk_that_was_full_at_the_start_is_looked_at_again_before_a_tick_comes(harness, clock):
    here = harness(reserve=100, room=99)
    here.disk.room = 100
    clock.pump([1.0] * 60)
    assert here.health["healthy"] is True
    assert here.take() == 1


# Commits that fail, and have landed or not


STEPS = st.lists(
    st.sampled_from(["take", "take", "flush", "sync", "before", "behind"]), max_size=30
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_each_tick_is_stored_once_however_its_commits_fail(steps):
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        here = Harness(Path(folder))
        failing = fail_commits(patch)
        for step in steps:
            if step == "take":
                here.take(3)
            elif step == "flush":
                here.flush()
            elif step == "sync":
                here.collector.sync().addErrback(lambda failure: None)
            else:
                failing(step)
        here.clock.pump([1.0] * 40)
        assert here.stored() == list(range(here.taken))
        assert (here.health["stored"], here.health["waiting"]) == (here.taken, 0)
        assert here.rows("SELECT sum(ticks) FROM heard") == [(here.taken or None,)]
        here.kill()
        patch.undo()
        again = Harness(Path(folder))
        assert again.collector.lost == 0
        again.kill()


@pytest.mark.parametrize("how", ["before", "behind"])
def test_the_last_commit_is_tried_once_more_when_it_fails(harness, failing, logged, how):
    here = harness()
    here.take(3)
    failing(how)
    here.close()
    assert here.stored() == [0, 1, 2]
    assert [line["log_format"] for line in logged("error")] == [
        "Ticks wait for the disk: {trouble}"
    ]


# Rows that no disk would take


def test_ticks_that_the_store_will_not_have_are_counted_and_said_and_stop_no_others(
    harness, logged, clock
):
    here = harness()
    refuse_symbol(here.folder / "ticks.sqlite", "GBPUSD")
    here.take(2)
    here.take(3, GBPUSD, "other")
    here.flush()
    assert here.stored() == [0, 1]
    health = here.health
    assert (health["stored"], health["dropped"], health["waiting"]) == (2, 3, 0)
    assert health["healthy"] is False
    clock.pump([1.0] * int(SHOWN))
    assert here.health["healthy"] is True
    counts = here.rows(
        "SELECT source.name, received, dropped, total.value FROM source LEFT JOIN total"
        " ON total.name = 'unstored ' || id WHERE id > 2 ORDER BY source.name"
    )
    assert counts == [("desk", 2, 0, None), ("other", 3, 0, 3)]
    lines = logged("error")
    assert [line["what"] for line in lines] == ["ticks of GBPUSD"]
    here.kill()
    again = harness()
    assert again.collector.lost == 0, "what was counted is not lost once more"


def test_a_second_refusal_of_the_same_symbol_is_counted_and_not_said_again(harness, logged):
    here = harness()
    refuse_symbol(here.folder / "ticks.sqlite", "EURUSD")
    for _ in range(3):
        here.take(1)
        here.flush()
    assert here.health["dropped"] == 3
    assert len(logged("error")) == 1


def test_a_sender_of_numbers_without_end_stops_nobody(harness):
    here = harness()
    wild, source = here.collector.source("wild"), here.collector.source("desk")
    for number in (1, 2**63 - 1, 1, 2**63 - 1):
        wild.classify(Batch(number, b"%d" % number * 2).seen(), here.now())
        wild.classify(Batch(number, b"%d" % number).seen(), here.now())
        here.collector.take(wild, [(GBPUSD, b"1.3")], here.now())
    here.collector.take(source, [(EURUSD, b"7")], here.now())
    here.flush()
    assert here.stored() == [7]
    assert here.health["waiting"] == 0
    assert here.rows("SELECT missing FROM source WHERE name = 'wild'") == [(2**63 - 1,)]


def test_ticks_that_cannot_be_packed_are_counted_and_stop_no_others(harness, monkeypatch, logged):
    here, really = harness(), Series.pack

    def pack(series):
        packed = really(series)
        if series.symbol == GBPUSD:
            next(packed)
            raise ValueError("It is in no shape.")
        yield from packed

    monkeypatch.setattr(Series, "pack", pack)
    here.take(2)
    here.take(3, GBPUSD)
    here.flush()
    assert here.stored() == [0, 1]
    assert (here.health["dropped"], here.health["waiting"]) == (3, 0)
    assert len(logged("critical")) == 1
    here.kill()
    monkeypatch.undo()
    assert harness().collector.lost == 0


def test_an_error_that_nobody_knows_makes_health_red_and_is_tried_again(
    harness, monkeypatch, logged
):
    here = harness(retry=2.0)

    def fail(commit):
        raise RuntimeError("Nobody expected this.")

    monkeypatch.setattr(here.disk, "commit", fail)
    here.take(2)
    outcome = []
    here.collector.sync().addErrback(lambda failure: outcome.append(failure.getErrorMessage()))
    assert outcome == ["The store failed (RuntimeError: Nobody expected this)."]
    assert here.health["healthy"] is False
    monkeypatch.undo()
    here.clock.advance(2)
    assert here.stored() == [0, 1]
    assert here.health["healthy"] is True
    assert len(logged("critical")) == 1


# The tally


def test_a_tally_that_is_removed_while_it_is_used_is_written_anew_and_said(harness, warnings):
    here = harness()
    here.take(2)
    here.flush()
    (here.folder / "ticks.taken").unlink()
    here.take(3)
    here.flush()
    assert [line["log_format"][:26] for line in warnings()] == ["ticks.taken was removed or"]
    here.take(4)
    here.kill()
    assert harness().collector.lost == 4


def test_a_tally_that_is_missing_at_the_start_is_said(harness, warnings):
    here = harness()
    here.take(2)
    here.flush()
    here.kill()
    (here.folder / "ticks.taken").unlink()
    again = harness()
    assert again.collector.lost == 0
    assert [line["log_format"][:26] for line in warnings()] == ["ticks.taken was missing or"]


# A disk that refuses


def test_a_disk_that_refuses_costs_nothing_and_fills_no_log(harness, clock, warnings):
    here = harness(retry=2.0)
    here.disk.broken = True
    here.take(3)
    here.flush()
    assert here.disk.commits == 1
    here.take(2)
    clock.pump([1.0] * 10)
    assert here.disk.commits == 6, "each retry is one more"
    assert here.health["healthy"] is False
    assert here.health["trouble"] == "The disk is full."
    assert here.health["waiting"] == 5
    assert here.stored() == []
    here.disk.broken = False
    clock.advance(2)
    assert here.stored() == [0, 1, 2, 3, 4]
    assert here.health["healthy"] is True
    assert len(warnings()) == 1


def test_a_sync_tells_that_the_disk_refuses_and_the_next_one_that_it_takes_again(harness):
    here = harness()
    here.disk.broken = True
    here.take()
    outcome = []
    here.collector.sync().addErrback(outcome.append)
    assert outcome[0].getErrorMessage() == "The disk is full."
    here.disk.broken = False
    here.collector.sync().addCallback(outcome.append)
    assert outcome[1] is None
    assert here.stored() == [0]


def test_memory_stays_bounded_while_the_disk_refuses(harness, clock):
    here = harness(queue=100)
    here.disk.broken = True
    for _ in range(50):
        here.take(10)
        here.flush()
    assert here.health["waiting"] == 100
    assert here.health["dropped"] == 400
    here.disk.broken = False
    clock.advance(1)
    assert here.stored() == list(range(100))


def test_a_disk_that_does_not_tell_its_room_stores_nothing_twice(harness, clock, monkeypatch):
    def silent(store):
        raise JournalError("The disk cannot be asked.")

    here = harness()
    here.take(3)
    with monkeypatch.context() as patch:
        patch.setattr(FailingStore, "free", silent)
        here.flush()
    clock.pump([1.0] * 3)
    assert here.stored() == [0, 1, 2]
    assert here.health["stored"] == 3


def test_a_sync_is_answered_also_when_the_store_fails_by_a_bug(harness, log, monkeypatch):
    def fail(store, commit):
        raise RuntimeError("a bug")

    here, outcome = harness(), []
    here.take()
    with monkeypatch.context() as patch:
        patch.setattr(FailingStore, "commit", fail)
        here.collector.sync().addErrback(outcome.append)
    assert len(outcome) == 1
