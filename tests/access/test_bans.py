"""Penalties grow, become bans, do not affect others, and are forgotten."""

import os
from ipaddress import ip_address
from itertools import count
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace

from mtnet.access.bans.penalties import Key, Penalties, Penalty
from mtnet.access.bans.policy import Bans, Offence
from mtnet.config.schema import Bans as Weights
from mtnet.errors import WireError

DAY = 86_400.0
HOST, OTHER = "192.0.2.7", "198.51.100.9"
# Three times what fits; a million shows the same and takes seven seconds.
FLOOD = 1_000_000 if os.environ.get("MTNET_TEST_EXHAUSTIVE") else 200_000


@pytest.fixture
def bans():
    return Bans(Weights())


def host_of(number, beginning="10.0.0.0", shift=0):
    return str(ip_address(int(ip_address(beginning)) + (number << shift)))


def offend(bans, offence, times, when=0.0, host=HOST, login=""):
    for _ in range(times):
        bans.punish(host, offence, when, login)


# What a guesser gets


def guesses(bans, hosts, logins, horizon, delays=()):
    """Return when somebody guesses who tries whenever it is let, after a delay or at once."""
    when, made, waits = 0.0, [], iter(delays)
    while when < horizon:
        host, login = next(hosts), next(logins)
        left = bans.login_ban_left(login, host, when, known=False)
        if not left:
            bans.punish(host, Offence.LOGIN, when, login)
            made.append(when)
        when += left or next(waits, 0.0)
    return made


def most_within(made, window):
    return max(sum(start <= each < start + window for each in made) for start in made)


def always(what):
    return (what for _ in count())


def names():
    return (f"user-{number}" for number in count())


@pytest.mark.parametrize("logins", [lambda: always("admin"), names], ids=["one", "many"])
@pytest.mark.parametrize("host", [HOST, "2001:db8::1"])
def test_an_address_can_guess_few_times_a_day_with_one_login_or_many(bans, host, logins):
    made = guesses(bans, always(host), logins(), 5 * DAY)
    assert most_within(made, 600) == 7
    assert most_within(made, DAY) == 17


@settings(deadline=None)
@given(st.lists(st.floats(0, 30), max_size=20))
def test_waiting_between_guesses_gains_nothing(delays):
    made = guesses(Bans(Weights()), always(HOST), always("admin"), 2 * DAY, delays)
    assert most_within(made, 600) <= 10
    assert most_within(made, DAY) <= 20


def test_waiting_until_penalties_are_forgotten_gains_nothing(bans):
    made, when = [], 0.0
    for _ in range(5):
        while not (left := bans.login_ban_left("admin", HOST, when, known=False)) > 600:
            when += left
            bans.punish(HOST, Offence.LOGIN, when, "admin")
            made.append(when)
        when += left + DAY
    assert most_within(made, 600) <= 10
    assert most_within(made, DAY) <= 20


def test_a_new_64_for_each_guess_is_banned_by_the_48_around_it(bans):
    hosts = (host_of(number, "2001:db8::1", 64) for number in count())
    made = guesses(bans, hosts, names(), 5 * DAY)
    assert most_within(made, 600) == 7 + 15
    assert most_within(made, DAY) == 17 + 15


def test_many_connections_at_once_gain_nothing(bans):
    offend(bans, Offence.LOGIN, 2_000, login="admin")
    assert bans.ban_left(HOST, 0) == 14_400
    offend(bans, Offence.FRAME, 1)
    assert bans.ban_left(HOST, 0) == 14_400


# What it cannot be turned to


def test_guesses_from_a_thousand_networks_do_not_ban_a_login_elsewhere(bans):
    for number in range(1_000):
        offend(bans, Offence.LOGIN, 5, host=host_of(number), login="owner")
    assert bans.login_ban_left("owner", HOST, 0, known=False) == 0
    assert bans.login_ban_left("owner", host_of(1), 0, known=False) > 0


