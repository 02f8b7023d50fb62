"""A real full disk: nothing is told that is not stored, and nothing is lost."""

import os
import shutil
import signal
import subprocess
import time

import pytest
from live_daemon import until


@pytest.fixture
def small_disk(daemon):
    """Put the data folder on a file system of 1 MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("Only root can mount the small file system that this test fills.")
    daemon.data.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(daemon.data)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("This machine does not let root mount a tmpfs.")
    yield daemon.data
    if daemon.process is not None:
        daemon.stop()
    subprocess.run(["umount", "--lazy", str(daemon.data)], check=True)


def fill(path):
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def test_the_last_refused_position_of_each_symbol_is_stored_when_there_is_room(daemon, small_disk):
    daemon.start("--set=signals.retry=1")
    assert daemon.publish(b"<<GBPUSD|0.25>><<EURUSD|1.00>>")
    fill(small_disk / "junk")
    with daemon.dial() as publisher:
        for n in range(3_000):
            publisher.sendall(f"<<GBPUSD|{n}.50>><<S{n % 50}|1.00>>".encode())
        until(lambda: not daemon.status()["healthy"])
        # The log that SQLite gave up made room; take it, so that it is refused again.
        fill(small_disk / "more junk")
        time.sleep(1.5)
        assert not daemon.status()["healthy"]
        stored = daemon.status()["signals"]["channels"]["main"]["positions"]
        assert stored["EURUSD"] == "1.00"
        assert "2999.50" not in stored.values()
        for name in ("junk", "more junk"):
            (small_disk / name).unlink()
        until(lambda: daemon.status()["healthy"])
    positions = daemon.status()["signals"]["channels"]["main"]["positions"]
    assert positions["GBPUSD"] == "2999.50"
    assert len(positions) == 52
    daemon.stop(9)
    daemon.start()
    assert daemon.status()["signals"]["channels"]["main"]["positions"] == positions
    assert daemon.logged().count("is full") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_on_a_full_disk_serves_the_last_state_and_says_so(daemon, small_disk, number):
    daemon.start()
    assert daemon.publish(b"<<GBPUSD|0.25>>")
    daemon.stop(number)
    fill(small_disk / "junk")
    daemon.start()
    assert daemon.first_frame() == b"<<GBPUSD|0.25>>\r\n"
    status = daemon.status()
    assert not status["healthy"]
    assert any("disk of the data folder is full" in each for each in status["trouble"])
    (small_disk / "junk").unlink()
    assert until(lambda: daemon.publish(b"<<GBPUSD|0.50>>"))
    until(lambda: daemon.status()["healthy"])
