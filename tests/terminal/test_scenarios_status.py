"""Experts and a real daemon: what `mtnet signals status` says of terminals in trouble."""

import json
import subprocess
import sys

from imitation.scene import FOLLOWER
from imitation.waiting import until

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
