"""The throttle of log lines, and the token bucket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.access.addresses import network_of
from mtnet.access.throttle import LogThrottle, TokenBucket


def test_hosts_are_counted_by_their_network():
    assert network_of("192.0.2.1") == network_of("::ffff:192.0.2.1") == "192.0.2.1"
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:2")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")


def test_a_network_has_a_number_of_log_lines_in_a_window():
    limit = LogThrottle(burst=2, window=60)
    assert [limit.admits("192.0.2.1", when) for when in (0, 1, 2, 59, 60)] == [1, 1, 0, 0, 1]
    assert limit.admits("192.0.2.2", 2)


def test_the_number_of_counted_networks_is_bounded():
    limit = LogThrottle(burst=1, networks=2)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert limit.admits(host, 0)
    assert limit.admits("192.0.2.1", 0)
    assert not limit.admits("192.0.2.3", 0)


def test_many_networks_together_have_a_number_of_log_lines_of_one_kind():
    limit = LogThrottle(kind=3, window=60)
    got = [limit.admits(f"192.0.2.{n}", 1.0, kind) for kind in "ab" for n in range(10)]
    assert got == ([True] * 3 + [False] * 7) * 2
    assert limit.left_out == 14
    assert limit.admits("192.0.2.99", 61.0, "a")


def test_a_token_bucket_allows_one_second_at_once_and_then_a_rate():
    budget = TokenBucket(10, 0.0)
    assert budget.spend(10, 0.0) == 0
    assert budget.spend(5, 0.0) == pytest.approx(0.5)
    assert budget.spend(0, 0.5) == pytest.approx(0)
    assert budget.spend(10, 100.0) == 0


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 3)), max_size=50))
def test_waiting_as_asked_gives_no_more_than_the_rate(spent):
    rate, when = 10.0, 0.0
    budget, total = TokenBucket(rate, when), 0
    for count, idle in spent:
        when += budget.spend(count, when) + idle
        total += count
    assert total <= rate * (when + 1) + 1e-6
