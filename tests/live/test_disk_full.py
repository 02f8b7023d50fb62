"""A real full disk: nothing is told that is not stored, and nothing is lost."""

import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from live_daemon import until

from mtnet.daemon.control.client import ask
from mtnet.errors import JournalError
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.sqlite import MIN_FREE_BYTES

DAY = 20_000 * 86_400_000
"""Midnight of 2024-10-04, milliseconds."""


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


@pytest.fixture
def small_btrfs(daemon, tmp_path):
    """Put the data folder on a copy-on-write file system of 120 MB."""
    if os.geteuid() != 0 or shutil.which("mkfs.btrfs") is None:
        pytest.skip("Only root can mount the btrfs that this test fills; it needs btrfs-progs.")
    release = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
    if release < (6, 16):
        pytest.skip("Before Linux 6.16 a full btrfs kills each process that writes mapped memory.")
    image = tmp_path / "btrfs.img"
    with image.open("wb") as file:
        file.truncate(120 * 2**20)
    daemon.data.mkdir()
    make = ["mkfs.btrfs", "-q", "-f", "--mixed", str(image)]
    mount = ["mount", "-o", "loop", str(image), str(daemon.data)]
    if any(
        subprocess.run(each, capture_output=True, check=False).returncode for each in (make, mount)
    ):
        pytest.skip("This machine does not let root mount a btrfs.")
    yield daemon.data
    if daemon.process is not None:
        daemon.stop()
    subprocess.run(["umount", "--lazy", str(daemon.data)], check=True)


def fill(path):
    with path.open("ab", buffering=0) as file:
        for size in (65_536, 4_096, 1):
            with suppress(OSError):
                while True:
                    file.write(os.urandom(size))
        with suppress(OSError):
            os.fsync(file.fileno())


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
    said = re.findall(r"JournalWorker#error\] \S+ database or disk is full", daemon.logged())
    assert len(said) == 1


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


def test_a_full_copy_on_write_disk_ends_no_daemon(daemon, small_btrfs):
    daemon.start()
    for n in range(20):
        assert daemon.publish(f"<<GBPUSD|{n}.25>>".encode())
    with daemon.dial("ticks") as sender, daemon.dial() as publisher:
        sender.sendall(b"EURUSD 1.1\nSYNC:\n")
        assert sender.recv(100) == b"OK: SYNC 1\r\n"
        subprocess.run(["sync"], check=True)
        time.sleep(1)
        for n in range(6):
            fill(small_btrfs / "junk")
            fill(small_btrfs / "junk")
            sender.sendall(b"EURUSD 1.2\n")
            publisher.sendall(f"<<GBPUSD|{n}.75>>".encode())
            time.sleep(1)
            assert daemon.process.poll() is None
    assert not daemon.status()["healthy"]
    assert daemon.first_frame().startswith(b"<<GBPUSD|")


def join(store):
    assert store.join(True)
    while store.join(False):
        pass


def test_a_disk_that_fills_while_blocks_of_ticks_are_joined_loses_none(tmp_path, small_disk):
    store = Store(tmp_path / "ticks.sqlite")
    store.commit(Commit(sources=[snapshot(Source("desk", 3))]))
    records = [b"%s %d" % (os.urandom(15).hex().encode(), n) for n in range(6_000)]
    blocks = [next(Series(b"EURUSD", None, [each], [(17, 3)]).pack()) for each in records]
    store.commit(Commit(blocks=blocks))
    store.close()
    shutil.copy(store.path, small_disk)
    full = Store(small_disk / store.path.name)
    full.prepare()
    junk = small_disk / "junk"
    junk.write_bytes(bytes(shutil.disk_usage(small_disk).free - MIN_FREE_BYTES - 8_192))
    with pytest.raises(JournalError, match="full"):
        join(full)
    assert [each.rest for each in TickReader(full.path).ticks(b"EURUSD")] == records
    junk.unlink()
    join(full)
    assert [each.rest for each in TickReader(full.path).ticks(b"EURUSD")] == records
    full.close()


def test_a_disk_that_fills_while_days_become_files_loses_none_and_goes_on(daemon, small_disk):
    pytest.importorskip("duckdb", reason="The cold store needs DuckDB.")
    sent = 0
    daemon.start("--set=ticks.flush=0.1")
    with daemon.dial("ticks") as sender:
        for part in (1, 2):
            lines = [b"EURUSD %d - - - %d\n" % (n, DAY + n) for n in range(sent, sent + 6_000)]
            sender.sendall(b"".join(lines) + b"SYNC:\n")
            sent += len(lines)
            assert sender.recv(100) == b"OK: SYNC %d\r\n" % sent
            leave(small_disk, MIN_FREE_BYTES + 65_536)
            trouble = ask(daemon.data / "control", "ticks compact")["trouble"]
            assert "2024-10-04 of EURUSD" in trouble
            assert "No space left on device" in trouble
            assert daemon.status()["ticks"]["warning"] == trouble
            assert not list(small_disk.glob("ticks/*.new"))
            assert stored(small_disk) == sent
            (small_disk / "junk").unlink()
            made = ask(daemon.data / "control", "ticks compact")
            assert made == {"files": 1, "ticks": 6_000, "left": 0, "trouble": None}
            assert "warning" not in daemon.status()["ticks"]
            assert stored(small_disk) == sent
            assert len(list(small_disk.glob("ticks/**/*.parquet"))) == part


def leave(folder, size):
    """Fill a disk but for some bytes."""
    with (folder / "junk").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(folder).free - size)


def stored(folder):
    """Return how many ticks of EURUSD there are, each of them once."""
    found = [each.rest for each in TickReader(folder / "ticks.sqlite").ticks(b"EURUSD")]
    assert len(set(found)) == len(found)
    return len(found)
