"""Signals while the daemon is killed: the benchmark that does it, in small."""

import json
import os
import subprocess
import sys
from pathlib import Path

KILL9 = Path(__file__).parent.parent.parent / "bench" / "kill9.py"
ROUNDS = 5


def test_nothing_acknowledged_is_lost_when_the_daemon_is_killed(tmp_path):
    command = [sys.executable, str(KILL9), "--rounds", str(ROUNDS), "--folder", str(tmp_path)]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("MTNET_")}
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env=environ
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(ended.stdout)
    assert report["rounds"] == ROUNDS
    assert report["signals"] > 0
    assert not any(report["violations"].values()), report
