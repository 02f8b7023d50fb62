"""The file of events: what a restart finds, and what becomes of one that cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.errors import JournalError
from mtnet.services.status.event import MAX_TEXT, Event, matches, plain
from mtnet.services.status.event_store import RESERVED, EventStore, load_or_set_aside
from mtnet.services.status.event_table import Changes


def event(number, **changes):
    found = {"time": 1_700_000_000_000 + number, "kind": "test", "level": "info", "text": "It is."}
    return Event(number, **{**found, "facts": {}, **changes})


@pytest.fixture
def store(tmp_path):
    return EventStore(tmp_path / "events.sqlite")


def test_a_store_that_was_never_written_makes_no_file(store):
    assert store.load(10) == ([], 1, False)
    assert not store.path.exists()


def test_events_are_there_again_with_their_facts(store):
    said = [event(1, facts={"channel": "gold", "count": 2}), event(2, level="error", text="Ö.")]
    store.write(Changes(said, 1, []), 3, True)
    assert store.load(10) == (said, 3, False)


def test_events_written_twice_are_there_once(store):
    store.write(Changes([event(1)], 1, []), 2, False)
    store.write(Changes([event(1), event(2)], 1, []), 3, True)
    assert [each.number for each in store.load(10).events] == [1, 2]


def test_the_oldest_leave_the_file(store):
    store.write(Changes([event(n) for n in range(1, 9)], 6, []), 9, True)
    assert [each.number for each in store.load(10).events] == [6, 7, 8]


def test_others_leave_the_file_by_their_numbers(store):
    store.write(Changes([event(n) for n in range(1, 5)], 1, []), 5, False)
    store.write(Changes([event(5)], 2, [3]), 6, True)
    assert [each.number for each in store.load(10).events] == [2, 4, 5]


def test_fewer_are_kept_after_the_setting_was_lowered(store):
    store.write(Changes([event(n) for n in range(1, 9)], 1, []), 9, True)
    assert [each.number for each in store.load(2).events] == [7, 8]


def test_numbers_go_on_behind_those_that_a_kill_may_have_cost(store):
    store.write(Changes([event(1)], 1, []), 2, False)
    assert store.load(10)[1:] == (2 + RESERVED, True)
    store.write(Changes([], 1, []), 2 + RESERVED, True)
    assert store.load(10)[1:] == (2 + RESERVED, False)


def test_a_damaged_file_is_kept_aside_and_another_is_begun(store):
    store.path.write_bytes(b"no database" * 1_000)
    loaded, trouble = load_or_set_aside(store, 10)
    assert loaded.events == []
    assert "events.sqlite.damaged" in trouble
    assert store.path.with_name("events.sqlite.damaged").read_bytes().startswith(b"no database")
    store.write(Changes([event(1)], 1, []), 2, True)
    assert store.load(10).events == [event(1)]


def test_a_full_disk_does_not_set_the_file_aside(store, monkeypatch):
    store.write(Changes([event(1)], 1, []), 2, True)

    def full(most):
        raise JournalError.__subclasses__()[0]("The disk is full.")

    monkeypatch.setattr(store, "load", full)
    loaded, trouble = load_or_set_aside(store, 10)
    assert (loaded.events, trouble) == ([], "The disk is full.")
    assert store.path.exists()


@given(st.text(max_size=3 * MAX_TEXT))
def test_every_sentence_is_one_printable_line_of_bounded_length(text):
    shown = plain(text)
    assert shown.isprintable()
    assert len(shown) <= 10 * MAX_TEXT + 1
    if text.isprintable() and len(text) <= MAX_TEXT:
        assert shown == text


def test_a_fact_hides_nothing_of_its_event():
    row = event(7, facts={"number": 1, "level": "error", "channel": "gold"}).row()
    assert (row["number"], row["level"], row["channel"]) == (7, "info", "gold")


@pytest.mark.parametrize(
    ("kinds", "level", "found"),
    [
        ((), "info", True),
        (("channel",), "info", True),
        (("channel_paused", "login"), "warning", True),
        (("login",), "info", False),
        ((), "error", False),
    ],
)
def test_events_are_asked_for_by_the_beginning_of_their_kind_and_by_the_lowest_level(
    kinds, level, found
):
    row = event(1, kind="channel_paused", level="warning").row()
    assert matches(row, kinds, level) is found