def test_a_known_login_at_the_address_of_a_guesser_is_not_banned(bans):
    offend(bans, Offence.LOGIN, 10, login="admin")
    assert bans.login_ban_left("honest", HOST, 0, known=True) == 0
    assert bans.login_ban_left("honest", HOST, 0, known=False) > 0
    assert bans.login_ban_left("admin", HOST, 0, known=True) > 0


def test_a_good_login_forgives_the_bad_ones_of_its_name_but_not_of_its_network(bans):
    offend(bans, Offence.LOGIN, 10, login="mallory")
    bans.pardon("mallory", HOST)
    assert bans.login_ban_left("mallory", HOST, 0, known=True) == 0
    assert bans.ban_left(HOST, 0) > 0


def test_unix_sockets_are_never_punished(bans):
    offend(bans, Offence.ERROR, 20, host="")
    offend(bans, Offence.LOGIN, 20, host="", login="owner")
    assert bans.ban_left("", 0) == bans.login_ban_left("owner", "", 0, known=False) == 0
    assert len(bans) == 0
    assert bans.offences == {"login": 20, "frame": 0, "deadline": 0, "error": 20}


def test_a_48_may_do_sixteen_times_as_much_as_a_64(bans):
    offend(bans, Offence.ERROR, 2, host="2001:db8:0:1::1")
    assert bans.ban_left("2001:db8:0:1::2", 0) == 180
    assert bans.ban_left("2001:db8:0:2::1", 0) == 0
    offend(bans, Offence.ERROR, 1, host="2001:db8:0:2::1")
    assert bans.ban_left("2001:db8:0:3::1", 0) == pytest.approx(3 * 90 / 16)


# How penalties add up


def test_one_error_is_not_banned_nor_are_two_with_a_pause(bans):
    bans.punish(HOST, Offence.LOGIN, 0, "admin")
    bans.punish(HOST, Offence.LOGIN, 2, "admin")
    assert bans.login_ban_left("admin", HOST, 2, known=False) == 0


@pytest.mark.parametrize(
    ("offence", "times", "left"),
    [
        (Offence.FRAME, 7, 0),
        (Offence.FRAME, 8, 16),
        (Offence.DEADLINE, 8, 16),
        (Offence.ERROR, 1, 90),
        (Offence.ERROR, 6, 540),
        (Offence.ERROR, 7, 600),
        (Offence.LOGIN, 2, 15),
        (Offence.LOGIN, 3, 35),
    ],
)
def test_penalties_add_up_to_their_cap(bans, offence, times, left):
    offend(bans, offence, times, when=1_000.3)
    assert bans.ban_left(HOST, 1_000.3) == pytest.approx(left)


def test_a_ban_lasts_until_its_end_whatever_happens_in_between(bans):
    offend(bans, Offence.FRAME, 8)
    assert bans.ban_left(HOST, 15) == 1
    assert bans.ban_left(HOST, 16) == 0
    bans.punish(HOST, Offence.FRAME, 16)
    assert bans.ban_left(HOST, 16) == 0


def test_bad_logins_are_forgotten_a_day_after_their_penalty(bans):
    offend(bans, Offence.LOGIN, 2)
    bans.punish(HOST, Offence.LOGIN, 14 + DAY)
    assert bans.ban_left(HOST, 14 + DAY) == 20
    bans.punish(HOST, Offence.LOGIN, 34 + 2 * DAY)
    assert bans.ban_left(HOST, 34 + 2 * DAY) == 0


# A flood


def test_a_flood_of_penalties_leaves_those_that_end_last():
    penalties = Penalties(65_536, DAY)
    for number in range(FLOOD):
        penalties.put(Key(str(number)), Penalty(number, 1), 0)
    assert len(penalties) == 65_536
    assert set(penalties.all()) == {Key(str(each)) for each in range(FLOOD - 65_536, FLOOD)}


def test_a_penalty_that_grows_a_thousand_times_takes_the_room_of_one():
    penalties = Penalties(65_536, DAY)
    for number in range(FLOOD):
        penalties.put(Key(HOST), Penalty(number, 1), 0)
    assert len(penalties) == 1
    assert len(penalties._ends) < 32


