"""How many connections a service has, and who makes room."""

import random
from types import SimpleNamespace

import pytest

from mtnet.access.connection_limits import ConnectionLimiter
from mtnet.config.schema import Access, Connections
from mtnet.daemon.registry import connection_limits

MOST = Connections(total=100, network=3, unauthenticated=20)


class Guest:
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
    """Return strangers, each from a network of its own, who have come."""
    guests = [Guest(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", **kind) for n in range(count)]
    for guest in guests:
        assert guest.come(limiter)
        guest.wait()
    return guests


def test_a_network_has_so_many_and_another_as_many():
    limiter = ConnectionLimiter(MOST, 100)
    assert [Guest().come(limiter) for _ in range(4)] == [True, True, True, False]
    assert Guest("192.0.2.2").come(limiter)
    assert limiter.refused["network full"] == 1


def test_who_leaves_makes_room():
    limiter, guest = ConnectionLimiter(MOST, 100), Guest()
    assert all(each.come(limiter) for each in (guest, Guest(), Guest()))
    limiter.remove(guest)
    assert Guest().come(limiter)


def test_there_are_so_many_in_total():
    limiter = ConnectionLimiter(Connections(total=2, network=9, unauthenticated=9), 100)
    assert [Guest(f"192.0.2.{n}").come(limiter) for n in range(3)] == [True, True, False]
    assert limiter.refused["full"] == 1


def test_the_owner_of_the_machine_always_has_a_place():
    limiter = ConnectionLimiter(Connections(total=1, network=1, unauthenticated=1), 100)
    assert all(Guest("127.0.0.1", trusted=True).come(limiter) for _ in range(5))


def test_unix_sockets_are_not_one_network():
    limiter = ConnectionLimiter(MOST, 100)
    assert all(Guest("").come(limiter) for _ in range(50))


def test_few_strangers_are_left_in_peace():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    assert not any(guest.out for guest in crowd(limiter, 2))


def test_of_many_strangers_some_have_to_go_and_never_more_stay_than_may():
    limiter = ConnectionLimiter(
        Connections(total=10_000, network=3, unauthenticated=50), 100, random.Random(1).random
    )
    guests = crowd(limiter, 2_000)
    assert limiter.unauthenticated <= 50
    assert limiter.total == limiter.unauthenticated == sum(not guest.out for guest in guests)
    assert limiter.refused["turned out"] == 2_000 - limiter.total
    assert limiter.report()["strangers"] == limiter.unauthenticated == limiter.total


def test_who_came_last_is_hardly_ever_the_one_to_go():
    limiter, out = (
        ConnectionLimiter(
            Connections(total=9_000, network=3, unauthenticated=500), 100, random.Random(2).random
        ),
        0,
    )
    crowd(limiter, 2_000)
    for number in range(1_000):
        honest = Guest(f"172.16.{number // 256}.{number % 256}")
        honest.come(limiter)
        honest.wait()
        for attacker in range(10):
            other = Guest(f"11.{number // 256}.{number % 256}.{attacker}")
            other.come(limiter)
            other.wait()
        out += honest.out
        if not honest.out:
            limiter.mark_active(honest)
            limiter.remove(honest)
    assert out <= 3


def test_who_is_settled_is_no_stranger_any_more():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    first, *_ = crowd(limiter, 2)
    limiter.mark_active(first)
    limiter.mark_active(first)
    assert (limiter.unauthenticated, limiter.total) == (1, 2)


def test_those_from_known_networks_are_no_strangers():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.0)
    crowd(limiter, 90, known=True)
    assert limiter.unauthenticated == 0


def test_those_who_may_do_something_already_make_room_only_where_there_is_none():
    limiter = ConnectionLimiter(
        Connections(total=200, network=3, unauthenticated=20), 100, random.Random(3).random
    )
    guests = [Guest(f"10.0.{n // 250}.{n % 250}") for n in range(1_000)]
    for number, guest in enumerate(guests):
        assert guest.come(limiter)
        limiter.mark_unauthenticated(guest, allowed=True)
        assert limiter.total == min(number + 1, 200)
        assert number >= 200 or not any(each.out for each in guests)
    assert (limiter.unauthenticated, limiter.refused["turned out"], limiter.refused["full"]) == (
        0,
        800,
        0,
    )
    assert not guests[-1].out


def test_no_crowd_of_those_who_may_is_so_large_that_another_one_has_to_go():
    limiter = ConnectionLimiter(
        Connections(total=200, network=3, unauthenticated=20), 100, random.Random(4).random
    )
    out = 0
    for number in range(500):
        honest = Guest(f"172.16.{number // 256}.{number % 256}")
        assert honest.come(limiter)
        limiter.mark_unauthenticated(honest, allowed=True)
        for attacker in range(20):
            other = Guest(f"11.{number // 256}.{number % 256}.{attacker}")
            assert other.come(limiter)
            limiter.mark_unauthenticated(other, allowed=True)
        out += honest.out
        if not honest.out:
            limiter.remove(honest)
    assert out <= 3


def test_who_begins_to_speak_and_does_not_end_is_a_stranger_once():
    limiter = ConnectionLimiter(MOST, 100, chance=lambda: 0.99)
    guest = Guest()
    guest.come(limiter)
    limiter.mark_unauthenticated(guest, allowed=True)
    assert limiter.unauthenticated == 0
    for _ in range(3):
        limiter.mark_unauthenticated(guest)
    assert (limiter.unauthenticated, guest.number) == (1, 2)
    limiter.remove(guest)
    assert (limiter.unauthenticated, limiter.total) == (0, 0)


def test_whoever_has_settled_makes_room_for_nobody():
    limiter = ConnectionLimiter(Connections(total=2, network=9, unauthenticated=9), 100)
    first, second, third = (Guest(f"192.0.2.{n}") for n in range(3))
    for guest in (first, second):
        guest.come(limiter)
        limiter.mark_unauthenticated(guest, allowed=True)
        limiter.mark_active(guest)
    assert not third.come(limiter)
    assert limiter.refused["full"] == 1


def test_a_network_that_is_full_makes_nobody_of_another_go():
    limiter = ConnectionLimiter(Connections(total=3, network=2, unauthenticated=9), 100)
    other = Guest("192.0.2.2")
    for guest in (other, Guest(), Guest()):
        guest.come(limiter)
        limiter.mark_unauthenticated(guest, allowed=True)
    assert not Guest().come(limiter)
    assert (other.out, limiter.refused["network full"]) == (False, 1)


# Settings


@pytest.mark.parametrize(
    ("service", "limits"),
    [
        ("signals", Connections(total=10_000, network=7, unauthenticated=500)),
        ("templates", Connections(total=1_000, network=10, unauthenticated=100)),
        ("ticks", Connections(total=2_000, network=20, unauthenticated=200)),
        ("any", Connections(total=10_000, network=50, unauthenticated=500)),
        ("web", Connections(total=2_000, network=50, unauthenticated=200)),
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


def test_a_rush_is_so_many_in_a_second_and_who_is_refused_takes_no_place():
    limiter = ConnectionLimiter(MOST, 2)
    assert [limiter.over_rate(when) for when in (10.0, 10.0, 10.0, 10.4, 10.5)] == [0, 0, 1, 1, 0]
    assert [limiter.over_rate(20.0) for _ in range(3)] == [0, 0, 1]
    assert limiter.report()["rush"] == 3
