"""Alerts of a whole daemon without sockets: incidents, messages, kills, mutes, commands."""

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from zope.interface import implementer
from zope.interface.verify import verifyObject

from mtnet.daemon.registry import installed
from mtnet.errors import ConfigError
from mtnet.interfaces import IAlertConditions, IBackup, IService, IStatus
from mtnet.services.notify.receivers import AppriseReceiver
from mtnet.testing import make_environment

OPS = "notify.ops.urls=json://127.0.0.1:1/a"
SLOW = ("alerts.slow.when=slow gold", "alerts.slow.for=5", "alerts.settle=10")
BOB = {"gold/bob": "bob is behind."}


@implementer(IService, IAlertConditions)
class Toy:
    """A component with a condition."""

    def __init__(self, env, holds):
        self._holds = holds

    def conditions(self):
        def make(text):
            if text != "gold":
                raise ConfigError(f"Invalid condition 'slow {text}'. Example: slow gold.")
            return self._check

        return {"slow": make}

    def _check(self):
        if "failing" in self._holds:
            raise RuntimeError("toy")
        return dict(self._holds)

    def start(self):
        pass

    def stop(self):
        pass


class ToyPlugin:
    name, settings, permissions, roles = "toy", None, (), {}
    listens, shared, command, connections = {}, False, None, {}

    def __init__(self, holds):
        self._holds = holds

    def build(self, env):
        return Toy(env, self._holds)


class Daemon:
    """The components of a daemon, which can be killed and started again."""

    def __init__(self, folder, *sets):
        self.folder, self.sets = folder, sets
        self.clock, self.holds, self.dead = Clock(), {}, False
        self.env = self.start()

    def start(self):
        self.dead = False
        plugins = {**installed(), "toy": ToyPlugin(self.holds)}
        self.env = make_environment(self.folder, self.clock, *self.sets, plugins=plugins)
        for each in ("alerts", "notify"):
            self.env.components.services[each].start()
        return self.env

    def kill(self):
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()

    def hold(self, holds, seconds=0):
        self.holds.clear()
        self.holds.update(holds)
        for _ in range(seconds):
            if not self.dead:
                self.clock.advance(1)

    def ask(self, command, **values):
        answers = []
        result = self.env.components.commands()[command](values)
        if hasattr(result, "addCallback"):
            result.addCallbacks(answers.append, lambda failure: answers.append(failure.value))
            return answers[0]
        return result


@pytest.fixture
def got(monkeypatch):
    sent = []
    monkeypatch.setattr(AppriseReceiver, "deliver", lambda self, title, text: sent.append(text))
    return sent


@pytest.fixture
def daemon(tmp_path, got):
    return Daemon(tmp_path, OPS, *SLOW)


def test_people_are_told_once_of_the_beginning_and_once_of_the_end(daemon, got):
    daemon.hold(BOB, 600)
    assert got == ["slow: bob is behind."]
    daemon.hold({}, 600)
    assert got[1:] == ["slow has ended after 10 min. It was: bob is behind."]


def test_a_restart_repeats_nothing(daemon, got):
    daemon.hold(BOB, 20)
    for _ in range(3):
        daemon.kill()
        daemon.start()
        daemon.hold(BOB, 60)
    assert got == ["slow: bob is behind."]
    daemon.kill()
    daemon.start()
    daemon.hold({}, 60)
    assert len(got) == 2
    assert got[1].startswith("slow has ended after 3 min.")


@pytest.mark.parametrize("command", ["save_incidents", "add", "update"])
@pytest.mark.parametrize("survives", [True, False])
def test_no_kill_loses_a_message_or_repeats_it_when_it_was_stored(
    daemon, got, monkeypatch, command, survives
):
    """The daemon dies in the first or just after each write to the disk."""
    from mtnet.services.alerts.store import AlertStore
    from mtnet.services.notify.store import MessageStore

    kind = AlertStore if hasattr(AlertStore, command) else MessageStore
    real = getattr(kind, command)

    def die(*arguments):
        if survives:
            real(*arguments)
        daemon.dead = True
        return Deferred()  # which never fires

    with monkeypatch.context() as patched:
        patched.setattr(kind, command, die)
        daemon.hold(BOB, 30)
    assert daemon.dead
    daemon.kill()
    daemon.start()
    daemon.hold(BOB, 60)
    begun = [text for text in got if text == "slow: bob is behind."]
    # Once more only where the receiver had it and the disk did not yet know.
    assert 1 <= len(begun) <= (1 if (command, survives) != ("update", False) else 2)
    daemon.hold({}, 60)
    assert sum("has ended" in text for text in got) == 1


