"""
Templates, ticks and idleness of mtnet beside another version of it, block by block.

Both daemons run for the whole time, with every service and their defaults, and are visited in turn;
each block is compared with its neighbour. See README.md beside this file.

    python bench/beside.py TREE [templates|ticks|idle ...]
"""

import argparse
import json
import socket
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import ClassVar

from bench.harness import PINNED, add_folder, cpu_of, idle, pin_load, quartiles
from bench.peers import HOST
from tests.live.live_daemon import RealDaemon

SIZES = {"8 kB": 8_192, "64 kB": 65_536}
FETCHES = 40
"""Connections of a block."""
FORMS = {
    "1 in a datagram": (1, socket.SOCK_DGRAM),
    "20 in a datagram": (20, socket.SOCK_DGRAM),
    "20 at once by TCP": (20, socket.SOCK_STREAM),
}
"""How many ticks are sent at once, and how."""
TICKS = 24_000
"""Of a block: of a second, so that the idle time until they are stored weighs little."""
FLUSHED = 2.0
"""Seconds after which the ticks of a block are on disk: `ticks.flush`, and as long for a disk that
others use."""
PAUSE = 0.004
"""Seconds between two hundreds of ticks: 25,000 a second, which either version takes."""


class Daemon(RealDaemon):
    """A daemon of one tree, with every service."""

    def __init__(self, name: str, folder: Path, tree: Path | None) -> None:
        folder.mkdir()
        super().__init__(folder)
        self.name = name
        self.python = sys.executable if tree is None else str(tree / ".venv" / "bin" / "python")

    def command(self, *options: str, foreground: bool = True) -> list[str]:
        """Return what is run."""
        words = super().command(*options, foreground=foreground)
        return [*PINNED, self.python, *words[1:]]

    def cpu(self) -> float:
        """Return the seconds for which its threads ran."""
        return cpu_of(self.process.pid)

    def datagram_port(self) -> int:
        """Return its port of ticks by UDP."""
        rows = [row for row in self.status()["services"] if row["service"] == "ticks"]
        (row,) = [row for row in rows if "udp" in str(row).lower()]
        return int(row["address"].rpartition(":")[2])


class Load(ABC):
    """One kind of work, which is done to both daemons."""

    unit: ClassVar[str]

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.used: list[float] = []

    @abstractmethod
    def block(self) -> float:
        """Do a block of it; return by what its CPU is divided."""

    def measure(self) -> None:
        """Do a block, and note its CPU."""
        before = self.daemon.cpu()
        count = self.block()
        self.used.append((self.daemon.cpu() - before) / count * 1e6)


class Fetching(Load):
    """FETCH of a template, each on a connection of its own, one after the other."""

    unit = "CPU us a FETCH"

    def __init__(self, daemon: Daemon, size: int) -> None:
        super().__init__(daemon)
        self._address, self._symbol = (HOST, daemon.port("templates")), f"S{size}".encode()
        text = "<chart>\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n"
        text += "x=1\r\n" * ((size // 2 - len(text)) // 5) + "</chart>\r\n"
        self._content = b"\xff\xfe" + text.encode("utf-16-le")
        with socket.create_connection(self._address) as connection:
            head = b"STORE %b H1 %d\r\n" % (self._symbol, len(self._content))
            connection.sendall(head + self._content)
            assert connection.recv(512).startswith(b"OK")

    def block(self) -> float:
        for _ in range(FETCHES):
            with socket.create_connection(self._address) as connection:
                connection.sendall(b"FETCH %b H1\r\n" % self._symbol)
                found = b"".join(iter(lambda: connection.recv(262_144), b""))
            assert found.endswith(self._content[-512:])
        return FETCHES


class Ticks(Load):
    """Ticks of one symbol by UDP or TCP, some with each send."""

    unit = "CPU us a tick"

    def __init__(self, daemon: Daemon, together: int, kind: int) -> None:
        super().__init__(daemon)
        is_stream = kind == socket.SOCK_STREAM
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.connect((HOST, daemon.port("ticks") if is_stream else daemon.datagram_port()))
        self._together, self._number = together, 0
        self._stored = self._count_stored()

    def block(self) -> float:
        for number in range(0, TICKS, self._together):
            lines = [self._line() for _ in range(self._together)]
            self._socket.sendall(b"\n".join(lines) + b"\0")  # as the classic sender ends it
            if number % 100 == 0:
                time.sleep(PAUSE)
        time.sleep(FLUSHED)
        return TICKS

    def measure(self) -> None:
        """Do that, and check that all ticks are stored; what this costs is no part of it."""
        super().measure()
        assert self._count_stored() == self._stored + self._number, "some ticks are not stored"

    def _count_stored(self) -> int:
        return int(self.daemon.status()["ticks"]["stored"])

    def _line(self) -> bytes:
        self._number += 1
        # Prices that nearly always lie between the lowest and the highest of their minute.
        price = self._number * 7_919 % 1_000
        return b"EURUSD 1.%05d 1.%05d" % (price, price + 3)


def compare(loads: Sequence[Load], blocks: int) -> dict[str, str]:
    """Do blocks of a load in turn; return the medians, and the quartiles of the ratios."""
    now, before = loads
    for each in loads:
        each.measure()
        each.used.clear()
    for number in range(blocks):
        for each in (now, before) if number % 2 else (before, now):
            each.measure()
    return {
        f"before, {now.unit}": f"{median(before.used):.1f}",
        f"now, {now.unit}": f"{median(now.used):.1f}",
        "now / before": quartiles(now.used, before.used),
    }


def main() -> None:
    """Run, and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tree", type=Path, help="a checkout with a .venv that has mtnet installed")
    parser.add_argument("what", nargs="*", help="templates, ticks or idle; nothing = all")
    parser.add_argument("--blocks", type=int, default=20)
    add_folder(parser)
    options = parser.parse_args()
    what = options.what or ["templates", "ticks", "idle"]
    pin_load()
    found: dict[str, object] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        daemons = [
            Daemon("now", Path(folder) / "now", None),
            Daemon("before", Path(folder) / "before", options.tree),
        ]
        try:
            for each in daemons:
                each.start()
            if "templates" in what:
                for name, size in SIZES.items():
                    fetching = [Fetching(each, size) for each in daemons]
                    found[f"{name} by FETCH"] = compare(fetching, options.blocks)
            if "ticks" in what:
                for name, (together, kind) in FORMS.items():
                    ticks = [Ticks(each, together, kind) for each in daemons]
                    found[f"ticks, {name}"] = compare(ticks, options.blocks)
            if "idle" in what:
                found["idle, CPU ms a second"] = idle(daemons)
        finally:
            for each in daemons:
                if each.process is not None:
                    each.stop()
    print(json.dumps(found, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
