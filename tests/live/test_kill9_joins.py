"""Ticks while blocks are joined and the process is killed: the benchmark that does it, in small."""

import json
import subprocess
import sys
from pathlib import Path

KILL9 = Path(__file__).parents[2] / "bench" / "ticks" / "kill9_joins.py"
ROUNDS = 4


def test_no_tick_is_lost_or_doubled_when_a_process_is_killed_that_joins_blocks():
    command = [sys.executable, str(KILL9), "--rounds", str(ROUNDS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(ended.stdout.splitlines()[-1])
    assert report["rounds"] == ROUNDS
    assert report["ticks"]
