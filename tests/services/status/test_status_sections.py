"""Sections: rows that take turns, and nothing of them that is lost."""

from fakes.participants import Participant
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from mtnet.services.status.rows import apply, by_key, public
from mtnet.services.status.sections import (
    CYCLE,
    TURN,
    Details,
    Participants,
    PublicSection,
    Rotation,
)

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


def test_however_many_take_turns_none_waits_for_more_than_a_cycle():
    count, seconds = 2 * CYCLE * TURN, [0]
    section = Participants("desk", lambda: crew(count, seconds[-1]))
    section.refresh()
    told = set()
    for second in range(1, CYCLE + 1):
        seconds.append(second)
        told |= section.refresh()["set"].keys()
    assert len(told) == count


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
    section = Details(lambda: {"signals": status})
    assert section.refresh() == {"set": section.rows}
    assert section.rows == {
        "signals": {"healthy": True, "full": [], "views": {}},
        "signals/channels/gold": {"seq": 1},
        "signals/channels/main": {"seq": 2},
    }


def test_a_table_that_is_empty_now_is_told_as_that():
    said = {"signals": {"views": {"half": {"mode": "on"}}}}
    section = Details(lambda: said)
    section.refresh()
    said = {"signals": {"views": {}}}
    change = section.refresh()
    assert change == {"set": {"signals": {"views": {}}}, "removed": ["signals/views/half"]}
    assert section.rows == {"signals": {"views": {}}}


TABLES = st.dictionaries(
    st.sampled_from(["channels", "views"]),
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.just("n"), st.integers(0, 2))),
)


@given(st.lists(st.dictionaries(st.sampled_from(["signals", "ticks"]), TABLES), max_size=8))
def test_details_and_their_changes_are_those_of_now(states):
    kept, known = [{}], {}
    section = Details(lambda: kept[-1])
    for found in states:
        kept.append(found)
        known = apply(known, section.refresh())
        anew = Details(lambda: kept[-1])
        anew.refresh()
        assert known == section.rows == anew.rows


class Thing(Struct, frozen=True):
    """What a row is made of: an object of its own for each version."""

    version: int


NAMES = [f"n{number}" for number in range(3 * TURN)]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("all")),
        st.tuples(st.just("some"), st.sets(st.sampled_from(NAMES), max_size=9)),
        st.tuples(st.just("urgent"), st.sampled_from(NAMES)),
        st.tuples(st.just("go"), st.sets(st.sampled_from(NAMES), max_size=99)),
        st.tuples(st.just("come"), st.sampled_from(NAMES)),
        st.tuples(st.just("rest")),
    ),
    max_size=20,
)


@given(STEPS)
def test_however_many_change_the_urgent_are_told_at_once_and_all_soon(steps):
    things, marks = dict.fromkeys(NAMES, Thing(0)), dict.fromkeys(NAMES, 0)
    rotation, known = Rotation(lambda each: each.version, "row/"), {}

    def refresh():
        nonlocal known
        change = rotation.take([*things], [*things.values()], [marks[name] for name in things])
        known = apply(known, change)
        assert known == rotation.rows
        assert known.keys() == {f"row/{name}" for name in things}
        return change

    for version, (what, *more) in enumerate(steps, 1):
        if what == "all":
            things = {name: Thing(version) for name in things}
        elif what == "some":
            things |= {name: Thing(version) for name in more[0] & things.keys()}
        elif what == "urgent" and more[0] in things:
            things[more[0]], marks[more[0]] = Thing(version), version
        elif what == "go":
            things = {name: each for name, each in things.items() if name not in more[0]}
        elif what == "come":
            things.setdefault(more[0], Thing(version))
        before, told = {*known}, refresh().get("set", {})
        if what == "urgent" and more[0] in things:
            assert told[f"row/{more[0]}"] == version
        assert len(told.keys() & before) <= TURN + 1
    for _ in range(0, len(things), TURN):
        refresh()
    assert known == {f"row/{name}": each.version for name, each in things.items()}
    assert refresh() == {}


def test_those_that_change_all_the_time_keep_nobody_waiting():
    things = [Thing(0)] * len(NAMES)
    rotation = Rotation(lambda each: each.version)
    rotation.take(NAMES, things)
    quiet = things[-1] = Thing(1)
    for version in range(2, 5):
        things = [Thing(version)] * (len(NAMES) - 1) + [quiet]
        rotation.take(NAMES, things)
    assert rotation.rows[NAMES[-1]] == 1


def test_a_row_that_is_equal_takes_no_turn():
    rows = [{"n": 0} for _ in NAMES]
    rotation = Rotation(dict)
    rotation.take(NAMES, rows)
    rows = [{"n": 0} for _ in NAMES[1:]] + [{"n": 1}]
    assert rotation.take(NAMES, rows) == {"set": {NAMES[-1]: {"n": 1}}}
