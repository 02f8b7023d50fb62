"""The event log: what is kept, written behind, shown, and there again after a restart."""

import pytest
from fakes.threads import ManualThread
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from mtnet.services.status.event_log import RETRY_DELAY, WRITE_DELAY, EventLog
from mtnet.services.status.event_store import RESERVED, EventStore

NOW = 1_700_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events.sqlite"


def begin(path, clock, most=100, in_thread=maybeDeferred):
    now = lambda: NOW + int(clock.seconds() * 1_000)  # noqa: E731
    events = EventLog(EventStore(path), most, clock, now, in_thread)
    events.open()
    return events


@pytest.fixture
def events(path, clock):
    return begin(path, clock)


def close(events):
    done = Deferred.fromCoroutine(events.close())
    assert done.called


def texts(events, after=0, limit=1_000):
    return [row["text"] for row in events.after(after, limit)]


def numbers(events, after=0, limit=1_000):
    return [row["number"] for row in events.after(after, limit)]


def test_an_event_has_a_number_a_time_and_its_facts(events, clock):
    clock.advance(1.5)
    events.record("channel_paused", "gold is paused.", "warning", channel="gold", who="uid 0")
    assert events.after(0, 10) == [
        {
            "channel": "gold",
            "who": "uid 0",
            "number": 1,
            "time": NOW + 1_500,
            "kind": "channel_paused",
            "level": "warning",
            "text": "gold is paused.",
        }
    ]


def test_the_log_carries_the_same_sentence_in_a_fixed_form(events, log):
    events.record("channel_paused", "gold is\npaused.", "warning")
    (line,) = log
    assert formatEvent(line) == r"event channel_paused: gold is\npaused."
    assert line["log_level"].name == "warn"


def test_events_are_written_together_a_second_after_the_first(path, clock):
    thread = ManualThread()
    events = begin(path, clock, in_thread=thread)
    events.record("test", "One.")
    clock.advance(WRITE_DELAY / 2)
    events.record("test", "Two.")
    assert not thread.calls
    clock.advance(WRITE_DELAY / 2)
    assert len(thread.calls) == 1
    thread.work()
    assert texts(begin(path, clock)) == ["One.", "Two."]


def test_nothing_is_lost_over_a_clean_restart_and_numbers_go_on(events, path, clock):
    events.record("test", "One.")
    clock.advance(WRITE_DELAY)
    events.record("test", "Two.")
    close(events)
    again = begin(path, clock)
    assert not again.killed
    again.record("test", "Three.")
    assert (texts(again), numbers(again)) == (["One.", "Two.", "Three."], [1, 2, 3])


def test_a_kill_loses_the_last_second_and_no_number_is_used_again(events, path, clock):
    events.record("test", "One.")
    clock.advance(WRITE_DELAY)
    events.record("test", "Two, which the kill costs.")
    again = begin(path, clock)
    assert again.killed
    again.record("test", "Three.")
    assert (texts(again), numbers(again)) == (["One.", "Three."], [1, 2 + RESERVED])


def test_events_during_the_close_are_stored_too(events, path, clock):
    close(events)
    events.record("test", "A publisher went while the daemon stopped.")
    assert len(texts(begin(path, clock))) == 1


def test_a_writing_that_is_under_way_at_the_close_is_waited_for(path, clock):
    thread = ManualThread()
    events = begin(path, clock, in_thread=thread)
    events.record("test", "One.")
    clock.advance(WRITE_DELAY)
    events.record("test", "Two.")
    done = Deferred.fromCoroutine(events.close())
    thread.step()
    assert not done.called
    thread.work()
    assert done.called
    assert texts(begin(path, clock)) == ["One.", "Two."]


def test_a_disk_that_fails_costs_no_event_while_memory_lasts(path, clock, log):
    thread = ManualThread()
    thread.full = True
    events = begin(path, clock, most=3, in_thread=thread)
    for text in ("One.", "Two.", "Three.", "Four."):
        events.record("test", text)
        clock.advance(WRITE_DELAY)
        thread.work()
    assert events.health()["warning"] == "Events are not stored: The disk is full."
    assert events.lost == 1
    assert texts(events) == ["Two.", "Three.", "Four."]
    thread.full = False
    clock.advance(RETRY_DELAY)
    thread.work()
    assert events.health()["warning"] is None
    assert texts(begin(path, clock)) == ["Two.", "Three.", "Four."]
    said = [formatEvent(line) for line in log]
    assert said.count("Events are not stored: The disk is full.") == 1
    assert "Events are stored again." in said


