"""Who has much to do waits for those who have little."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from mtnet.net.time_slices import TimeSlicer

TURN = 0.005


@pytest.fixture
def clock():
    """A clock that runs only while work is done, and moves on no turn by itself."""

    class Working(Clock):
        def turn(self):
            """Let one turn of the reactor pass; return how many calls it had."""
            due, self.calls = self.calls, []
            for call in due:
                call.called = 1
                call.func(*call.args, **call.kw)
            return len(due)

    return Working()


@pytest.fixture
def failures():
    return []


@pytest.fixture
def turns(clock):
    return TimeSlicer(clock, TURN)


def work(clock, done, name, units, cost=0.0):
    """Note each unit of work, which takes so long."""
    for _ in range(units):
        clock.rightNow += cost
        done.append(name)
        yield


def test_nothing_is_done_before_the_next_turn(clock, turns, failures):
    done = []
    turns.run(work(clock, done, "a", 1), failures.append)
    assert done == []
    clock.turn()
    assert done == ["a"]


def test_work_that_costs_no_time_is_done_in_one_turn(clock, turns, failures):
    done = []
    turns.run(work(clock, done, "a", 1_000), failures.append)
    clock.turn()
    assert len(done) == 1_000
    assert clock.turn() == 0, "nobody is woken for nothing"


def test_work_goes_on_in_the_next_turn_when_its_time_is_over(clock, turns, failures):
    done = []
    turns.run(work(clock, done, "a", 10, TURN / 2), failures.append)
    clock.turn()
    assert len(done) == 2
    clock.turn()
    assert len(done) == 4


def test_a_unit_that_takes_longer_than_a_turn_is_the_only_one_in_it(clock, turns, failures):
    done = []
    turns.run(work(clock, done, "a", 10, 10 * TURN), failures.append)
    clock.turn()
    assert done == ["a"]


def test_each_has_its_turn_before_any_has_a_second(clock, turns, failures):
    done = []
    for name in "abc":
        turns.run(work(clock, done, name, 100, TURN), failures.append)
    for _ in range(6):
        clock.turn()
    assert sorted(done[:3]) == sorted(done[3:]) == ["a", "b", "c"]


def test_new_work_waits_for_one_unit_of_the_running_work(clock, turns, failures):
    done = []
    turns.run(work(clock, done, "flood", 1_000, TURN), failures.append)
    for _ in range(5):
        clock.turn()
    turns.run(work(clock, done, "late", 1, TURN), failures.append)
    clock.turn()
    clock.turn()
    assert "late" in done


def test_work_that_waits_goes_on_when_what_it_waits_for_has_come(clock, turns, failures):
    done, answer = [], Deferred()

    def asking():
        done.append("asked")
        yield answer
        done.append("answered")

    turns.run(asking(), failures.append)
    turns.run(work(clock, done, "other", 3), failures.append)
    clock.turn()
    assert sorted(done) == ["asked", "other", "other", "other"]
    assert clock.turn() == 0
    answer.callback(None)
    clock.turn()
    assert done[-1] == "answered"
    assert failures == []


def test_work_that_fails_is_told_once_and_the_others_go_on(clock, turns, failures):
    done = []

    def broken():
        yield
        raise ValueError("a bug")

    turns.run(broken(), failures.append)
    turns.run(work(clock, done, "other", 3), failures.append)
    clock.turn()
    assert [failure.check(ValueError) for failure in failures] == [ValueError]
    assert done == ["other"] * 3


def test_work_whose_answer_is_a_failure_is_told_too(clock, turns, failures):
    answer = Deferred()

    def asking():
        yield answer

    turns.run(asking(), failures.append)
    clock.turn()
    answer.errback(ValueError("no answer"))
    assert [failure.check(ValueError) for failure in failures] == [ValueError]


def test_work_that_is_begun_is_done_at_once_for_one_turn(clock, turns, failures):
    done = []
    turns.begin(work(clock, done, "little", 3), failures.append)
    assert len(done) == 3
    assert clock.turn() == 0, "nobody is woken for nothing"
    turns.begin(work(clock, done, "much", 10, TURN / 2), failures.append)
    assert len(done) == 5
    clock.turn()
    assert len(done) == 7


def test_many_who_begin_get_about_a_turn_together_and_then_half_of_the_time(clock, turns, failures):
    done = []
    for at in range(10):
        turns.begin(work(clock, done, at, 1, TURN / 2), failures.append)
    assert done == [0, 1, 2]
    clock.rightNow += TURN
    for at in range(10, 20):
        turns.begin(work(clock, done, at, 1, TURN / 2), failures.append)
    assert done == [0, 1, 2, 10, 11]
    clock.turn()
    assert done[5] == 3, "the others have their turns"


def test_begun_work_that_waits_or_fails_is_as_all_other_work(clock, turns, failures):
    done, answer = [], Deferred()

    def asking():
        done.append("asked")
        yield answer
        done.append("answered")
        raise ValueError("a bug")

    turns.begin(asking(), failures.append)
    clock.turn()
    assert done == ["asked"]
    answer.callback(None)
    clock.turn()
    assert done == ["asked", "answered"]
    turns.begin(map(int, ["no number"]), failures.append)
    assert [failure.check(ValueError) for failure in failures] == [ValueError, ValueError]
