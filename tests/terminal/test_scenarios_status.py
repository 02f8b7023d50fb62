"""Experts and a real daemon: what `mtnet signals status` says of terminals in trouble."""

import json
import shutil
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

from imitation.scene import FOLLOWER, PROVIDER
from imitation.server import LOOPBACK
from imitation.waiting import PATIENCE, until

NEEDY = 3
"""The exit status when somebody must act."""
REAL_TIME = {"SPEED": 1}
"""For waits of the daemon, whose time does not run faster."""
SECOND = 1000
TROUBLED = ("off", "poor", "stuck", "gone", "stopped")
"""Followers, by their login."""


def printed(scene):
    """Return the participants of `mtnet signals status --json`, and its exit status."""
    program = (sys.executable, "-m", "mtnet", "signals", "status", "--json")
    data = f"--data={scene.server.data}"
    done = subprocess.run([*program, data], capture_output=True, text=True, check=False)
    return json.loads(done.stdout)["participants"], done.returncode


def participants(scene):
    return scene.server.ask("status")["signals"]["participants"]


def judged(rows, role):
    """Return status and codes of warnings by login; a provider also follows its channel."""
    return {
        row["who"].partition("/")[0]: (row["status"], {each["code"] for each in row["warnings"]})
        for row in rows
        if row["role"] == role
    }


def test_each_terminal_in_trouble_has_a_status_that_says_why(scene_at):
    scene = scene_at(accounts=dict.fromkeys(TROUBLED, "follower") | {"alice": "provider"})
    provider = scene.provider(**scene.logged_in("alice"))
    off, poor, stuck, gone, stopped = followers = [
        scene.follower(login, LOGIN=FOLLOWER + number, **scene.logged_in(login))
        for number, login in enumerate(TROUBLED)
    ]
    provider.say("set EURUSD 0.5")
    scene.settle(provider, *followers)
    until(lambda: {row["status"] for row in participants(scene)} == {"ok"})

    off.say("trade_allowed 0")
    poor.say("money 0.1")
    stuck.say("symbol EURUSD mode 0")
    gone.kill()
    stopped.quit()
    provider.say("trade_allowed 0", "set GBPUSD 0.3", "set EURUSD 0")
    refused = {"wrong_volume", "refused", "provider_trading_off"}
    expected = {
        "off": ("error", {"trading_off", *refused}),
        "poor": ("error", refused),
        "stuck": ("error", refused),
        "gone": ("offline", {"offline", "provider_trading_off"}),
        "stopped": ("offline", {"switched_off", "provider_trading_off"}),
    }
    until(lambda: expected.items() <= judged(participants(scene), "follower").items())
    rows, status = printed(scene)
    assert judged(rows, "provider") == {"alice": ("error", {"provider_trading_off"})}
    assert expected.items() <= judged(rows, "follower").items()
    assert status == NEEDY


def test_a_terminal_that_may_trade_again_has_no_warning(scene):
    provider, follower = scene.provider(), scene.follower()
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    follower.say("trade_allowed 0")
    until(lambda: "trading_off" in str(participants(scene)))
    follower.say("trade_allowed 1")
    until(lambda: "trading_off" not in str(participants(scene)))


def test_a_provider_whose_terminal_hangs_is_silent(scene_at):
    scene = scene_at("signals.heartbeat=10", accounts={"alice": "provider", "bob": "follower"})
    provider = scene.provider(**REAL_TIME, **scene.logged_in("alice"))
    follower = scene.follower(**REAL_TIME, **scene.logged_in("bob"))
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    provider.say(f"stall {28 * SECOND}")
    silent = {"provider_silent"}
    until(lambda: judged(participants(scene), "provider") == {"alice": ("error", silent)})
    until(lambda: judged(participants(scene), "follower")["bob"] == ("warning", silent))
    provider.kill()


def test_a_follower_whose_terminal_hangs_is_blind_and_acknowledges_nothing(scene_at):
    scene = scene_at("signals.heartbeat=10", accounts={"alice": "provider", "bob": "follower"})
    provider = scene.provider(**REAL_TIME, **scene.logged_in("alice"))
    follower = scene.follower(**REAL_TIME, **scene.logged_in("bob"))
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    follower.say(f"stall {28 * SECOND}")
    provider.say("set EURUSD 0.7")
    until(lambda: codes(scene, "bob") == {"blind", "not_acknowledged"})
    follower.kill()


# Channels


def codes(scene, login, role="follower"):
    return judged(participants(scene), role).get(login, ("", set()))[1]


