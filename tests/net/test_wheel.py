"""Many who wait, and one timer for them."""

import pytest
from twisted.logger import capturedLogs

from mtnet.net.timer_wheel import Wheel


class Sleeper:
    """Notes when it was woken, and then does something."""

    def __init__(self, clock, action=lambda: None):
        self._clock, self._action, self.woken = clock, action, []

    def wake(self):
        self.woken.append(round(self._clock.seconds(), 3))
        self._action()


@pytest.fixture
def wheel(clock):
    return Wheel(clock, 0.1)


def run(clock, seconds):
    clock.pump([0.01] * round(seconds * 100))


def test_each_is_woken_once_at_its_time_or_a_step_later(clock, wheel):
    sleepers = {when: Sleeper(clock) for when in (3, 0.5, 1.2345, 0.51, 2.999, 0)}
    for when, sleeper in sleepers.items():
        wheel.add(sleeper, when)
    run(clock, 5)
    for when, sleeper in sleepers.items():
        (woken,) = sleeper.woken
        assert when <= woken <= when + 0.11


@pytest.mark.parametrize("begin", [0.0, 0.3, 1234.5, 86_400.7])
def test_a_time_on_the_grid_is_kept(clock, wheel, begin):
    clock.advance(begin)
    sleeper = Sleeper(clock)
    wheel.add(sleeper, clock.seconds() + 5)
    clock.advance(4.999)
    assert not sleeper.woken
    clock.advance(0.001)
    assert sleeper.woken


def test_many_have_one_timer(clock, wheel):
    for number in range(1_000):
        wheel.add(Sleeper(clock), number / 100)
    assert len(clock.getDelayedCalls()) == 1
    run(clock, 11)
    assert not clock.getDelayedCalls()


def test_who_has_left_is_not_woken(clock, wheel):
    sleeper, other = Sleeper(clock), Sleeper(clock)
    spoke = wheel.add(sleeper, 1)
    assert wheel.add(other, 1) is spoke
    wheel.discard(sleeper, spoke)
    run(clock, 2)
    wheel.discard(other, spoke)
    assert (len(sleeper.woken), len(other.woken)) == (0, 1)


def test_when_all_have_left_there_is_no_timer(clock, wheel):
    sleepers = [(sleeper := Sleeper(clock), wheel.add(sleeper, when)) for when in (1, 2, 2, 0.5)]
    for sleeper, spoke in sleepers:
        assert len(clock.getDelayedCalls()) == 1
        wheel.discard(sleeper, spoke)
    assert not clock.getDelayedCalls()


def test_who_comes_when_those_before_it_have_left_is_woken_in_time(clock, wheel):
    wheel.discard(first := Sleeper(clock), wheel.add(first, 1))
    for when in (3, 2):
        wheel.add(later := Sleeper(clock), when)
    run(clock, 2.1)
    assert len(later.woken) == 1


def test_one_who_is_woken_may_take_another_from_the_wheel(clock, wheel):
    one = Sleeper(clock, lambda: wheel.discard(other, spoke))
    other = Sleeper(clock, lambda: wheel.discard(one, spoke))
    spoke = wheel.add(one, 1)
    assert wheel.add(other, 1) is spoke
    run(clock, 2)
    assert len(one.woken + other.woken) == 1


def test_who_is_woken_may_wait_anew_also_for_a_time_that_is_past(clock, wheel):
    again = Sleeper(clock, lambda: len(again.woken) < 4 and wheel.add(again, 1))
    wheel.add(again, 1)
    run(clock, 2)
    assert len(again.woken) == 4


def test_one_who_fails_keeps_nobody_from_being_woken(clock, wheel):
    sleepers = [Sleeper(clock, lambda: 1 / 0), Sleeper(clock, lambda: 1 / 0), Sleeper(clock)]
    for sleeper, when in zip(sleepers, (1, 1, 2), strict=True):
        wheel.add(sleeper, when)
    with capturedLogs() as logged:
        run(clock, 3)
    assert [len(each.woken) for each in sleepers] == [1, 1, 1]
    assert len(logged) == 2
