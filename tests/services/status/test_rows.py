"""Rows by key: changes, keys, and what is for admins alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.status.rows import (
    PROGRESS_ROWS,
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
        lambda role, who, behind, balance: {
            "role": role, "who": who, "behind": behind, "balance": balance
        },
        st.sampled_from(["follower", "provider"]),
        st.sampled_from(["bob", "eve", "mallory"]),
        st.integers(0, 2),
        st.sampled_from(["1", "2"]),
    ),
    max_size=5,
)  # fmt: skip


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
    class Row(dict):
        def __eq__(self, other):
            raise AssertionError("It was compared.")

    people = [Row(role="follower", who="bob"), Row(role="follower", who="eve")]
    section = Participants("desk", lambda: [*people])
    section.refresh()
    assert section.refresh() == {}
    people[1] = Row(people[1], behind=1)
    assert [*section.refresh()["set"]] == ["participant/desk/follower/eve"]


def crew(count, second, **more):
    return [
        {"role": "follower", "who": f"f{number}", "status": "ok", "last_ack": second, **more}
        for number in range(count)
    ]


def test_participants_with_nothing_but_progress_take_turns():
    count, seconds, told = 3 * PROGRESS_ROWS, [0], []
    section = Participants("desk", lambda: crew(count, seconds[-1]))
    section.refresh()
    for second in (1, 2, 3):
        seconds.append(second)
        told.append(section.refresh()["set"])
    assert [len(each) for each in told] == [PROGRESS_ROWS] * 3
    assert len({key for each in told for key in each}) == count
    assert {row["last_ack"] for row in told[2].values()} == {3}
    rest = [len(section.refresh().get("set", ())) for _ in range(3)]
    assert rest == [PROGRESS_ROWS, PROGRESS_ROWS, 0]


def test_a_participant_with_more_than_progress_waits_for_no_turn():
    people = crew(2 * PROGRESS_ROWS, 0)
    section = Participants("desk", lambda: people)
    section.refresh()
    people = crew(2 * PROGRESS_ROWS, 1)
    people[-1]["status"] = "error"
    told = section.refresh()["set"]
    assert len(told) == PROGRESS_ROWS + 1
    assert told[f"participant/desk/follower/f{len(people) - 1}"]["status"] == "error"


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