def test_a_stop_with_a_disk_that_fails_ends(path, clock):
    thread = ManualThread()
    thread.full = True
    events = begin(path, clock, in_thread=thread)
    events.record("test", "One.")
    done = Deferred.fromCoroutine(events.close())
    thread.work()
    assert done.called


def test_observers_see_each_new_event_and_a_failing_one_harms_nobody(events, log):
    seen, observe = [], lambda event: seen.append(event["text"])
    events.subscribe(lambda event: 1 / 0)
    events.subscribe(observe)
    events.record("test", "One.")
    events.unsubscribe(observe)
    events.record("test", "Two.")
    assert seen == ["One."]
    assert formatEvent(log[0]).startswith("An observer of events failed.")


def test_behind_a_number_of_the_future_is_everything(events):
    events.record("test", "One.")
    assert texts(events, after=1) == []
    assert texts(events, after=99) == ["One."]


def test_a_damaged_file_keeps_no_daemon_from_starting_and_is_an_event(path, clock):
    path.write_bytes(b"no database" * 1_000)
    (event,) = begin(path, clock).after(0, 10)
    assert (event["kind"], event["level"]) == ("events_lost", "warning")


def test_refused_logins_of_an_attack_push_out_nothing_but_each_other(path, clock):
    events = begin(path, clock, most=10)
    events.record("channel_paused", "alice paused gold.")
    for number in range(100):
        events.record("login_refused", f"{number}.")
        clock.advance(WRITE_DELAY)
        if number == 50:
            events.record("login_accepted", "bob came.")
    kept = ["alice paused gold.", *(f"{n}." for n in range(92, 100))]
    kept.insert(1, "bob came.")
    assert texts(events) == kept
    assert events.lost == 0
    close(events)
    assert texts(begin(path, clock, most=10)) == kept


KINDS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "write", "fail"])))


@given(KINDS, st.integers(1, 4))
def test_the_file_has_what_memory_has_after_each_write_however_many_failed(
    tmp_path_factory, steps, most
):
    path, clock = tmp_path_factory.mktemp("events") / "events.sqlite", Clock()
    thread = ManualThread(held=False)
    events = begin(path, clock, most, thread)
    for kind, then in steps:
        events.record(kind, kind)
        thread.full = then == "fail"
        if then:
            events.flush()
    thread.full = False
    events.flush()
    assert texts(events) == texts(begin(path, clock, most))
    assert numbers(events) == numbers(begin(path, clock, 1_000))


STEPS = st.lists(st.sampled_from(["record", "write", "restart", "kill"]), max_size=30)


@given(STEPS, st.integers(1, 5))
def test_numbers_rise_and_only_a_kill_or_the_limit_loses_an_event(tmp_path_factory, steps, most):
    path, clock = tmp_path_factory.mktemp("events") / "events.sqlite", Clock()
    model, safe, seen = [], 0, []

    def start():
        thread = ManualThread(held=False)
        events = begin(path, clock, most, thread)
        events.subscribe(lambda event: seen.append(event["number"]))
        events.flush()
        return events, thread

    events, thread = start()
    for step in steps:
        if step == "record":
            model = [*model, f"{len(seen)}."][-most:]
            events.record("test", f"{len(seen)}.")
        elif step == "write":
            clock.advance(WRITE_DELAY)
            safe = len(seen)
        elif step == "restart":
            close(events)
            safe = len(seen)
            events, thread = start()
        else:
            thread.held = True  # nothing of it reaches the disk any more
            stored = [text for text in model if int(text[:-1]) < safe]
            events, thread = start()
            left = texts(events)
            # The limit has not reached the file yet.
            model = [*left[: len(left) - len(stored)], *stored]
        assert texts(events) == model
    assert seen == sorted(set(seen))
