"""What the owner of a journal does on the command line, with a real daemon."""

import csv
import io
import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest
from live_daemon import until


@pytest.fixture
def mtnet(daemon):
    """Run a command of `mtnet` on the daemon's data folder, or against its signals port."""

    def run(*arguments):
        talks = arguments[:2] in (("signals", "publish"), ("signals", "follow"))
        place = (
            f"--server=tcp:127.0.0.1:{daemon.port('signals')}" if talks else f"--data={daemon.data}"
        )
        done = subprocess.run(
            [sys.executable, "-m", "mtnet", *arguments, place],
            env=daemon.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_the_owner_sees_channels_pauses_flattens_and_lets_them_go_on(daemon, mtnet):
    daemon.start()
    for symbol, volume in (("GBPUSD", "0.25"), ("EURUSD", "-1")):
        assert mtnet("signals", "publish", symbol, volume)[0] == 0
    status, said, _ = mtnet("signals", "channels")
    assert status == 0
    assert "GBPUSD 0.25 EURUSD -1" in said
    assert mtnet("signals", "pause", "main") == (
        0,
        "main is paused: it takes only what reduces positions.\n",
        "",
    )
    status, _, complained = mtnet("signals", "publish", "GBPUSD", "9")
    assert (status, complained) == (
        1,
        "mtnet: The channel main is paused by its owner (close only) and opens nothing (denied).\n",
    )
    assert mtnet("signals", "flatten", "main") == (
        0,
        "main is flat and paused: 2 positions and orders.\n",
        "",
    )
    assert json.loads(mtnet("signals", "channels", "--json")[1])["main"]["positions"] == {}
    daemon.stop(signal.SIGKILL)
    daemon.start()
    assert mtnet("signals", "publish", "GBPUSD", "9")[0] == 1, "it is still paused"
    assert mtnet("signals", "resume", "main") == (0, "main goes on.\n", "")
    assert mtnet("signals", "publish", "GBPUSD", "9")[0] == 0
    status, _, complained = mtnet("signals", "pause", "gold")
    assert (status, complained) == (1, "mtnet: There is no channel gold\n")


def test_every_entry_is_exported_and_the_journal_proves_itself(daemon, mtnet):
    daemon.start()
    for number in range(3):
        mtnet("signals", "publish", "GBPUSD", str(number), "--comment", 'a, "b"')
    rows = list(csv.DictReader(io.StringIO(mtnet("signals", "export", "main")[1])))
    assert [(row["seq"], row["volume"], row["comment"]) for row in rows] == [
        (str(number + 1), str(number), 'a, "b"') for number in range(3)
    ]
    lines = mtnet("signals", "export", "--format", "jsonl")[1].splitlines()
    assert [json.loads(line)["seq"] for line in lines] == [1, 2, 3]
    status, said, _ = mtnet("signals", "verify")
    assert status == 0
    assert "is whole" in said
    daemon.stop()
    assert mtnet("signals", "verify")[0] == 0


def damage(daemon):
    with closing(sqlite3.connect(daemon.data / "signals.sqlite")) as connection:
        connection.execute("DELETE FROM entry WHERE seq = 2")
        connection.commit()


def test_a_damaged_channel_is_refused_and_can_be_restored_or_accepted(daemon, mtnet, tmp_path):
    daemon.start()
    for number in range(1, 4):
        mtnet("signals", "publish", "GBPUSD", str(number))
    mtnet("signals", "publish", "XAUUSD", "1", "--channel", "gold")
    file = str(tmp_path / "signals.backup")
    assert mtnet("signals", "backup", file)[0] == 0
    assert "no backup overwrites" in mtnet("signals", "backup", file)[2]
    assert "Another mtnet runs" in mtnet("restore", file)[2]
    daemon.stop()
    damage(daemon)
    status, said, _ = mtnet("signals", "verify")
    assert status == 1
    assert "entry 2" in said
    daemon.start()
    health = daemon.status()["signals"]
    assert (health["healthy"], health["damaged"]) == (False, ["main"])
    status, _, complained = mtnet("signals", "publish", "GBPUSD", "4")
    assert status == 1
    assert "entry 2" in complained
    assert mtnet("signals", "publish", "XAUUSD", "2", "--channel", "gold")[0] == 0
    daemon.stop()
    assert "holds signals" in mtnet("restore", file)[2]
    status, said, _ = mtnet("signals", "accept", "main")
    assert status == 0
    assert "goes on with 1 positions" in said
    daemon.start()
    assert daemon.status()["signals"]["channels"]["main"]["positions"] == {"GBPUSD": "3"}
    epoch = daemon.status()["signals"]["channels"]["main"]["epoch"]
    daemon.stop()
    assert mtnet("restore", "--force", file)[0] == 0
    daemon.start()
    main = daemon.status()["signals"]["channels"]["main"]
    assert main["epoch"] != epoch
    assert main["positions"] == {"GBPUSD": "3"}
    assert mtnet("signals", "publish", "GBPUSD", "5")[0] == 0
    until(lambda: daemon.status()["signals"]["healthy"])


def test_followers_of_both_dialects_have_the_truth_after_a_kill(daemon, mtnet):
    daemon.start("--set=signals.pace=0")
    mtnet("signals", "publish", "GBPUSD", "1")
    daemon.stop(signal.SIGKILL)
    daemon.start("--set=signals.pace=0")
    got = mtnet("signals", "follow", "--seconds", "1")
    assert got[1] == "GBPUSD 1\n"
    got = mtnet("signals", "follow", "--classic", "--seconds", "1")
    assert got[1] == "GBPUSD 1.00\n"