def test_muted_nobody_is_told_over_a_restart_either(daemon, got):
    daemon.ask("alerts mute", name="slow", seconds=100)
    daemon.hold(BOB, 50)
    daemon.kill()
    daemon.start()
    daemon.hold(BOB, 40)
    assert got == []
    [row] = daemon.ask("alerts list")
    assert row["muted"]
    assert row["incidents"][0]["subject"] == "gold/bob"
    daemon.hold(BOB, 20)
    assert got == ["slow: bob is behind."]
    daemon.ask("alerts mute", name="slow", seconds=None)
    daemon.ask("alerts unmute", name="slow")
    assert not daemon.ask("alerts list")[0]["muted"]
    with pytest.raises(ConfigError, match=r"no \[alerts\.fast\]; there is slow"):
        daemon.ask("alerts mute", name="fast")


@pytest.mark.parametrize("seconds", [0, -5, 1e300, float("nan"), float("inf")])
def test_a_mute_that_cannot_be_meant_mutes_nothing(daemon, seconds):
    with pytest.raises(ConfigError, match=r"expected more than 0, and at most .*Example: 3600"):
        daemon.ask("alerts mute", name="slow", seconds=seconds)
    assert not daemon.ask("alerts list")[0]["muted"]


def test_a_test_goes_to_the_people_of_an_alert(daemon, got):
    assert daemon.ask("alerts test", name="slow") == ["ops"]
    assert got == ["This is a test of the alert slow: nothing has happened."]


@pytest.mark.parametrize(
    ("sets", "match"),
    [
        (("alerts.x.when=sloow gold",), r"alerts\.x\.when names the condition 'sloow'; there are .*"
         r"heartbeat_missing.*slow"),
        (("alerts.x.when=slow silver",), r"alerts\.x\.when: Invalid condition 'slow silver'"),
        (("alerts.x.when=slow gold", "alerts.x.to=boss"), r"alerts\.x\.to names 'boss'.*only ops"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_keeps_the_daemon_from_starting(tmp_path, got, sets, match):
    with pytest.raises(ConfigError, match=match):
        Daemon(tmp_path, OPS, *sets)


def test_without_people_alerts_are_listed_all_the_same(tmp_path):
    daemon = Daemon(tmp_path, *SLOW)
    daemon.hold(BOB, 20)
    assert daemon.ask("alerts list")[0]["incidents"][0]["text"] == "bob is behind."
    with pytest.raises(ConfigError, match="reach nobody"):
        daemon.ask("alerts test", name="slow")


def test_a_condition_that_fails_ends_nothing(daemon, got):
    daemon.hold(BOB, 20)
    daemon.hold({"failing": ""}, 60)
    assert got == ["slow: bob is behind."]


def test_the_component_keeps_its_interfaces(daemon):
    service = daemon.env.components.services["alerts"]
    for interface in (IService, IStatus, IBackup):
        assert verifyObject(interface, interface(service))


def test_nothing_is_stored_where_there_is_no_alert(tmp_path):
    Daemon(tmp_path)
    assert not (tmp_path / "alerts.sqlite").exists()


# Heartbeats


def test_a_program_that_gives_no_sign_of_life_is_an_incident(tmp_path, got):
    daemon = Daemon(tmp_path, OPS, "alerts.dead.when=heartbeat_missing backup > 300s")
    daemon.hold({}, 5)
    assert got == [
        "dead: There is no heartbeat backup: `mtnet alerts heartbeat add backup` makes it."
    ]
    got.clear()
    token = daemon.ask("alerts heartbeat add", name="backup")
    assert len(token) == 32
    heartbeats = IAlertConditions(daemon.env.components.services["alerts"])
    for _ in range(4):
        daemon.hold({}, 290)
        assert heartbeats.beat(token)
    assert [text for text in got if "sign" in text] == []
    daemon.hold({}, 310)
    assert got[-1] == "dead: backup has given no sign of life for more than 300 s."
    assert not heartbeats.beat(token[:-1])
    assert token not in (tmp_path / "alerts.sqlite").read_bytes().decode("latin-1")
    daemon.kill()
    daemon.start()
    assert IAlertConditions(daemon.env.components.services["alerts"]).beat(token)
    assert daemon.ask("alerts heartbeats")[0]["name"] == "backup"
    daemon.ask("alerts heartbeat remove", name="backup")
    assert daemon.ask("alerts heartbeats") == []
    assert isinstance(daemon.ask("alerts heartbeat add", name="a b"), ConfigError)


def test_a_restart_repeats_nothing_of_a_program_that_stays_silent(tmp_path, got):
    daemon = Daemon(tmp_path, OPS, "alerts.dead.when=heartbeat_missing > 300s")
    token = daemon.ask("alerts heartbeat add", name="backup")
    daemon.hold({}, 310)
    assert len(got) == 1
    daemon.kill()
    daemon.start()
    daemon.hold({}, 900)
    assert len(got) == 1
    daemon.kill()
    daemon.start()
    assert IAlertConditions(daemon.env.components.services["alerts"]).beat(token)
    daemon.hold({}, 70)
    assert "has ended" in got[1]
    assert len(got) == 2
