"""How many connections a service has, and who makes room."""

import random

from mtnet.access.connection_limits import Door
from mtnet.config.schema import Access, Connections

MOST = Connections(total=100, network=3, strangers=20)


class Guest:
    def __init__(self, host="192.0.2.1", trusted=False, known=False):
        self.host, self.trusted, self.known = host, trusted, known
        self.number, self.out, self.door = 0, False, None

    def come(self, door):
        self.door = door
        return door.enter(self)

    def wait(self):
        self.door.wait(self)

    def turn_out(self):
        self.out = True
        self.door.leave(self)


def crowd(door, count, **kind):
    """Return strangers, each from a network of its own, who have come."""
    guests = [Guest(f"10.{n // 65536}.{n // 256 % 256}.{n % 256}", **kind) for n in range(count)]
    for guest in guests:
        assert guest.come(door)
        guest.wait()
    return guests


def test_a_network_has_so_many_and_another_as_many():
    door = Door(MOST, 100)
    assert [Guest().come(door) for _ in range(4)] == [True, True, True, False]
    assert Guest("192.0.2.2").come(door)
    assert door.refused["network full"] == 1


def test_who_leaves_makes_room():
    door, guest = Door(MOST, 100), Guest()
    assert all(each.come(door) for each in (guest, Guest(), Guest()))
    door.leave(guest)
    assert Guest().come(door)


def test_there_are_so_many_in_total():
    door = Door(Connections(total=2, network=9, strangers=9), 100)
    assert [Guest(f"192.0.2.{n}").come(door) for n in range(3)] == [True, True, False]
    assert door.refused["full"] == 1


def test_the_owner_of_the_machine_always_has_a_place():
    door = Door(Connections(total=1, network=1, strangers=1), 100)
    assert all(Guest("127.0.0.1", trusted=True).come(door) for _ in range(5))


def test_unix_sockets_are_not_one_network():
    door = Door(MOST, 100)
    assert all(Guest("").come(door) for _ in range(50))


def test_few_strangers_are_left_in_peace():
    door = Door(MOST, 100, chance=lambda: 0.0)
    assert not any(guest.out for guest in crowd(door, 2))


def test_of_many_strangers_some_have_to_go_and_never_more_stay_than_may():
    door = Door(Connections(total=10_000, network=3, strangers=50), 100, random.Random(1).random)
    guests = crowd(door, 2_000)
    assert door.strangers <= 50
    assert door.total == door.strangers == sum(not guest.out for guest in guests)
    assert door.refused["turned out"] == 2_000 - door.total
    assert door.report()["strangers"] == door.strangers == door.total


def test_who_came_last_is_hardly_ever_the_one_to_go():
    door, out = (
        Door(Connections(total=9_000, network=3, strangers=500), 100, random.Random(2).random),
        0,
    )
    crowd(door, 2_000)
    for number in range(1_000):
        honest = Guest(f"172.16.{number // 256}.{number % 256}")
        honest.come(door)
        honest.wait()
        for attacker in range(10):
            other = Guest(f"11.{number // 256}.{number % 256}.{attacker}")
            other.come(door)
            other.wait()
        out += honest.out
        if not honest.out:
            door.settle(honest)
            door.leave(honest)
    assert out <= 3


def test_who_is_settled_is_no_stranger_any_more():
    door = Door(MOST, 100, chance=lambda: 0.0)
    first, *_ = crowd(door, 2)
    door.settle(first)
    door.settle(first)
    assert (door.strangers, door.total) == (1, 2)


def test_those_from_known_networks_are_no_strangers():
    door = Door(MOST, 100, chance=lambda: 0.0)
    crowd(door, 90, known=True)
    assert door.strangers == 0


def test_those_who_may_do_something_already_make_room_only_where_there_is_none():
    door = Door(Connections(total=200, network=3, strangers=20), 100, random.Random(3).random)
    guests = [Guest(f"10.0.{n // 250}.{n % 250}") for n in range(1_000)]
    for number, guest in enumerate(guests):
        assert guest.come(door)
        door.wait(guest, allowed=True)
        assert door.total == min(number + 1, 200)
        assert number >= 200 or not any(each.out for each in guests)
    assert (door.strangers, door.refused["turned out"], door.refused["full"]) == (0, 800, 0)
    assert not guests[-1].out


def test_no_crowd_of_those_who_may_is_so_large_that_another_one_has_to_go():
    door = Door(Connections(total=200, network=3, strangers=20), 100, random.Random(4).random)
    out = 0
    for number in range(500):
        honest = Guest(f"172.16.{number // 256}.{number % 256}")
        assert honest.come(door)
        door.wait(honest, allowed=True)
        for attacker in range(20):
            other = Guest(f"11.{number // 256}.{number % 256}.{attacker}")
            assert other.come(door)
            door.wait(other, allowed=True)
        out += honest.out
        if not honest.out:
            door.leave(honest)
    assert out <= 3


def test_who_begins_to_speak_and_does_not_end_is_a_stranger_once():
    door = Door(MOST, 100, chance=lambda: 0.99)
    guest = Guest()
    guest.come(door)
    door.wait(guest, allowed=True)
    assert door.strangers == 0
    for _ in range(3):
        door.wait(guest)
    assert (door.strangers, guest.number) == (1, 2)
    door.leave(guest)
    assert (door.strangers, door.total) == (0, 0)


def test_whoever_has_settled_makes_room_for_nobody():
    door = Door(Connections(total=2, network=9, strangers=9), 100)
    first, second, third = (Guest(f"192.0.2.{n}") for n in range(3))
    for guest in (first, second):
        guest.come(door)
        door.wait(guest, allowed=True)
        door.settle(guest)
    assert not third.come(door)
    assert door.refused["full"] == 1


def test_a_network_that_is_full_makes_nobody_of_another_go():
    door = Door(Connections(total=3, network=2, strangers=9), 100)
    other = Guest("192.0.2.2")
    for guest in (other, Guest(), Guest()):
        guest.come(door)
        door.wait(guest, allowed=True)
    assert not Guest().come(door)
    assert (other.out, door.refused["network full"]) == (False, 1)


def test_what_is_not_said_of_a_service_is_as_usual():
    access = Access(connections={"signals": Connections(network=7)})
    assert access.of_service("signals") == Connections(total=10_000, network=7, strangers=500)
    assert access.of_service("ticks") == Connections(total=2_000, network=20, strangers=200)
    assert access.of_service("echo") == Connections(total=2_000, network=50, strangers=200)


def test_a_rush_is_so_many_in_a_second_and_who_is_refused_takes_no_place():
    door = Door(MOST, 2)
    assert [door.rushed(when) for when in (10.0, 10.0, 10.0, 10.4, 10.5)] == [0, 0, 1, 1, 0]
    assert [door.rushed(20.0) for _ in range(3)] == [0, 0, 1]
    assert door.report()["rush"] == 3
