"""What connections without an account may do."""

import pytest

from mtnet.access.limits import LogLimit, network
from mtnet.access.rights import RIGHTS, Access, is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_may_do_everything(host):
    assert is_loopback(host)
    assert Access(None).rights(host, proxied=False) == set(RIGHTS)


@pytest.mark.parametrize("host", ["192.0.2.1", "0.0.0.0", "::", "", "localhost", "/run/socket"])
def test_strangers_may_do_what_anonymous_says(host):
    assert not is_loopback(host)
    assert Access(None).rights(host, proxied=False) == set()
    assert Access(["follow"]).rights(host, proxied=False) == {"follow"}


def test_behind_a_proxy_nobody_is_the_owner():
    assert Access(["fetch"]).rights("127.0.0.1", proxied=True) == {"fetch"}


def test_hosts_are_counted_by_network():
    assert network("192.0.2.1") == network("::ffff:192.0.2.1") == "192.0.2.1"
    assert network("2001:db8::1") == network("2001:db8::ffff:2")
    assert network("2001:db8::1") != network("2001:db8:0:1::1")


def test_a_network_fills_the_log_no_more_than_its_burst_in_a_window():
    limit = LogLimit(burst=2, window=60)
    assert [limit.admits("192.0.2.1", when) for when in (0, 1, 2, 59, 60)] == [1, 1, 0, 0, 1]
    assert limit.admits("192.0.2.2", 2)


def test_the_networks_that_are_remembered_are_bounded():
    limit = LogLimit(burst=1, networks=2)
    for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
        assert limit.admits(host, 0)
    assert limit.admits("192.0.2.1", 0)
    assert not limit.admits("192.0.2.3", 0)