def test_a_flood_displaces_neither_manual_bans_nor_long_penalties():
    bans = Bans(replace(Weights(), max_penalties=1_000))
    bans.add("203.0.113.0/24", DAY, 0)
    offend(bans, Offence.LOGIN, 10, login="admin")
    for number in range(10_000):
        bans.punish(host_of(number, "2001:db8::1", 80), Offence.FRAME, number / 200)
    assert len(bans) == 1_000 + 1
    assert bans.ban_left("203.0.113.200", 60) == DAY - 60
    assert bans.ban_left(HOST, 60) > 1_000


# By hand


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.7", "::ffff:192.0.2.7", "::ffff:192.0.2.8"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
        ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
        ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"),
        ("fe80::1", "fe80::1%eth0", "fe80::2%eth0"),
    ],
)
def test_a_manual_ban_is_permanent_and_applies_to_known_logins_too(bans, text, inside, outside):
    bans.add(text, None, 0)
    assert (
        bans.ban_left(inside, 1e9) == bans.login_ban_left("owner", inside, 1e9, known=True) == inf
    )
    assert bans.ban_left(outside, 0) == bans.ban_left("localhost", 0) == 0
    assert bans.lift(text)
    assert not bans.lift(text)
    assert bans.ban_left(inside, 0) == 0


@pytest.mark.parametrize(
    ("text", "seconds", "code"),
    [
        ("here", None, "network"),
        ("192.0.2.0/33", None, "network"),
        ("192.0.2.7", 0, "seconds"),
        ("192.0.2.7", -1, "seconds"),
        ("192.0.2.7", inf, "seconds"),
        ("192.0.2.7", float("nan"), "seconds"),
    ],
)
def test_an_invalid_ban_is_refused(bans, text, seconds, code):
    with pytest.raises(WireError) as caught:
        bans.add(text, seconds, 0)
    assert caught.value.code == code
    assert not bans.rows(0)


@pytest.mark.parametrize("text", ["2001:db8::/64", "2001:db8::1", "2001:db8::1/128"])
def test_a_network_is_lifted_by_its_name_or_an_address_with_all_its_logins(bans, text):
    offend(bans, Offence.LOGIN, 5, host="2001:db8::1", login="a@b")
    assert bans.lift("a@b@2001:db8::/64")
    assert bans.ban_left("2001:db8::1", 0) > 0
    offend(bans, Offence.LOGIN, 5, host="2001:db8::1", login="admin")
    assert bans.lift(text)
    assert bans.login_ban_left("admin", "2001:db8::1", 0, known=False) == 0
    assert not bans.lift("admin@2001:db8::/64")
    assert not bans.lift("nobody")


def test_bans_are_listed_before_other_penalties(bans):
    bans.punish(OTHER, Offence.DEADLINE, 0)
    offend(bans, Offence.LOGIN, 3, login="admin")
    bans.add("203.0.113.0/24", None, 0)
    bans.add("203.0.113.7", 10, 0)
    rows = bans.rows(10)
    assert [(each["network"], each["login"], each["seconds"]) for each in rows] == [
        ("203.0.113.0/24", "", None),
        (HOST, "admin", 25),
        (HOST, "", 25),
        (OTHER, "", 0),
    ]
    assert rows[0] == {
        "network": "203.0.113.0/24",
        "login": "",
        "seconds": None,
        "bad": 0,
        "why": "by hand",
        "by_hand": True,
    }
    assert (rows[1]["bad"], rows[1]["why"], rows[1]["by_hand"]) == (3, "login", False)
    assert bans.rows(10, most=2) == rows[:2]


# Against a naive model


SMALL = replace(
    Weights(),
    max_penalties=7,
    remember_expired=40.0,
    ipv6_48_factor=2,
    max_penalty=60.0,
    max_login_penalty=100.0,
)
PLACES = {
    "192.0.2.1": ("192.0.2.1", None),
    "::ffff:192.0.2.1": ("192.0.2.1", None),
    "192.0.2.2": ("192.0.2.2", None),
    "2001:db8:0:1::1": ("2001:db8:0:1::/64", "2001:db8::/48"),
    "2001:db8:0:1::2": ("2001:db8:0:1::/64", "2001:db8::/48"),
    "2001:db8:0:2::1": ("2001:db8:0:2::/64", "2001:db8::/48"),
}
hosts, logins = st.sampled_from(sorted(PLACES)), st.sampled_from(["ann", "bob"])


