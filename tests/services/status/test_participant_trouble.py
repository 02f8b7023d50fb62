"""Events that name who is in trouble, and who is no longer."""

from types import SimpleNamespace

import pytest

from mtnet.services.status.causes import BRIEF, MOST, WINDOW, ParticipantDetector
from mtnet.services.status.rows import public


class People:
    """Participants of one component, and the events about them."""

    def __init__(self, clock):
        self.clock, self.people, self.events = clock, {}, []
        self.detector = ParticipantDetector(lambda: {"signals": self}, self, clock)

    def participants(self):
        return list(self.people.values())

    def record(self, kind, text, level="info", **facts):
        self.events.append((kind.removeprefix("participant_trouble_"), level, text, facts))

    def be(self, status, *names, **warning):
        for who in names:
            code = warning.get("code", "not_acknowledged")
            text = f"{who} has not acknowledged signal 7 for 15 s: see its journal."
            told = {"code": code, "text": text, **warning}
            row = {"role": "follower", "channel": "gold", "who": who, "warnings": [told]}
            name = "follower", "gold", who
            self.people[who] = SimpleNamespace(name=name, status=status, row=lambda row=row: row)

    def look(self, seconds=0.0):
        self.clock.advance(seconds)
        self.detector.look()
        found, self.events = self.events, []
        return found

    def texts(self, seconds=0.0):
        return [text for _, _, text, _ in self.look(seconds)]


@pytest.fixture
def people(clock):
    return People(clock)


def test_an_event_says_who_is_in_trouble_and_why_and_another_that_it_has_ended(people):
    people.be("error", "carol/home")
    assert people.look() == []
    ((kind, level, text, facts),) = people.look(BRIEF)
    assert (kind, level) == ("begins", "warning")
    assert text == "carol/home has not acknowledged signal 7 for 15 s: see its journal."
    assert (facts["who"], facts["channel"], facts["code"]) == (
        "carol/home",
        "gold",
        "not_acknowledged",
    )
    assert people.look(BRIEF) == []
    people.be("warning", "carol/home")
    ((kind, level, text, facts),) = people.look()
    assert (kind, level, facts["who"]) == ("ends", "info", "carol/home")
    assert text == 'carol/home is in trouble no longer: "not acknowledged" has ended.'
    assert people.look(BRIEF) == []


def test_a_connection_that_comes_back_at_once_is_no_event(people):
    people.be("offline", "bob")
    people.look()
    people.be("ok", "bob")
    people.look(BRIEF - 1)
    people.be("offline", "bob")
    assert people.look(BRIEF - 1) == []
    assert people.look(BRIEF - 1) == []
    assert len(people.look(1)) == 1


def test_somebody_who_is_missed_no_longer_takes_part_no_longer(people):
    people.be("offline", "bob", code="offline")
    people.look()
    people.look(BRIEF)
    people.people.clear()
    assert people.texts() == ['bob takes part no longer: "offline" has ended.']


def test_three_have_an_event_each_and_more_have_one_with_a_few_names(people):
    people.be("error", "a", "b", "c")
    people.look()
    assert len(people.look(BRIEF)) == 3
    people.be("offline", *(f"f{number}" for number in range(1_000)))
    people.look()
    assert people.texts(BRIEF) == [
        "1000 followers of gold are in trouble: f0, f1, f2 and 997 more."
    ]
    people.people = {"f999": people.people["f999"]}
    people.be("ok", "a", "b", "c", *(f"f{number}" for number in range(999)))
    assert people.texts() == [
        "1002 followers of gold are in trouble no longer: a, b, c and 999 more.",
    ]


def test_many_who_come_and_go_one_by_one_share_events_and_each_end_is_told(people):
    names = [f"f{number}" for number in range(40)]
    begun = []
    for who in names:
        people.be("offline", who)
        begun += people.texts(1.0)
    assert len(begun) == MOST
    begun += people.texts(WINDOW - 30.0)
    assert begun[MOST] == "36 followers of gold are in trouble: f4, f5, f6 and 33 more."
    ended = []
    for who in names:
        people.be("ok", who)
        ended += people.texts(1.0)
    ended += people.texts(WINDOW - 30.0)
    assert len(ended) == MOST + 1
    assert ended[MOST] == "36 followers of gold are in trouble no longer: f4, f5, f6 and 33 more."
    assert people.texts(WINDOW) == []


def test_somebody_who_was_in_trouble_while_its_event_waited_has_none(people):
    people.be("offline", *(f"f{number}" for number in range(MOST)))
    people.look()
    assert len(people.look(BRIEF)) == 1
    for number in range(1, MOST):
        people.be("offline", f"g{number}")
        people.look()
        assert len(people.look(BRIEF)) == 1
    people.be("offline", "bob")
    people.look()
    assert people.look(BRIEF) == []
    people.be("ok", "bob")
    assert people.look() == people.look(WINDOW) == []


def test_a_sentence_with_accounts_has_another_one_for_those_who_may_not_see_them(people):
    people.be("error", "bob", text="Two report as bob, 1 and 2.", public="Two report as bob.")
    people.look()
    ((*_, text, facts),) = people.look(BRIEF)
    assert public({**facts, "text": text})["text"] == "Two report as bob."
