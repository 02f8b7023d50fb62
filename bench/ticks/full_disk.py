"""
Fill the disk of a real daemon while it logs, merges, imports and prunes ticks; see what it costs.

As root: an ext4 file system of 64 MiB is mounted through a loop device. In each round a file takes
all its room but some, ticks go on, and a command needs room; then the file is removed. The daemon
must live, say that ticks wait, and go on; each tick must be stored once and in order, or counted.
Run it from a development environment: `python bench/ticks/full_disk.py --rounds 12`.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.storage.reader import TickReader
from tests.live.live_daemon import LOOPBACK, RealDaemon, until

MIB = 1_048_576
SIZE = 64 * MIB
DAY_MS = 86_400_000
SYMBOLS = 10
BURST = 500
SPARE = (0, 16_384, 65_536, 262_144, 524_288)
"""Bytes that are left: enough for nothing, for a page, or for the beginning of the work."""
KINDS = ("log", "merge", "import", "prune")
COMMANDS = {"merge": "compact", "import": "import", "prune": "prune"}


@contextmanager
def file_system(folder: Path) -> Iterator[Path]:
    """Mount a small file system."""
    image, mounted = folder / "image", folder / "mounted"
    with image.open("wb") as file:
        file.truncate(SIZE)
    mounted.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(mounted)], check=True)
    try:
        yield mounted
    finally:
        subprocess.run(["umount", str(mounted)], check=True)


class FullDiskTest:
    """
    A daemon, and what was sent to it.

    Attributes:
        refused: commands that said that there is no room.
        said: rounds in which health said that ticks wait, or are not merged.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.daemon = RealDaemon(folder)
        self.path = self.daemon.data / "ticks.sqlite"
        self.today = int(time.time() * 1_000) // DAY_MS
        self.sent = self.imported = self.synced = 0
        self.refused: Counter[str] = Counter()
        self.said: Counter[str] = Counter()

    def start(self) -> None:
        """Start the daemon, which keeps the ticks of a thousand days."""
        config = self.folder / "mtnet.toml"
        config.write_text("[ticks.retain]\nOLD = 1000\n", "utf-8")
        self.daemon.start(f"--config={config}", f"--listen=ticks={LOOPBACK}")

    def round(self, kind: str) -> None:
        """Fill the disk, send, run a command, make room, and look at what is stored."""
        self.send(20)
        self.settle()
        if kind == "prune":
            self.import_file(2_000)
        ballast = self.fill(0 if kind == "log" else self.chance.choice(SPARE))
        commands = [self.command(kind) for _ in range(kind != "log")]
        told = False
        for _ in range(40):
            self.send(5)
            time.sleep(0.1)
            told |= not self.ticks()["healthy"]
        for command in commands:
            status = command.wait()
            self.refused[kind] += status != 0
        self.said[kind] += told
        ballast.unlink()
        self.settle()
        if kind == "import":
            command = self.command(kind)
            assert command.wait() == 0, "the import fails though there is room"
            self.imported += 5_000
        self.check()

    def fill(self, spare: int) -> Path:
        """Take all room but some."""
        found = os.statvfs(self.folder)
        ballast = self.folder / "ballast"
        with ballast.open("wb") as file:
            size = found.f_bavail * found.f_frsize - spare
            while size > 0:
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, size)
                    break
                size -= 65_536
        return ballast

    def command(self, kind: str) -> "subprocess.Popen[bytes]":
        """Begin a command that needs room."""
        words = ["--data", str(self.daemon.data)]
        if kind == "import":
            words += ["--symbol", "IMP", str(self.write_file(self.imported, 5_000, self.today - 9))]
        else:
            words += ["--config", str(self.folder / "mtnet.toml")]
        program = [sys.executable, "-m", "mtnet", "ticks", COMMANDS[kind], *words]
        log = Path(tempfile.gettempdir()) / "full_disk.log"
        with log.open("ab") as file:
            return subprocess.Popen(program, stdout=file, stderr=file)

    def import_file(self, ticks: int) -> None:
        """Import ticks that are older than what is kept."""
        file = self.write_file(0, ticks, self.today - 2_000)
        words = ["--symbol", "OLD", str(file), "--data", str(self.daemon.data)]
        subprocess.run([sys.executable, "-m", "mtnet", "ticks", "import", *words], check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip

    def write_file(self, begin: int, ticks: int, day: int) -> Path:
        """Write a file of numbered ticks, on a disk that has room."""
        path = Path(tempfile.gettempdir()) / "full_disk.csv"
        with path.open("wb") as file:
            file.write(mt5.HEADER)
            for number in range(begin, begin + ticks):
                when = day * DAY_MS + number * 100
                file.write(mt5.format_row(when, b"%d - - - %d 2" % (number + 1, when)))
        return path

    def send(self, bursts: int) -> None:
        """Send numbered ticks; wait for nothing."""
        with self.daemon.dial("ticks") as sender:
            for _ in range(bursts):
                lines = []
                for _ in range(BURST // bursts):
                    self.sent += 1
                    lines.append(b"SYM%d %d\n" % (self.sent % SYMBOLS, self.sent))
                sender.sendall(b"".join(lines))
                time.sleep(0.002)
            sender.shutdown(socket.SHUT_WR)
            with suppress(ConnectionError):
                sender.recv(1)

    def settle(self) -> None:
        """Wait until the daemon is healthy and nothing waits."""

        def is_settled() -> bool:
            ticks = self.ticks()
            return (
                bool(ticks["healthy"]) and not ticks["waiting"] and ticks["received"] >= self.sent
            )

        until(is_settled, 200.0)

    def ticks(self) -> dict[str, Any]:
        """Ask for the status of ticks: the daemon lives."""
        found: dict[str, Any] = self.daemon.status()["ticks"]
        return found

    def check(self) -> None:
        """Check that what was sent is stored once and in order, or counted."""
        ticks, reader = self.ticks(), TickReader(self.path)
        ways_out = ("stored", "dropped", "refused", "repeated")
        counted = sum(int(ticks[way]) for way in ways_out)
        assert ticks["received"] == self.sent == counted, f"{self.sent} were sent: {ticks}"
        stored = 0
        for n in range(SYMBOLS):
            numbers = [int(each.rest) for each in reader.ticks(b"SYM%d" % n)]
            assert numbers == sorted(set(numbers)), "ticks are stored twice, or out of order"
            stored += len(numbers)
        assert stored == ticks["stored"], f"{ticks['stored']} are counted, {stored} are there"
        if self.imported:
            found = [int(each.rest.split()[0]) for each in reader.ticks(b"IMP")]
            assert found == list(range(1, self.imported + 1)), "imported ticks are lost or doubled"


def main() -> None:
    """Run the rounds, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, file_system(Path(folder)) as mounted:
        test = FullDiskTest(mounted, arguments.seed)
        test.start()
        try:
            for at in range(arguments.rounds):
                test.round(KINDS[at % len(KINDS)])
                print(f"round {at + 1}: {KINDS[at % len(KINDS)]}", file=sys.stderr, flush=True)
            ticks = test.ticks()
        finally:
            test.daemon.stop()
        report = {
            "rounds": arguments.rounds,
            "sent": test.sent,
            **{way: ticks[way] for way in ("stored", "dropped", "refused", "repeated")},
            "imported": test.imported,
            "health said it": dict(test.said),
            "commands refused": dict(test.refused),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
