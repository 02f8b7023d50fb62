"""Many who wait, and one timer for them."""

import pytest
from twisted.logger import capturedLogs

from mtnet.net.timer_wheel import TimerWheel


class Timed:
    """Notes when it was woken, and then does something."""

    def __init__(self, clock, action=lambda: None):
        self._clock, self._action, self.woken = clock, action, []

    def fire(self):
        self.woken.append(round(self._clock.seconds(), 3))
        self._action()


@pytest.fixture
def wheel(clock):
    return TimerWheel(clock, 0.1)


def run(clock, seconds):
    clock.pump([0.01] * round(seconds * 100))


def test_each_is_woken_once_at_its_time_or_a_step_later(clock, wheel):
    timed_ones = {when: Timed(clock) for when in (3, 0.5, 1.2345, 0.51, 2.999, 0)}
    for when, timed in timed_ones.items():
        wheel.add(timed, when)
    run(clock, 5)
    for when, timed in timed_ones.items():
        (woken,) = timed.woken
        assert when <= woken <= when + 0.11


@pytest.mark.parametrize("begin", [0.0, 0.3, 1234.5, 86_400.7])
def test_a_time_on_the_grid_is_kept(clock, wheel, begin):
    clock.advance(begin)
    timed = Timed(clock)
    wheel.add(timed, clock.seconds() + 5)
    clock.advance(4.999)
    assert not timed.woken
    clock.advance(0.001)
    assert timed.woken


@pytest.mark.parametrize("begin", [0.0, 0.3, 0.3001, 1234.56])
def test_it_says_how_long_what_is_added_waits(clock, wheel, begin):
    clock.advance(begin)
    timed, wait = Timed(clock), wheel.wait(begin)
    wheel.add(timed, begin)
    clock.advance(max(0.0, wait - 1e-6))
    assert bool(timed.woken) == (wait <= 0)
    clock.advance(2e-6)
    assert timed.woken


def test_many_have_one_timer(clock, wheel):
    for number in range(1_000):
        wheel.add(Timed(clock), number / 100)
    assert len(clock.getDelayedCalls()) == 1
    run(clock, 11)
    assert not clock.getDelayedCalls()


def test_a_removed_timer_does_not_fire(clock, wheel):
    timed, other = Timed(clock), Timed(clock)
    slot = wheel.add(timed, 1)
    assert wheel.add(other, 1) is slot
    wheel.discard(timed, slot)
    run(clock, 2)
    wheel.discard(other, slot)
    assert (len(timed.woken), len(other.woken)) == (0, 1)


def test_when_all_have_left_there_is_no_timer(clock, wheel):
    timed_ones = [(timed := Timed(clock), wheel.add(timed, when)) for when in (1, 2, 2, 0.5)]
    for timed, slot in timed_ones:
        assert len(clock.getDelayedCalls()) == 1
        wheel.discard(timed, slot)
    assert not clock.getDelayedCalls()


def test_a_timer_added_after_others_were_removed_fires_in_time(clock, wheel):
    wheel.discard(first := Timed(clock), wheel.add(first, 1))
    for when in (3, 2):
        wheel.add(later := Timed(clock), when)
    run(clock, 2.1)
    assert len(later.woken) == 1


def test_one_who_is_woken_may_take_another_from_the_wheel(clock, wheel):
    one = Timed(clock, lambda: wheel.discard(other, slot))
    other = Timed(clock, lambda: wheel.discard(one, slot))
    slot = wheel.add(one, 1)
    assert wheel.add(other, 1) is slot
    run(clock, 2)
    assert len(one.woken + other.woken) == 1


def test_a_timer_that_fires_can_be_set_again_also_for_a_past_time(clock, wheel):
    again = Timed(clock, lambda: len(again.woken) < 4 and wheel.add(again, 1))
    wheel.add(again, 1)
    run(clock, 2)
    assert len(again.woken) == 4


def test_one_who_fails_keeps_nobody_from_being_woken(clock, wheel):
    timed_ones = [Timed(clock, lambda: 1 / 0), Timed(clock, lambda: 1 / 0), Timed(clock)]
    for timed, when in zip(timed_ones, (1, 1, 2), strict=True):
        wheel.add(timed, when)
    with capturedLogs() as logged:
        run(clock, 3)
    assert [len(each.woken) for each in timed_ones] == [1, 1, 1]
    assert len(logged) == 2
