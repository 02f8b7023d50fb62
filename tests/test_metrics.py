"""Metrics as values."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.metrics import Histogram


def test_a_value_counts_in_each_bucket_whose_bound_it_does_not_exceed():
    histogram = Histogram((0.1, 1.0))
    for value in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(value)
    assert histogram.buckets() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert histogram.sum == pytest.approx(3.65)


def test_a_clock_that_was_set_back_makes_no_sum_shrink():
    histogram = Histogram((0.1,))
    histogram.observe(-5.0)
    assert (histogram.sum, histogram.buckets()) == (0.0, [("0.1", 1), ("+Inf", 1)])


@given(st.lists(st.floats(0, 20)))
def test_counts_rise_from_bucket_to_bucket_up_to_all(values):
    histogram = Histogram()
    for value in values:
        histogram.observe(value)
    for bound, count in histogram.buckets():
        assert count == sum(value <= float(bound) for value in values)
