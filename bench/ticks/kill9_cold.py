"""
Kill commands and daemons again and again while ticks are imported, compacted and deleted.

`mtnet ticks import`, `compact`, `prune` and `delete` run alone or by a daemon that takes ticks
meanwhile, and either is killed at a random moment. Each tick has a number of its own. After each
kill those that were sent must be stored or counted as deleted, none twice, in order. Behind the
same command that then runs to its end, nothing that it had left half-done is there.
Run it from a development environment: `python bench/ticks/kill9_cold.py --kills 60`.
"""

import argparse
import json
import random
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from mtnet.services.ticks.cold.layout import date_of
from mtnet.services.ticks.files import mt5
from mtnet.services.ticks.storage.reader import TickReader
from tests.live.live_daemon import LOOPBACK, RealDaemon

DAY_MS = 86_400_000
OFFLINE = ("import", "compact", "prune", "delete")
COMMANDS = (*OFFLINE, *(f"daemon {name}" for name in ("compact", "prune", "import", "delete")))
BURST = 50
"""Live ticks between two acknowledgements."""


class KillTest:
    """
    A data folder, and what was sent to it.

    Args:
        ticks: of a day.
        days: that one import has, and that are kept.

    Attributes:
        kills: by command; those of processes that had ended by themselves are not counted.
        halves: kills that left a file of the cold store half-done, or a file partly imported.
    """

    def __init__(self, folder: Path, seed: int, ticks: int, days: int) -> None:
        self.chance = random.Random(seed)
        self.daemon = RealDaemon(folder)
        self.folder, self.data = folder, folder / "data"
        self.data.mkdir(0o700)
        self.path = self.data / "ticks.sqlite"
        self.ticks, self.days = ticks, days
        self.today = int(time.time() * 1_000) // DAY_MS
        self.first = self.today - 2_000
        self.imported = self.live = self.deleted = 0
        self.acknowledged: set[int] = set()
        self.seconds = dict.fromkeys(COMMANDS, 1.0)
        self.kills: Counter[str] = Counter()
        self.halves = 0
        self.file = folder / "import.csv"

    # Commands

    def command(self, name: str) -> list[str]:
        """Return the arguments of a command."""
        words = {
            "import": ["--symbol", "SYM", str(self.file)],
            "delete": ["SYM", "--to", date_of(self.kept_from()), "--yes"],
        }
        more = [] if name == "import" else ["--config", str(self.configure())]
        program = [sys.executable, "-m", "mtnet", "ticks", name, *words.get(name, ())]
        return [*program, "--data", str(self.data), *more]

    def configure(self) -> Path:
        """Write the configuration by which the last days alone are kept."""
        config = self.folder / "mtnet.toml"
        kept = self.today - self.kept_from()
        config.write_text(f"[ticks.retain]\nSYM = {kept}\n", "utf-8")
        return config

    def kept_from(self) -> int:
        """Return the first day that is kept."""
        return self.first + max(0, self.imported // self.ticks - self.days)

    def write_file(self) -> None:
        """Write the file of the next import."""
        last = self.imported + self.days * self.ticks
        with self.file.open("wb") as file:
            file.write(mt5.HEADER)
            for number in range(self.imported, last):
                day, place = divmod(number, self.ticks)
                when = (self.first + day) * DAY_MS + place * (DAY_MS // self.ticks)
                file.write(mt5.format_row(when, b"%d - - - %d 2" % (number + 1, when)))

    def run(self, name: str) -> None:
        """Run a command to its end."""
        ended = subprocess.run(self.command(name), capture_output=True, text=True, check=False)
        assert ended.returncode == 0, f"{name}: {ended.stdout}{ended.stderr}"

    # Kills

    def round(self, name: str) -> None:
        """Run a command, kill it or its daemon, and look at what is stored."""
        kind = name.rpartition(" ")[2]
        if kind == "import":
            self.write_file()
        if name in OFFLINE:
            self.kill_command(name, kind)
        else:
            self.kill_daemon(name, kind)
        self.check(importing=kind == "import")
        self.run(kind)
        if kind == "import":
            self.imported += self.days * self.ticks
        self.check()
        if kind != "import":
            self.check_ended(kind)

    def kill_command(self, name: str, kind: str) -> None:
        """Run a command without a daemon, and kill it."""
        process = subprocess.Popen(
            self.command(kind), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.kill(name, process)

    def kill_daemon(self, name: str, kind: str) -> None:
        """Run a command beside a daemon that takes ticks, and kill the daemon or the command."""
        config = self.configure()
        self.daemon.start(f"--config={config}", f"--listen=ticks={LOOPBACK}")
        command = subprocess.Popen(
            self.command(kind), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        victim = command if kind == "import" else self.daemon.process
        with self.daemon.dial("ticks") as sender:
            self.kill(name, victim, sender)
        command.kill() if kind != "import" else None
        command.wait()
        if kind == "import":
            self.daemon.stop(9)
        self.daemon.process = None

    def kill(
        self, name: str, victim: "subprocess.Popen[bytes]", sender: socket.socket | None = None
    ) -> None:
        """Kill a process within the time that its work takes, which is learnt."""
        seconds = self.chance.uniform(0.4, 1.1) * self.seconds[name]
        early: list[bool] = []

        def strike() -> None:
            early.append(victim.poll() is None)
            victim.kill()

        timer = threading.Timer(seconds, strike)
        timer.start()
        while sender is not None and not early:
            with suppress(ConnectionError):
                self.send(sender)
        timer.join()
        victim.wait()
        self.kills[name] += early[0]
        self.seconds[name] *= 1.1 if early[0] else 0.85

    def send(self, sender: socket.socket) -> None:
        """Send live ticks of a closed day, and wait until they are on disk."""
        when = (self.first - 1) * DAY_MS
        numbers = range(self.live + 1, self.live + 1 + BURST)
        self.live += BURST
        lines = b"".join(b"LIVE %d - - - %d\n" % (each, when + each) for each in numbers)
        sender.sendall(lines + b"SYNC:\n")
        answer = b""
        while not answer.endswith(b"\n"):
            received = sender.recv(100)
            if not received:
                return
            answer += received
        assert answer.startswith(b"OK: SYNC"), answer
        self.acknowledged.update(numbers)

    # What is stored

    def check(self, importing: bool = False) -> None:
        """Check that what was sent is stored or counted, once, and in order."""
        if not self.path.exists():
            return
        reader = TickReader(self.path)
        held = {row["symbol"]: row["ticks"] for row in reader.symbols()}
        live = self.numbers(reader, "LIVE")
        assert len(live) == held.get("LIVE", 0), f"{held} are counted, {len(live)} are there"
        assert live == sorted(set(live)), "live ticks came twice or out of order"
        assert self.acknowledged <= set(live), "acknowledged ticks are lost"
        numbers = self.numbers(reader, "SYM")
        assert len(numbers) == held.get("SYM", 0), f"{held} are counted, {len(numbers)} are there"
        assert numbers == sorted(set(numbers)), "ticks came twice or out of order"
        with closing(sqlite3.connect(self.path)) as connection:
            totals = dict(connection.execute("SELECT name, value FROM total").fetchall())
            (half,) = connection.execute(
                "SELECT count(*) FROM cold_file WHERE state <> 1"
            ).fetchone()
        deleted = totals.get("deleted", 0)
        sent = self.imported + self.days * self.ticks if importing else self.imported
        whole = set(range(1, self.imported + 1))
        kept = set(range((self.kept_from() - self.first) * self.ticks + 1, self.imported + 1))
        assert kept <= set(numbers) <= set(range(1, sent + 1)), "ticks that are kept are lost"
        assert len(whole & set(numbers)) + deleted == self.imported, "ticks are not counted"
        more = len(numbers) - len(whole & set(numbers))
        self.halves += bool(half) or 0 < more < sent - self.imported
        self.deleted = deleted

    def check_ended(self, kind: str) -> None:
        """Check that a command which ran to its end has left nothing half-done."""
        with closing(sqlite3.connect(self.path)) as connection:
            states = [state for (state,) in connection.execute("SELECT state FROM cold_file")]
        assert states == [1] * len(list(self.files())), f"{kind} leaves files behind"
        assert not list(self.data.glob("ticks/*.new")), f"{kind} leaves what it was writing"
        if kind != "compact":
            (first, *_) = self.numbers(TickReader(self.path), "SYM")
            kept = (self.kept_from() - self.first) * self.ticks + 1
            assert first == kept, f"{kind} keeps {first}, and {kept} is the first to be kept"

    def numbers(self, reader: TickReader, symbol: str) -> list[int]:
        """Return the numbers of the stored ticks of a symbol."""
        return [int(each.rest.split()[0]) for each in reader.ticks(symbol.encode())]

    def files(self) -> Iterator[Path]:
        """Return the files of the cold store."""
        return self.data.glob("ticks/**/*.parquet")


def main() -> None:
    """Kill, check, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--ticks", type=int, default=20_000, help="of a day")
    parser.add_argument("--days", type=int, default=3, help="of an import, and to keep")
    parser.add_argument("--seed", type=int, default=int(datetime.now(UTC).timestamp()))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        test = KillTest(Path(folder), arguments.seed, arguments.ticks, arguments.days)
        test.write_file()
        test.run("import")
        test.imported += test.days * test.ticks
        test.check()
        while test.kills.total() < arguments.kills:
            for name in COMMANDS:
                test.round(name)
                print(f"{test.kills.total()} kills, the last of: {name}", file=sys.stderr)
        report = {
            "seed": arguments.seed,
            "kills": test.kills.total(),
            **test.kills,
            "half-done": test.halves,
            "imported": test.imported,
            "deleted": test.deleted,
            "live": test.live,
            "acknowledged": len(test.acknowledged),
            "files": len(list(test.files())),
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
