"""Incidents begin once and end once, whatever comes and goes."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.alerts.incidents import MAX_INCIDENTS, Incidents, Terms

HOLD, SETTLE = 5.0, 10.0
BOB = {"bob": "bob is behind."}
NOBODY = frozenset()


def incidents(stored=(), **terms):
    return Incidents({"slow": Terms(HOLD, **terms)}, SETTLE, stored)


def told(machine, muted=NOBODY):
    """Tell people what is due, and return it."""
    found = []
    for each in machine.due(muted):
        found.append(("end" if each.ended else "begin", each.subject))
        if each.ended:
            machine.drop(each)
        else:
            each.sent = True
    machine.done(muted)
    return found


def run(machine, *moments, muted=NOBODY):
    found = []
    for when, holds in moments:
        machine.judge("slow", holds, when, int(when * 1000))
        found += told(machine, muted)
    return found


def test_it_begins_after_the_condition_held_for_so_long_and_ends_after_it_settled():
    machine = incidents()
    assert run(machine, (0, BOB), (4, BOB)) == []
    assert run(machine, (5, BOB), (100, BOB), (101, {}), (110, {})) == [("begin", "bob")]
    assert run(machine, (111, {}), (200, {})) == [("end", "bob")]
    assert list(machine) == []


def test_what_comes_and_goes_is_one_incident():
    machine = incidents()
    flapping = [(t, BOB if t % 9 < 6 else {}) for t in range(1_000)]
    assert run(machine, *flapping) == [("begin", "bob")]


def test_what_does_not_hold_long_enough_at_once_is_none():
    assert run(incidents(), *((t, BOB if t % 4 else {}) for t in range(100))) == []


def test_a_restart_repeats_nothing_and_ends_what_is_over():
    before = incidents()
    assert run(before, (0, BOB), (5, BOB)) == [("begin", "bob")]
    after = incidents(deepcopy(list(before)))
    assert run(after, (0, {}), (5, BOB), (100, BOB)) == []
    assert run(after, (101, {}), (112, {})) == [("end", "bob")]


def test_an_alert_that_is_gone_from_the_configuration_leaves_no_incident():
    before = incidents()
    run(before, (0, BOB), (5, BOB))
    assert list(Incidents({}, SETTLE, list(before))) == []


def test_muted_nobody_is_told_and_then_first_of_what_still_holds():
    machine, muted = incidents(), frozenset(["slow"])
    both = {**BOB, "eve": "eve is behind."}
    assert run(machine, (0, both), (5, both), (6, BOB), (16, BOB), muted=muted) == []
    assert run(machine, (17, BOB)) == [("begin", "bob")]


def test_an_end_that_came_while_muted_is_not_told_later():
    machine, muted = incidents(), frozenset(["slow"])
    assert run(machine, (0, BOB), (5, BOB)) == [("begin", "bob")]
    assert run(machine, (6, {}), (17, {}), muted=muted) == []
    assert run(machine, (18, {})) == []
    assert list(machine) == []


def test_without_ends_only_the_beginning_is_told():
    machine = incidents(ends=False)
    assert run(machine, (0, BOB), (5, BOB), (6, {}), (17, {})) == [("begin", "bob")]
    assert list(machine) == []


def test_there_are_so_many_incidents_at_most():
    crowd = {str(n): "x" for n in range(MAX_INCIDENTS + 5)}
    machine = incidents()
    assert len(run(machine, (0, crowd), (5, crowd))) == MAX_INCIDENTS


@given(
    st.lists(
        st.tuples(
            st.floats(0.5, 20),
            st.frozensets(st.sampled_from("abc")),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_messages_of_a_subject_alternate_over_restarts(moments):
    machine, when, open_subjects, since = incidents(), 0.0, set(), {}
    for step, holds, restart in moments:
        if restart:
            machine, since = incidents(deepcopy(list(machine))), {}
        when += step
        since = {each: since.get(each, when) for each in holds}
        machine.judge("slow", dict.fromkeys(holds, "x"), when, int(when * 1000))
        for part, subject in told(machine):
            if part == "begin":
                assert subject not in open_subjects
                assert when - since[subject] >= HOLD
                open_subjects.add(subject)
            else:
                assert subject in open_subjects
                assert subject not in holds
                open_subjects.discard(subject)
        assert {each.subject for each in machine} == open_subjects
        assert all(each in open_subjects for each in holds if when - since[each] >= HOLD)


def test_what_is_not_known_yet_begins_nothing_and_ends_nothing():
    machine = incidents()
    unknown = {"bob": "", "eve": ""}
    assert run(machine, (0, BOB), (5, BOB)) == [("begin", "bob")]
    assert run(machine, *((t, unknown) for t in range(6, 100))) == []
    assert [each.text for each in machine] == ["bob is behind."]
    assert run(machine, (100, {}), (110, {})) == [("end", "bob")]


def test_more_subjects_than_are_kept_cost_no_more_than_they_are_many(monkeypatch):
    monkeypatch.setattr("mtnet.services.alerts.incidents.MAX_INCIDENTS", 2)
    machine = incidents()
    many = {str(n): "It is." for n in range(5)}
    assert run(machine, (0, many), (5, many)) == [("begin", "0"), ("begin", "1")]
    fewer = {name: text for name, text in many.items() if name != "0"}
    assert run(machine, (6, fewer), (16, fewer)) == [("end", "0")]
    assert run(machine, (17, fewer)) == [("begin", "2")]
