"""Collections of garbage look at what is new, and from time to time at everything."""

import gc
import weakref
from math import prod
from types import SimpleNamespace

import pytest

from mtnet.daemon.gc_policy import FROZEN_LIMIT, FULL_COLLECTION_INTERVAL, THRESHOLDS, GcPolicy


class Ring:
    """Refers to itself, and so is freed by a collection alone."""

    def __init__(self):
        self.itself = self


@pytest.fixture
def garbage(clock):
    before = gc.get_threshold(), list(gc.callbacks)
    service = GcPolicy(clock)
    service.startService()
    yield service
    if service.running:
        service.stopService()
    assert (gc.get_threshold(), list(gc.callbacks)) == before
    assert gc.get_freeze_count() == 0


def looked_at(thing):
    return any(each is thing for each in gc.get_objects())


def test_what_the_start_has_left_is_looked_at_no_more(garbage):
    assert gc.get_freeze_count() > 10_000
    assert not looked_at(garbage)
    assert gc.get_threshold() == THRESHOLDS


def test_what_survives_a_full_collection_is_looked_at_no_more(garbage):
    ring = Ring()
    assert looked_at(ring)
    gc.collect(1)
    assert looked_at(ring)
    gc.collect()
    assert not looked_at(ring)


def test_new_garbage_is_still_collected(garbage):
    gone = weakref.ref(Ring())
    gc.collect()
    assert gone() is None


def test_what_becomes_garbage_later_goes_with_the_next_look_at_everything(garbage, clock):
    ring = Ring()
    gc.collect()
    gone = weakref.ref(ring)
    del ring
    gc.collect()
    assert gone() is not None
    clock.advance(FULL_COLLECTION_INTERVAL)
    assert gone() is None
    assert gc.get_freeze_count() > 10_000


def test_it_reports_the_longest_pause_but_for_the_looks_at_everything(garbage, clock):
    garbage.longest, full = 0.0, garbage.full
    clock.advance(FULL_COLLECTION_INTERVAL)
    assert garbage.status() == {"full collections": full + 1, "longest pause": "0.0 ms"}
    gc.collect()
    assert garbage.longest > 0


def test_a_daemon_that_stops_leaves_python_as_it_was(garbage, clock):
    garbage.stopService()
    assert gc.get_freeze_count() == 0
    assert clock.getDelayedCalls() == []


@pytest.fixture
def frozen(garbage, monkeypatch):
    """How many objects are left out; how many more are too many, and what would be many."""
    count = gc.get_freeze_count()
    more = max(FROZEN_LIMIT, count)
    found = SimpleNamespace(
        count=count, limit=more, many=count + more * 9 // 10, too_many=count + more * 2
    )
    monkeypatch.setattr(gc, "get_freeze_count", lambda: found.count)
    yield found
    monkeypatch.undo()


def collect_until_counted(garbage, clock):
    """Collect; return how often."""
    full = garbage.full
    while not garbage.due:
        gc.collect()
    collections = garbage.full - full
    clock.advance(0)
    return collections


def left_out_and_lost():
    """Return a reference to garbage that only a look at everything can find."""
    ring = Ring()
    gc.collect()
    return weakref.ref(ring)


def test_everything_is_looked_at_as_well_once_there_is_much_new(garbage, clock, frozen):
    gone = left_out_and_lost()
    frozen.count = frozen.too_many
    assert collect_until_counted(garbage, clock) >= FROZEN_LIMIT // prod(THRESHOLDS)
    assert gone() is None


def test_what_was_left_out_and_has_been_freed_does_not_count(garbage, clock, frozen):
    gone = left_out_and_lost()
    frozen.count = frozen.many
    collect_until_counted(garbage, clock)
    assert gone() is not None
    frozen.count = frozen.too_many
    soon = frozen.limit // prod(THRESHOLDS) // 2
    assert collect_until_counted(garbage, clock) < soon, "it is counted again soon"
    assert gone() is None


def test_one_that_stops_before_a_look_looks_no_more(garbage, clock):
    while not garbage.due:
        gc.collect()
    garbage.stopService()
    garbage.stopService()
    assert clock.getDelayedCalls() == []


def test_one_that_never_ran_can_be_stopped(clock):
    GcPolicy(clock).stopService()
    assert gc.get_freeze_count() == 0
