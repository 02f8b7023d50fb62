"""Conditions about the daemon itself."""

import pytest
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from mtnet.access.bans.policy import Offence
from mtnet.daemon.conditions import DaemonConditions
from mtnet.durations import DAY_MS
from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions
from mtnet.storage.space import Space
from mtnet.testing import EPOCH, make_environment

HEALTHY = {"healthy": True}


class Certificates:
    def expiries(self):
        return {"default": EPOCH + 20 * DAY_MS, "fx.example": EPOCH + 3 * DAY_MS}


@pytest.fixture
def env(tmp_path):
    return make_environment(tmp_path, Clock(), plugins={})


@pytest.fixture
def health():
    return {"healthy": True, "trouble": [], "disk": HEALTHY, "toy": HEALTHY, "tls": HEALTHY}


@pytest.fixture
def conditions(env, health):
    return DaemonConditions(env.access, lambda: health, Certificates(), env.clock, env.now)


def holds(conditions, when):
    word, _, text = when.partition(" ")
    return conditions.conditions()[word](text)()


def test_a_disk_is_low_by_bytes_or_by_its_share(conditions):
    assert holds(conditions, "disk_low < 5GiB") == {}, "unknown"
    conditions.space = Space(4 * 2**30, 100 * 2**30)
    text = "The disk of the data folder has 4.0 GiB left."
    for when in ("disk_low < 5GiB", "disk_low < 5 GB", "disk_low < 10%"):
        assert holds(conditions, when) == {"disk": text}
    for when in ("disk_low < 3GiB", "disk_low < 4%"):
        assert holds(conditions, when) == {}


def test_the_space_of_a_disk_is_known(tmp_path):
    free, total = Space.of(tmp_path)
    assert 0 <= free <= total
    assert Space.of(tmp_path / "missing") is None


def test_a_disk_in_trouble_is_told_by_each_part_but_not_damage_or_a_certificate(conditions, health):
    assert holds(conditions, "disk_trouble") == {}
    health["toy"] = {"healthy": False, "trouble": "The disk has not answered for 7 s"}
    health["tls"] = {"healthy": False, "trouble": "it expired"}
    health["other"] = {"healthy": False, "damaged": ["gold"]}
    assert holds(conditions, "disk_trouble") == {"toy": "toy: The disk has not answered for 7 s"}


def test_a_certificate_that_expires_is_named(conditions):
    assert list(holds(conditions, "certificate_expires < 14d")) == ["fx.example"]
    assert len(holds(conditions, "certificate_expires < 30d")) == 2
    text = holds(conditions, "certificate_expires < 14d")["fx.example"]
    assert text == "The certificate of fx.example expires on 2023-11-17."


def test_a_ban_is_one_condition_a_network_or_a_number(conditions, env):
    assert holds(conditions, "banned") == {}
    for _ in range(10):
        env.access.bans.punish("192.0.2.7", Offence.FRAME, env.clock.seconds())
    env.clock.advance(11)
    assert holds(conditions, "banned") == {"192.0.2.7": "192.0.2.7 is banned (frame)."}
    assert holds(conditions, "banned > 1") == {}
    assert holds(conditions, "banned > 0") == {"bans": "1 networks and logins are banned."}


def test_a_login_from_a_new_network_holds_for_ten_minutes(conditions, env):
    accounts = env.access.accounts
    accounts.logged_in("bob", "192.0.2.7", env.now())
    env.clock.advance(300)
    accounts.logged_in("bob", "192.0.2.7", env.now())
    accounts.logged_in("eve", "192.0.2.7", env.now())
    assert list(holds(conditions, "login_new_network")) == ["bob@192.0.2.7", "eve@192.0.2.7"]
    assert list(holds(conditions, "login_new_network eve")) == ["eve@192.0.2.7"]
    env.clock.advance(301)
    assert list(holds(conditions, "login_new_network")) == ["eve@192.0.2.7"]


@pytest.mark.parametrize(
    "when",
    [
        *("disk_low", "disk_low > 5GiB", "disk_low < 5s", "disk_trouble > 3"),
        *(
            "certificate_expires",
            "certificate_expires < 14",
            "banned > 3s",
            "login_new_network > 1",
        ),
    ],
)
def test_what_cannot_be_read_is_shown_with_a_right_one(conditions, when):
    with pytest.raises(
        ConfigError, match=f"Invalid condition '{when}'. Example: {when.split()[0]}"
    ):
        holds(conditions, when)


def test_the_interface_is_kept(conditions):
    assert verifyObject(IAlertConditions, conditions)
