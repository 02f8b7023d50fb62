"""A running daemon is backed up whole, and another data folder goes on from there."""

import signal
import subprocess
import sys

import pytest
from live_daemon import until

TEMPLATE = b"<chart>\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n</chart>\r\n"
PASSWORD = "correct horse battery"


@pytest.fixture
def mtnet(daemon):
    """Run a command of `mtnet`."""

    def run(*arguments, typed="", status=0):
        done = subprocess.run(
            [sys.executable, "-m", "mtnet", *map(str, arguments)],
            env=daemon.environ,
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def contents(daemon, mtnet):
    """Return what clients and the owner see."""
    web = f"--server=tcp:127.0.0.1:{daemon.port('web')}"
    main = daemon.status()["signals"]["channels"]["main"]
    place = ("--data", daemon.data)
    return {
        "positions": main["positions"],
        "paused": main["paused"],
        "seq": main["seq"],
        "entries": mtnet("signals", "export", *place),
        "templates": mtnet("templates", "list", "--json", web),
        "ticks": mtnet("ticks", "export", "EURUSD", "--format", "csv", *place),
        "accounts": mtnet("account", "list", "--json", *place),
        "bans": mtnet("bans", "list", *place).split()[:10],
    }, main["epoch"]


def test_a_new_data_folder_goes_on_from_a_backup(daemon, mtnet, tmp_path):
    daemon.start("--set=signals.pace=0", "--set=ticks.flush=0.1", "--set=ticks.compact=0")
    place, backup = ("--data", daemon.data), tmp_path / "backup"
    server = f"--server=tcp:127.0.0.1:{daemon.port('signals')}"
    mtnet("signals", "publish", "GBPUSD", "0.25", "--id", "first", server)
    mtnet("signals", "publish", "EURUSD", "-1", "--id", "second", server)
    mtnet("signals", "pause", "main", *place)
    file = tmp_path / "EURUSD_H1.tpl"
    file.write_bytes(TEMPLATE)
    mtnet("templates", "put", file, f"--server=tcp:127.0.0.1:{daemon.port('web')}")
    (tmp_path / "ticks.txt").write_text("EURUSD 1.10000 1.10010 - - 1700000000000\n")
    mtnet(
        *("ticks", "send", tmp_path / "ticks.txt", "--source", "one"),
        f"--server=tcp:127.0.0.1:{daemon.port('ticks')}",
    )
    mtnet("account", "add", "alice", "--role", "follower", *place, typed=f"{PASSWORD}\n")
    mtnet("bans", "add", "192.0.2.0/24", "--for-ever", *place)
    before, epoch = contents(daemon, mtnet)
    said = mtnet("backup", backup, *place)
    assert "(access, alerts, signals, status, templates, ticks)" in said
    assert "exists already" in mtnet("backup", backup, *place, status=1)
    assert "Another mtnet runs" in mtnet("restore", backup, *place, status=1)
    daemon.stop(signal.SIGKILL)
    second = tmp_path / "second"
    assert "files" in mtnet("backup", second, *place), "without a daemon"
    assert {each.name for each in second.iterdir()} == {each.name for each in backup.iterdir()}
    daemon.data = tmp_path / "other"
    place = ("--data", daemon.data)
    assert "is restored" in mtnet("restore", backup, *place)
    assert "--force" in mtnet("restore", backup, *place, status=1)
    assert "are kept in" in mtnet("restore", "--force", backup, *place)
    daemon.start("--set=signals.pace=0")
    after, new = contents(daemon, mtnet)
    assert after == before
    assert new != epoch
    assert after["paused"] == "close_only"
    server = f"--server=tcp:127.0.0.1:{daemon.port('signals')}"
    assert "close only" in mtnet("signals", "publish", "GBPUSD", "9", server, status=1)
    mtnet("signals", "resume", "main", *place)
    mtnet("signals", "publish", "GBPUSD", "0.25", "--id", "first", server)
    until(
        lambda: daemon.status()["signals"]["channels"]["main"]["positions"] == before["positions"]
    )
    assert daemon.status()["healthy"], daemon.status()
