"""Signals while the daemon is killed: the benchmark that does it, in small."""

import json
import os
import subprocess
import sys
from pathlib import Path

KILL9 = Path(__file__).parent.parent.parent / "bench" / "kill9.py"
ROUNDS = 5
CLIENT_ROUNDS = 3


def run(folder, rounds, *options):
    command = [sys.executable, str(KILL9), "--rounds", str(rounds), "--folder", str(folder)]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MTNET_")}
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=600, check=False, env=environ
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert report["rounds"] == rounds
    assert report["signals"] > 0
    assert not any(report["violations"].values()), report
    return report


def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed(tmp_path):
    run(tmp_path, ROUNDS)


def test_every_client_on_every_road_is_handed_each_signal_once_in_order(tmp_path):
    """By Twisted, asyncio and threads, by TCP, TLS, WebSocket and HTTP; their programs die too."""
    report = run(tmp_path, CLIENT_ROUNDS, "--skins")
    ends = report["clients"]["last entry of each"]
    assert len(ends) == 12
    assert set(ends.values()) == {report["signals"]}
