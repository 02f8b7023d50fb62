"""Limits of connections, and evictions."""

import random
from types import SimpleNamespace

import pytest

from mtnet.access.connection_limits import ConnectionLimiter
from mtnet.config.schema import Access, Connections
from mtnet.daemon.registry import connection_limits

MOST = Connections(total=100, network=3, unauthenticated=20)
WIDE = Connections(total=10_000, network=50, known_network=500, unauthenticated=500)


class FakeConnection:
    def __init__(self, host="192.0.2.1", trusted=False, known=False):
        self.host, self.trusted, self.known = host, trusted, known
        self.number, self.out, self.limiter = 0, False, None

    def come(self, limiter):
        self.limiter = limiter
        return limiter.admit(self)

    def wait(self):
        self.limiter.mark_unauthenticated(self)

    def evict(self):
        self.out = True
        self.limiter.remove(self)


def crowd(limiter, count, **kind):
    """Return unauthenticated connections, each from a network of its own."""
    connections = [
        FakeConnection(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", **kind) for n in range(count)
    ]
    for connection in connections:
        assert connection.come(limiter)
        connection.wait()
    return connections


def test_each_network_has_the_same_limit():
    limiter = ConnectionLimiter(MOST, 100)
    assert [FakeConnection().come(limiter) for _ in range(4)] == [True, True, True, False]
    assert FakeConnection("192.0.2.2").come(limiter)
    assert limiter.refused["network full"] == 1


def test_a_network_from_which_somebody_has_logged_in_may_have_more():
    limits = Connections(total=100, network=3, known_network=5, unauthenticated=20)
    limiter = ConnectionLimiter(limits, 100)
    assert [FakeConnection().come(limiter) for _ in range(4)] == [True, True, True, False]
    known = [FakeConnection(known=True).come(limiter) for _ in range(3)]
    assert known == [True, True, False]
    limiter = ConnectionLimiter(MOST, 100)
    known = [FakeConnection(known=True).come(limiter) for _ in range(4)]
    assert known == [True, True, True, False]


def test_a_connection_that_ends_makes_room():
    limiter, connection = ConnectionLimiter(MOST, 100), FakeConnection()
    assert all(each.come(limiter) for each in (connection, FakeConnection(), FakeConnection()))
    limiter.remove(connection)
    assert FakeConnection().come(limiter)


def test_the_total_is_limited():
    limiter = ConnectionLimiter(Connections(total=2, network=9, unauthenticated=9), 100)
    assert [FakeConnection(f"192.0.2.{n}").come(limiter) for n in range(3)] == [True, True, False]
    assert limiter.refused["full"] == 1


def test_the_owner_of_the_machine_always_has_a_place():
    limiter = ConnectionLimiter(Connections(total=1, network=1, unauthenticated=1), 100)
    assert all(FakeConnection("127.0.0.1", trusted=True).come(limiter) for _ in range(5))


def test_unix_sockets_are_not_one_network():
    limiter = ConnectionLimiter(MOST, 100)
    assert all(FakeConnection("").come(limiter) for _ in range(50))


def test_few_unauthenticated_connections_are_not_evicted():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    assert not any(connection.out for connection in crowd(limiter, 2))


def test_unauthenticated_connections_are_evicted_up_to_their_limit():
    limiter = ConnectionLimiter(
        Connections(total=10_000, network=3, unauthenticated=50), 100, random.Random(1).random
    )
    connections = crowd(limiter, 2_000)
    assert limiter.unauthenticated <= 50
    assert (
        limiter.total
        == limiter.unauthenticated
        == sum(not connection.out for connection in connections)
    )
    assert limiter.refused["turned out"] == 2_000 - limiter.total
    assert limiter.report()["strangers"] == limiter.unauthenticated == limiter.total


def test_the_newest_connection_is_hardly_ever_evicted():
    limiter, out = (
        ConnectionLimiter(
            Connections(total=9_000, network=3, unauthenticated=500), 100, random.Random(2).random
        ),
        0,
    )
    crowd(limiter, 2_000)
    for number in range(1_000):
        honest = FakeConnection(f"172.16.{number // 256}.{number % 256}")
        honest.come(limiter)
        honest.wait()
        for attacker in range(10):
            other = FakeConnection(f"11.{number // 256}.{number % 256}.{attacker}")
            other.come(limiter)
            other.wait()
        out += honest.out
        if not honest.out:
            limiter.mark_active(honest)
            limiter.remove(honest)
    assert out <= 3


def test_an_active_connection_is_not_evictable():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    first, *_ = crowd(limiter, 2)
    limiter.mark_active(first)
    limiter.mark_active(first)
    assert (limiter.unauthenticated, limiter.total) == (1, 2)


def test_connections_from_known_networks_are_not_evictable():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    crowd(limiter, 90, known=True)
    assert limiter.unauthenticated == 0


def test_silent_connections_with_rights_are_evicted_only_when_the_service_is_full():
    limiter = ConnectionLimiter(
        Connections(total=200, network=3, unauthenticated=20), 100, random.Random(3).random
    )
    connections = [FakeConnection(f"10.0.{n // 250}.{n % 250}") for n in range(1_000)]
    for number, connection in enumerate(connections):
        assert connection.come(limiter)
        limiter.mark_unauthenticated(connection, allowed=True)
        assert limiter.total == min(number + 1, 200)
        assert number >= 200 or not any(each.out for each in connections)
    assert (limiter.unauthenticated, limiter.refused["turned out"], limiter.refused["full"]) == (
        0,
        800,
        0,
    )
    assert not connections[-1].out


def test_a_crowd_with_rights_does_not_displace_others():
    limiter = ConnectionLimiter(
        Connections(total=200, network=3, unauthenticated=20), 100, random.Random(4).random
    )
    out = 0
    for number in range(500):
        honest = FakeConnection(f"172.16.{number // 256}.{number % 256}")
        assert honest.come(limiter)
        limiter.mark_unauthenticated(honest, allowed=True)
        for attacker in range(20):
            other = FakeConnection(f"11.{number // 256}.{number % 256}.{attacker}")
            assert other.come(limiter)
            limiter.mark_unauthenticated(other, allowed=True)
        out += honest.out
        if not honest.out:
            limiter.remove(honest)
    assert out <= 3


def test_an_unfinished_command_makes_a_connection_unauthenticated_once():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.99)
    connection = FakeConnection()
    connection.come(limiter)
    limiter.mark_unauthenticated(connection, allowed=True)
    assert limiter.unauthenticated == 0
    for _ in range(3):
        limiter.mark_unauthenticated(connection)
    assert (limiter.unauthenticated, connection.number) == (1, 2)
    limiter.remove(connection)
    assert (limiter.unauthenticated, limiter.total) == (0, 0)


