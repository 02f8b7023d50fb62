"""What two sets of rights have in common, and whether one holds the other, against brute force."""

from itertools import product

import pytest
from fakes.rights import PERMISSIONS
from fakes.rights import rights as parse
from hypothesis import given
from hypothesis import strategies as st

from mtnet.access.rights import EVERYTHING, NOTHING

# Right names are of a and b only, so that z stands for all that nobody wrote down: a set of
# names without `*` never covers a pattern.
NAMES = ["".join(each) for size in (1, 2, 3) for each in product("abz", repeat=size)]
THINGS = [
    (verb, service, name)
    for verb, found in PERMISSIONS.verbs.items()
    for service in found
    for name in NAMES
] + [("admin", "", "")]


def everything_of(rights):
    return {thing for thing in THINGS if rights.may(*thing)}


def texts():
    names = st.text("ab", min_size=1, max_size=2)
    names = st.one_of(st.just(""), names.map("/{}".format), names.map("/{}*".format))
    services = [f"{verb}:{each}" for verb, found in PERMISSIONS.verbs.items() for each in found]
    return st.one_of(
        st.sampled_from([*PERMISSIONS.verbs]),
        st.builds(str.__add__, st.sampled_from(services), names),
    )


rights = st.lists(texts(), max_size=4).map(PERMISSIONS.rights)


@given(rights, rights)
def test_what_two_have_in_common_is_what_both_allow(one, other):
    assert everything_of(one & other) == everything_of(one) & everything_of(other)
    assert one >= one & other
    assert other >= one & other


@given(rights, rights)
def test_one_holds_the_other_if_it_allows_all_that_the_other_does(one, other):
    assert (one >= other) == (everything_of(one) >= everything_of(other))


@given(rights, rights)
def test_whole_services_stay_whole_when_both_allow_them(one, other):
    for verb, services in PERMISSIONS.verbs.items():
        for service in services:
            both = one.all(verb, service) and other.all(verb, service)
            assert (one & other).all(verb, service) == both


@given(rights)
def test_nothing_and_everything_are_the_ends(one):
    assert one & NOTHING == NOTHING
    assert one & EVERYTHING >= one
    assert one >= one & EVERYTHING


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("send:ticks/EUR*", "send", "send:ticks/EUR*"),
        ("send:ticks/EUR*", "send:ticks/EURUSD", "send:ticks/EURUSD"),
        ("send:ticks/E*", "send:ticks/EUR*", "send:ticks/EUR*"),
        ("publish", "publish:templates", "publish:templates"),
        ("admin", "send:ticks/EUR*", "send:ticks/EUR*"),
    ],
)
def test_the_narrower_right_is_what_two_have_in_common(one, other, common):
    assert list(parse(one) & parse(other)) == [common]
    assert list(parse(other) & parse(one)) == [common]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("follow", "publish"),
        ("publish:signals", "publish:templates"),
        ("send:ticks/EUR*", "send:ticks/USD*"),
        ("send:ticks/EURUSD", "send:ticks/EURUS"),
    ],
)
def test_rights_on_different_things_have_nothing_in_common(one, other):
    assert parse(one) & parse(other) == NOTHING