def test_each_situation_of_a_channel_has_a_status_that_says_why(scene_at):
    people = {"alice": "provider", "anna": "provider", "bob": "follower"}
    scene = scene_at(accounts=people)
    bob = scene.follower("bob", InpMultiplier=2, **scene.logged_in("bob"))
    until(lambda: codes(scene, "bob") == {"no_provider"})
    alice = scene.provider("alice", **scene.logged_in("alice"))
    alice.say("set EURUSD 0.5")
    until(lambda: bob.holds(EURUSD=1))
    until(lambda: codes(scene, "bob") == {"other_volume"})

    for command, code in (("pause", "paused"), ("freeze", "frozen")):
        scene.command(command)
        until(lambda code=code: codes(scene, "bob") == {"other_volume", code})
        assert codes(scene, "alice", "provider") == {code}
    scene.command("resume")

    anna = scene.provider("anna", LOGIN=PROVIDER + 1, InpTakeOver="true", **scene.logged_in("anna"))
    anna.say("set EURUSD 0.5", "set GBPUSD 0.1")
    until(lambda: alice.mentions("another publisher holds the channel"))
    alice.quit()
    anna.quit()
    until(lambda: codes(scene, "anna", "provider") == {"provider_switched_off"})
    until(lambda: codes(scene, "bob") == {"other_volume", "provider_switched_off"})

    anna.start()
    anna.say("set GBPUSD 0.2")
    until(lambda: codes(scene, "anna", "provider") == set())
    anna.kill()
    until(lambda: codes(scene, "anna", "provider") == {"provider_offline"})
    until(lambda: codes(scene, "bob") == {"other_volume", "provider_offline"})


def test_a_journal_that_went_back_or_is_damaged_is_an_error_of_the_follower(scene_at):
    scene = scene_at(accounts={"alice": "provider", "bob": "follower"})
    provider = scene.provider(**scene.logged_in("alice"))
    follower = scene.follower(**scene.logged_in("bob"))
    provider.say("set EURUSD 0.5")
    scene.settle(provider, follower)
    scene.server.end()
    old = scene.server.folder / "old"
    shutil.copytree(scene.server.data, old)
    scene.server.start()
    provider.say("set EURUSD 0.7")
    scene.settle(provider, follower)
    provider.kill()
    scene.server.end()
    scene.server.data = old
    scene.server.start()
    until(lambda: "diverged" in codes(scene, "bob"))
    scene.server.end()
    with closing(sqlite3.connect(old / "signals.sqlite")) as journal, journal:
        journal.execute("DELETE FROM entry WHERE seq = 1")
    scene.server.start()
    until(lambda: "damaged" in codes(scene, "bob"))


def test_each_situation_of_a_view_has_a_status_that_says_why(scene_at):
    people = {"alice": "provider", "sue": "provider", "bob": "follower", "dave": "follower"}
    scene = scene_at(accounts=people)
    alice = scene.provider("alice", **scene.logged_in("alice"))
    sue = scene.provider("sue", LOGIN=PROVIDER + 1, InpChannel="silver", **scene.logged_in("sue"))
    for each in (alice, sue):
        each.say("set EURUSD 0.5")
    until(lambda: scene.server.positions("silver") == scene.server.positions("main") != {})
    views = {
        "bob": {"sources": ["main", "silver"]},
        "dave": {"sources": ["main"], "follower": "dave", "max_drawdown": "1"},
    }
    for number, (login, settings) in enumerate(views.items()):
        scene.server.ask("views add", view=f"of-{login}", settings=settings)
        scene.follower(
            login, LOGIN=FOLLOWER + number, InpChannel=f"of-{login}", **scene.logged_in(login)
        )
    dave = scene.terminals[-1]
    until(lambda: "dave" in judged(participants(scene), "follower"))
    until(lambda: "waiting_for_report" not in codes(scene, "dave"))
    alice.say("set GBPUSD 0.3")
    until(lambda: dave.holds(GBPUSD=0.3))
    dave.say("price GBPUSD 1.0 1.0001")
    sue.kill()
    until(lambda: "some_providers" in codes(scene, "bob"))
    until(lambda: "limit_struck" in codes(scene, "dave"))


SIGNALS = 20_000
"""Some 4 MB: the kernel takes 3 MB of it for a follower that does not read."""


def publish(port, count):
    """Publish so many signals on one connection, and wait until they are stored."""
    with socket.create_connection((LOOPBACK, port), PATIENCE) as connection:
        asked = f"|channel=main|symbol=EURUSD|take=0|comment={'x' * 90}"
        lots = (f"<<PUBLISH|id=n{n}{asked}|volume={n % 2 + 1}>>" for n in range(count))
        connection.sendall("".join(["<<HELLO|v=2>>", *lots]).encode())
        received = b""
        while f"<<STORED|id=n{count - 1}|".encode() not in received:
            received = received[-100:] + connection.recv(65_536)


def test_a_follower_behind_a_network_that_hangs_is_behind_until_it_goes_on(scene_at):
    scene = scene_at("signals.heartbeat=20")
    publish(scene.server.port, 1)
    link = scene.link(buffer=4_096)
    follower = scene.follower(InpPort=link.port, **REAL_TIME)
    until(lambda: follower.holds(EURUSD=1))
    follower.kill()
    publish(scene.server.port, SIGNALS)
    link.left = 20_000
    follower.start()
    until(lambda: {"slow", "behind"} <= every_code(scene))
    link.left, link.hung = None, False
    until(lambda: not {"slow", "behind"} & every_code(scene))
    until(lambda: follower.holds(EURUSD=2 - SIGNALS % 2))


def every_code(scene):
    rows = participants(scene)
    return {each["code"] for row in rows if row["role"] == "follower" for each in row["warnings"]}
