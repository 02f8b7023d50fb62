"""Rows by key: changes, keys, and what is for admins alone."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.status.rows import apply, by_key, changes, public

LEAVES = st.sampled_from((None, False, 0, 7, "", "a"))
VALUES = LEAVES | st.lists(LEAVES, max_size=2) | st.dictionaries(st.just("x"), LEAVES)
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