def test_an_active_connection_is_never_evicted_to_make_room():
    limiter = ConnectionLimiter(Connections(total=2, network=9, unauthenticated=9), 100)
    first, second, third = (FakeConnection(f"192.0.2.{n}") for n in range(3))
    for connection in (first, second):
        connection.come(limiter)
        limiter.mark_unauthenticated(connection, allowed=True)
        limiter.mark_active(connection)
    assert not third.come(limiter)
    assert limiter.refused["full"] == 1


def test_a_full_network_evicts_no_connection_of_another():
    limiter = ConnectionLimiter(Connections(total=3, network=2, unauthenticated=9), 100)
    other = FakeConnection("192.0.2.2")
    for connection in (other, FakeConnection(), FakeConnection()):
        connection.come(limiter)
        limiter.mark_unauthenticated(connection, allowed=True)
    assert not FakeConnection().come(limiter)
    assert (other.out, limiter.refused["network full"]) == (False, 1)


# Settings


@pytest.mark.parametrize(
    ("service", "limits"),
    [
        ("signals", Connections(total=10_000, network=7, unauthenticated=500)),
        ("templates", Connections(total=1_000, network=10, unauthenticated=100)),
        ("ticks", Connections(total=2_000, network=20, unauthenticated=200)),
        *((name, WIDE) for name in ("any", "web")),
        ("echo", Connections(total=2_000, network=50, unauthenticated=9)),
    ],
)
def test_a_limit_is_configured_or_the_service_s_or_the_usual_one(service, limits):
    configured = {"signals": Connections(network=7), "echo": Connections(unauthenticated=9)}
    access = Access(connections=configured).with_defaults(connection_limits())
    assert access.limits(service) == limits


def test_a_service_of_a_package_outside_brings_its_own_limits():
    plugins = {"jobs": SimpleNamespace(connections={"network": 3}), "old": SimpleNamespace()}
    assert connection_limits(plugins) == {"jobs": Connections(network=3)}


def test_the_rate_of_unauthenticated_connections_is_limited_and_refused_ones_do_not_count():
    limiter = ConnectionLimiter(MOST, 2)
    assert [limiter.over_rate(when) for when in (10.0, 10.0, 10.0, 10.4, 10.5)] == [0, 0, 1, 1, 0]
    assert [limiter.over_rate(20.0) for _ in range(3)] == [0, 0, 1]
    assert limiter.report()["rush"] == 3
