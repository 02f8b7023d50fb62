"""Rows by key: changes, keys, and what is for admins alone."""

from itertools import pairwise

import pytest
from fakes.participants import Participant
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.status.rows import (
    TURN,
    Participants,
    PublicSection,
    apply,
    by_key,
    changes,
    details,
    public,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)
ROWS = st.dictionaries(st.sampled_from("abcdef"), VALUES, max_size=6)


@given(st.lists(ROWS, min_size=1, max_size=6))
def test_a_state_and_its_changes_are_the_next_state(states):
    known = states[0]
    for before, after in pairwise(states):
        known = apply(known, changes(before, after))
        assert known == after


@given(ROWS)
def test_nothing_changed_is_no_change(rows):
    assert changes(rows, dict(rows)) == {}


@given(ROWS, ROWS)
def test_a_change_names_no_row_that_is_as_it_was(before, after):
    change = changes(before, after)
    assert all(before.get(key, ...) != row for key, row in change.get("set", {}).items())
    assert set(change.get("removed", ())) == before.keys() - after.keys()


def test_two_rows_of_one_key_are_both_there():
    rows = [{"who": "bob", "n": n} for n in range(3)]
    assert [*by_key(rows, "role", "who")] == ["bob", "bob#2", "bob#3"]


PEOPLE = st.lists(
    st.builds(
        Participant,
        role=st.sampled_from(["follower", "provider"]),
        who=st.sampled_from(["bob", "eve", "mallory"]),
        behind=st.integers(0, 2),
        balance=st.sampled_from(["1", "2"]),
    ),
    max_size=5,
)


@given(st.lists(PEOPLE, max_size=8), st.booleans(), st.data())
def test_participants_and_their_changes_are_those_of_now(states, admin, data):
    """Rows that are equal to those before are now the same objects, now others."""
    kept, known = [[]], {}
    section = Participants("desk", lambda: kept[-1])
    section = section if admin else PublicSection(section)
    for found in states:
        before = kept[-1]
        kept.append([
            before[at] if before[at:] and before[at] == row and data.draw(st.booleans()) else row
            for at, row in enumerate(found)
        ])  # fmt: skip
        known = apply(known, section.refresh())
        rows = by_key([{"service": "desk", **row} for row in found], "service", "role", "who")
        wanted = {f"participant/{key}": row if admin else public(row) for key, row in rows.items()}
        assert known == section.rows == wanted


def test_a_participant_that_is_the_same_object_is_not_looked_into():
    class Mute(Participant):
        def row(self):
            assert not section.rows
            return dict(self)

    people = [Mute(role="follower", who="bob"), Mute(role="follower", who="eve")]
    section = Participants("desk", lambda: [*people])
    section.refresh()
    assert section.refresh() == {}
    people[1] = Participant(people[1], behind=1)
    assert [*section.refresh()["set"]] == ["participant/desk/follower/eve"]


def crew(count, second, **more):
    return [
        Participant(role="follower", who=f"f{number}", last_ack=second, **more)
        for number in range(count)
    ]


def test_participants_with_the_same_judgement_take_turns():
    count, seconds, told = 3 * TURN, [0], []
    section = Participants("desk", lambda: crew(count, seconds[-1]))
    section.refresh()
    for second in (1, 2, 3):
        seconds.append(second)
        told.append(section.refresh()["set"])
    assert [len(each) for each in told] == [TURN] * 3
    assert len({key for each in told for key in each}) == count
    assert {row["last_ack"] for row in told[2].values()} == {3}
    rest = [len(section.refresh().get("set", ())) for _ in range(3)]
    assert rest == [TURN, TURN, 0]


def test_a_participant_with_another_judgement_waits_for_no_turn():
    people = crew(2 * TURN, 0)
    section = Participants("desk", lambda: people)
    section.refresh()
    people = crew(2 * TURN, 1)
    people[-1]["status"] = "error"
    told = section.refresh()["set"]
    assert len(told) == TURN + 1
    assert told[f"participant/desk/follower/f{len(people) - 1}"]["status"] == "error"


def test_one_who_comes_or_goes_waits_for_no_turn_and_takes_none_along():
    people = crew(2 * TURN, 0)
    section = Participants("desk", lambda: people)
    section.refresh()
    last = f"participant/desk/follower/f{len(people) - 1}"
    people = crew(2 * TURN, 1)[:-1]
    change = section.refresh()
    assert (change["removed"], len(change["set"])) == ([last], TURN)
    people = [*people, *crew(2 * TURN, 1)[-1:]]
    assert last in section.refresh()["set"]
    assert [each["last_ack"] for each in section.rows.values()] == [1] * 2 * TURN


def test_the_details_of_a_component_are_rows_of_their_own():
    status = {
        "healthy": True,
        "full": [],
        "channels": {"gold": {"seq": 1}, "main": {"seq": 2}},
        "sessions": [{"peer": "192.0.2.1:7"}],
        "views": {},
    }
    assert details("signals", status) == {
        "signals": {"healthy": True, "full": [], "views": {}},
        "signals/channels/gold": {"seq": 1},
        "signals/channels/main": {"seq": 2},
    }


def test_balances_and_networks_are_left_out_wherever_they_stand():
    row = {"who": "bob", "balance": "1", "reports": [{"equity": "2", "trading": True}]}
    assert public(row) == {"who": "bob", "reports": [{"trading": True}]}


def test_the_peer_is_taken_out_of_a_line_of_the_security_log():
    line = "login refused: service=a endpoint=b peer=192.0.2.7:1 login=bob why=wrong"
    assert public({"text": line, "peer": "192.0.2.7:1"}) == {
        "text": "login refused: service=a endpoint=b login=bob why=wrong"
    }


@pytest.mark.parametrize("depth", [0, 1])
def test_a_public_sentence_stands_for_the_other_one(depth):
    row = {"text": "alice has 10000.", "public": "alice has something."}
    shown = public([row] if depth else row)
    assert (shown[0] if depth else shown) == {"text": "alice has something."}
