"""The sums that may be shown, and the differences that they show."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.sentiment.disclosure import SymbolSums
from mtnet.services.sentiment.wire import to_lots, to_units

LOT = 100_000


def vote(sums, **votes):
    """Change votes from one number of lots to another, and show what may be shown."""
    changed = []
    for name, (before, after) in votes.items():
        sums.change(("login", name), before * LOT, after * LOT)
        changed.append(sums.disclose(7))
    return changed


def shown(sums):
    found = sums.shown
    return found and (str(found.long), str(found.short), str(found.net), found.clients)


def test_below_the_floor_nothing_is_shown_and_at_the_floor_all():
    sums = SymbolSums("EURUSD", 3, 3)
    assert vote(sums, ann=(0, 1), bob=(0, -2)) == [False, False]
    assert shown(sums) is None
    assert vote(sums, carl=(0, 3)) == [True]
    assert shown(sums) == ("4.00", "2.00", "2.00", 3)


def test_each_change_is_shown_at_once_unless_more_must_have_changed():
    sums = SymbolSums("EURUSD", 3, 1)
    vote(sums, ann=(0, 1), bob=(0, 1), carl=(0, 1))
    assert vote(sums, dora=(0, 9)) == [True]
    assert shown(sums) == ("12.00", "0.00", "12.00", 4)
    assert vote(sums, dora=(9, 0), carl=(1, 0)) == [True, True]
    assert shown(sums) is None


def test_one_who_comes_or_goes_or_changes_is_not_shown_by_the_difference():
    sums = SymbolSums("EURUSD", 3, 3)
    vote(sums, ann=(0, 1), bob=(0, 1), carl=(0, 1))
    assert vote(sums, dora=(0, 9)) == [False]
    assert vote(sums, ann=(1, 5)) == [False]
    assert shown(sums) == ("3.00", "0.00", "3.00", 3)
    assert vote(sums, ann=(5, 1), dora=(9, 0)) == [False, False]
    assert vote(sums, dora=(0, 9), ann=(1, 2), bob=(1, 2)) == [False, False, True]
    assert shown(sums) == ("14.00", "0.00", "14.00", 4)


def test_sums_that_were_hidden_come_back_when_they_are_the_same_or_of_enough_others():
    sums = SymbolSums("EURUSD", 3, 3)
    vote(sums, ann=(0, 1), bob=(0, 1), carl=(0, 1))
    assert vote(sums, carl=(1, 0)) == [True]
    assert shown(sums) is None
    assert vote(sums, dora=(0, 5)) == [False]
    assert shown(sums) is None
    assert vote(sums, dora=(5, 0), carl=(0, 1)) == [False, True]
    assert shown(sums) == ("3.00", "0.00", "3.00", 3)


def test_who_holds_nothing_is_no_client():
    sums = SymbolSums("EURUSD", 1, 1)
    assert vote(sums, ann=(0, 1), bob=(0, 0)) == [True, False]
    assert vote(sums, ann=(1, 0)) == [True]
    assert shown(sums) is None


def test_what_was_shown_is_remembered_without_votes():
    sums = SymbolSums("EURUSD", 3, 3)
    vote(sums, ann=(0, 1), bob=(0, 1))
    assert not sums.disposable
    vote(sums, ann=(1, 0), bob=(1, 0))
    assert sums.disposable
    vote(sums, ann=(0, 1), bob=(0, 1), carl=(0, 1))
    vote(sums, ann=(1, 0), bob=(1, 0), carl=(1, 0))
    assert not sums.disposable
    assert vote(sums, ann=(0, 1), bob=(0, 1), dora=(0, 4)) == [False, False, False]


VOTES = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(-3, 3)), max_size=60)


@given(VOTES, st.integers(1, 4))
def test_two_sums_that_follow_each_other_are_apart_by_enough_clients(votes, floor):
    sums, now, known = SymbolSums("X", floor, floor), {}, {}
    for name, lots in votes:
        before = now.pop(name, 0)
        if lots:
            now[name] = lots
        sums.change(("login", name), before * LOT, lots * LOT)
        sums.disclose(1)
        differing = {each for each in {*now, *known} if now.get(each) != known.get(each)}
        if len(now) < floor:
            assert sums.shown is None
        elif len(differing) >= floor:
            known = dict(now)
        elif differing and known and sums.shown is not None:
            assert sums.shown.clients == len(known)
        if sums.shown is not None:
            assert sums.shown.long == sum(each for each in known.values() if each > 0)
            assert sums.shown.short == -sum(each for each in known.values() if each < 0)


@pytest.mark.parametrize(
    ("volume", "units", "text"),
    [
        ("0", 0, "0.00"),
        ("0.25", 25_000, "0.25"),
        ("-0.00001", -1, "-0.00001"),
        ("100", 10_000_000, "100.00"),
        ("101", 10_000_000, "100.00"),
        ("-99999999", -10_000_000, "-100.00"),
        ("1.5", 150_000, "1.50"),
        ("0.125", 12_500, "0.125"),
    ],
)
def test_volumes_are_exact_units_within_the_limit(volume, units, text):
    assert to_units(Decimal(volume), 100 * LOT) == units
    assert f"{to_lots(units):f}" == text