class AgainstAModel(RuleBasedStateMachine):
    """The model looks at every penalty each time, and adds up in its own way."""

    @initialize()
    def begin(self):
        self.bans, self.held, self.file = Bans(SMALL), {}, {}
        self.when, self.wall = 0, 1_700_000_000

    def forget(self):
        self.held = {k: v for k, v in self.held.items() if v["until"] + 40 > self.when}

    def add(self, key, offence, lax):
        entry = self.held.get(key, {"until": self.when, "bad": 0, "bars": False})
        weight = {"login": 5, "frame": 2, "deadline": 2, "error": 90}[offence.value] / lax
        cap = 60
        if offence is Offence.LOGIN:
            cap = 100
            entry["bad"] += 1
            for _ in range(lax, entry["bad"]):
                weight *= 2 if weight >= 5 else 2 * lax
        running = max(entry["until"], self.when)
        entry["bars"] = entry["bars"] and entry["until"] > self.when
        entry["until"] = max(entry["until"], min(running + weight, self.when + cap))
        entry["bars"] |= entry["until"] - self.when >= 15
        self.held[key] = entry
        if len(self.held) > 7:
            del self.held[min(self.held, key=lambda each: (self.held[each]["until"], each))]

    def left(self, key):
        entry = self.held.get(key)
        return max(0, entry["until"] - self.when) if entry and entry["bars"] else 0

    @rule(seconds=st.sampled_from([0, 1, 4, 15, 30, 100]))
    def wait(self, seconds):
        self.when += seconds
        self.wall += seconds
        self.forget()

    @rule(host=hosts, offence=st.sampled_from(list(Offence)), login=logins)
    def punish(self, host, offence, login):
        near, wide = PLACES[host]
        self.bans.punish(host, offence, self.when, login)
        if offence is Offence.LOGIN:
            self.add((near, login), offence, 1)
        self.add((near, ""), offence, 1)
        if wide:
            self.add((wide, ""), offence, 2)

    @rule(host=hosts, login=logins)
    def pardon(self, host, login):
        self.bans.pardon(login, host)
        self.held.pop((PLACES[host][0], login), None)

    @rule(host=hosts)
    def lift(self, host):
        near = PLACES[host][0]
        gone = [key for key in self.held if key[0] == near]
        if self.bans.lift(host) != bool(gone):
            assert not gone, "what the model has forgotten may still be there"
        for key in gone:
            del self.held[key]

    @rule()
    def restart(self):
        changes = self.bans.changes(self.when, self.wall)
        self.file.update(changes.records())
        for key in changes.gone:
            del self.file[key]
        self.bans = Bans(SMALL)
        self.bans.load(self.file.items(), 0.0, self.wall)
        for entry in self.held.values():
            entry["until"] -= self.when
        self.when = 0

    @invariant()
    def says_the_same(self):
        for host, (near, wide) in PLACES.items():
            left = max(self.left((near, "")), self.left((wide, "")))
            assert self.bans.ban_left(host, self.when) == pytest.approx(left)
            for login in ("ann", "bob"):
                own = self.left((near, login))
                got = self.bans.login_ban_left(login, host, self.when, known=True)
                assert got == pytest.approx(own)
                got = self.bans.login_ban_left(login, host, self.when, known=False)
                assert got == pytest.approx(max(own, left))
        assert len(self.bans.rows(self.when)) == len(self.held)


TestAgainstAModel = AgainstAModel.TestCase
TestAgainstAModel.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_a_manual_ban_without_penalties_bans_until_its_end():
    bans = Bans(Weights())
    assert bans.ban_left("192.0.2.1", 0.0) == 0.0
    bans.add("192.0.2.0/24", 60, 0.0)
    assert bans.ban_left("192.0.2.1", 0.0) == 60.0
    assert bans.lift("192.0.2.0/24")
    assert bans.ban_left("192.0.2.1", 0.0) == 0.0
