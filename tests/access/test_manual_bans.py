"""Networks that the owner has banned, against brute force."""

import time
from ipaddress import ip_address, ip_network
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtnet.access.bans.manual import REASON, ManualBans
from mtnet.access.bans.penalties import Key, Penalty


def ban(until):
    return Penalty(until, until, enforced=True, why=REASON)


def put(bans, network, until):
    bans.put(ip_network(network), ban(until))


@pytest.fixture
def bans():
    return ManualBans()


def test_a_network_and_everything_in_it_is_banned(bans):
    put(bans, "192.0.2.0/24", 60.0)
    assert bans.left(ip_address("192.0.2.0"), 0.0) == 60.0
    assert bans.left(ip_address("192.0.2.255"), 20.0) == 40.0
    assert bans.left(ip_address("192.0.3.0"), 0.0) == 0.0
    assert bans.left(ip_address("2001:db8::1"), 0.0) == 0.0


def test_of_several_bans_the_longest_counts(bans):
    put(bans, "192.0.0.0/16", 10.0)
    put(bans, "192.0.2.0/24", 60.0)
    put(bans, "192.0.2.7", 30.0)
    assert bans.left(ip_address("192.0.2.7"), 0.0) == 60.0
    assert bans.left(ip_address("192.0.9.9"), 0.0) == 10.0


def test_a_second_ban_of_a_network_replaces_the_first(bans):
    put(bans, "192.0.2.0/24", inf)
    put(bans, "192.0.2.0/24", 5.0)
    assert (len(bans), bans.left(ip_address("192.0.2.1"), 0.0)) == (1, 5.0)


def test_a_ban_is_lifted_by_its_network_alone(bans):
    put(bans, "192.0.2.0/24", inf)
    assert not bans.drop(ip_network("192.0.2.0/25"))
    assert bans.drop(ip_network("192.0.2.0/24"))
    assert not bans.drop(ip_network("192.0.2.0/24"))
    assert (len(bans), bans.left(ip_address("192.0.2.1"), 0.0)) == (0, 0.0)


def test_bans_that_are_over_are_listed_until_they_expire(bans):
    put(bans, "192.0.2.1", 10.0)
    put(bans, "2001:db8::/32", inf)
    assert bans.left(ip_address("192.0.2.1"), 10.0) == 0.0
    assert bans.all() == {
        Key("192.0.2.1/32", by_hand=True): ban(10.0),
        Key("2001:db8::/32", by_hand=True): ban(inf),
    }
    bans.expire(10.0)
    assert list(bans.all()) == [Key("2001:db8::/32", by_hand=True)]


def test_everything_of_one_version_can_be_banned(bans):
    put(bans, "0.0.0.0/0", 5.0)
    assert bans.left(ip_address("203.0.113.9"), 0.0) == 5.0
    assert bans.left(ip_address("::"), 0.0) == 0.0


addresses = st.one_of(
    st.builds(lambda n: ip_address(0xC0000200 + n), st.integers(0, 15)),
    st.builds(lambda n: ip_address((0x20010DB8 << 96) + n), st.integers(0, 15)),
)
networks = st.builds(
    lambda address, free: ip_network((address, address.max_prefixlen - free), strict=False),
    addresses,
    st.integers(0, 5),
)
steps = st.lists(st.tuples(networks, st.one_of(st.none(), st.integers(1, 20))), max_size=20)


@given(steps, addresses, st.integers(0, 25))
def test_a_lookup_finds_what_a_loop_over_all_networks_finds(steps, address, when):
    bans, model = ManualBans(), {}
    for network, until in steps:
        if until is None:
            assert bans.drop(network) == (model.pop(network, None) is not None)
        else:
            bans.put(network, ban(float(until)))
            model[network] = float(until)
    left = [max(0.0, until - when) for network, until in model.items() if address in network]
    assert bans.left(address, when) == max(left, default=0.0)
    assert len(bans) == len(model)
    bans.expire(when)
    assert len(bans) == sum(until > when for until in model.values())


def test_a_lookup_among_many_bans_takes_no_longer_than_among_few(bans):
    for number in range(20_000):
        bans.put(ip_network((number << 8, 24)), ban(inf))
    address, started = ip_address("203.0.113.9"), time.perf_counter()
    for _ in range(1_000):
        assert bans.left(address, 0.0) == 0.0
    assert time.perf_counter() - started < 1.0, "a loop over all takes more than ten seconds"
