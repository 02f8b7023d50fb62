"""The median and p99 of the last acknowledgements."""

from hypothesis import given
from hypothesis import strategies as st

from mtnet.services.signals.status.latency import KEPT, LatencyWindow


def window(latencies):
    found = LatencyWindow()
    for each in latencies:
        found.add(each)
    return found


def test_a_few_latencies_have_their_median_and_their_worst():
    assert window([7]).percentiles == (7, 7)
    assert window([30, 10, 20]).percentiles == (20, 30)


def test_of_a_hundred_p99_is_the_second_worst():
    assert window([*range(1, 99), 5_000, 9_000]).percentiles == (50, 5_000)


def test_what_is_long_ago_is_forgotten():
    assert window([60_000] * KEPT + [5] * KEPT).percentiles == (5, 5)


def test_a_clock_that_was_set_back_makes_no_latency_below_nothing():
    assert window([-3_600_000, 2**40]).percentiles == (0, 2**32 - 1)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=3 * KEPT))
def test_they_are_those_of_the_last_ones_whatever_comes(latencies):
    recent = sorted(latencies[-KEPT:])
    below = [sum(each <= limit for each in recent) for limit in window(latencies).percentiles]
    assert below[0] * 2 >= len(recent)
    assert below[1] * 100 >= 99 * len(recent)
    assert set(window(latencies).percentiles) <= set(recent)
