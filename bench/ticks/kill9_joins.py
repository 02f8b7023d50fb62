"""
Kill a process again and again while it stores ticks, merges their log and joins their blocks.

Each tick has a number of its own, and the process prints those of a commit that returned. After
each kill the store must hold all that were printed, none twice, in order, and what was taken must
be stored or counted as lost; each fourth process finds the file of an older mtnet and updates it.
Run it from a development environment: `python bench/ticks/kill9_joins.py --rounds 60`.
"""

import argparse
import json
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage import hot, joiner, rows
from mtnet.services.ticks.storage.blocks import Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.tally import Tally
from tests.services.ticks.old_tick_store import make_old

SYMBOLS = [b"SYM%d" % n for n in range(20)]
WHEN = 1_767_225_600_000


def run(path: Path, number: int) -> None:
    """Store and join until the process is killed."""
    vars(joiner)["FULL"] = vars(rows)["FULL"] = 40
    joiner.STEP, joiner.SLICE, joiner.SMALL_BLOCKS = 64, 512, 256
    hot.MERGED_TICKS = 600
    stored, tally = HotStore(path), Tally(path.parent / "ticks.taken")
    stored.load(tally, 10)
    stored.commit(Commit(sources=[snapshot(Source("desk", 3))]))
    for at in count(number):
        commit = Commit(token=at + 1, forced=at % 9 == 0)
        for symbol in SYMBOLS:
            series = Series(symbol, None, [b"%d" % at], [(WHEN + at // 3, 3)])
            for block in series.pack():
                commit.add(block, series.newest)
        commit.totals["stored"] = commit.ticks
        tally.set(tally.value + commit.ticks)
        stored.commit(commit)
        print(at, flush=True)
        for _ in range(8):
            stored.join(at % 100 == 0)


def kill(path: Path, number: int, seconds: float) -> int:
    """Run a process, kill it; return the first number that it had not printed."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--run", str(path), str(number)], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(seconds)
    process.kill()
    lines = process.stdout.read().splitlines(keepends=True)
    process.wait()
    whole = [int(line) for line in lines if line.endswith(b"\n")]
    return max([number, *whole]) + 1


def check(path: Path, printed: int) -> int:
    """Check what is stored; return the next number."""
    reader = TickReader(path)
    ends = set()
    for symbol in SYMBOLS:
        found = [int(tick.rest) for tick in reader.ticks(symbol)]
        assert found == list(range(len(found))), f"{symbol!r} has {len(found)} ticks, not in order"
        assert len(found) >= printed, f"{printed - len(found)} ticks of {symbol!r} are lost"
        ends.add(len(found))
    (end,) = ends
    assert {row["ticks"] for row in reader.symbols()} == {end}
    store, tally = HotStore(path), Tally(path.parent / "ticks.taken")
    lost = store.load(tally, 10).lost
    assert lost in (0, len(SYMBOLS)), f"{lost} ticks of one commit are lost"
    totals: Any = reader.report()["totals"]
    assert totals["stored"] == end * len(SYMBOLS), f"{totals} are counted, not {end} of each"
    assert totals["stored"] + totals["lost"] == tally.value, f"{totals}, {tally.value} were taken"
    store.close()
    return end


def merge_log(path: Path) -> None:
    """Merge the log: an older mtnet had none."""
    stored = HotStore(path)
    stored.prepare()
    stored.merge()
    stored.close()


def main() -> None:
    """Kill, check, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        run(Path(arguments.run[0]), int(arguments.run[1]))
    with tempfile.TemporaryDirectory() as folder:
        path, number, joins, merges = Path(folder) / "ticks.sqlite", 0, 0, 0
        for at in range(arguments.rounds):
            number = check(path, kill(path, number, random.uniform(0, 0.5)))
            with closing(sqlite3.connect(path)) as connection:
                joins += connection.execute("SELECT count FROM joins").fetchone()[0]
                found = connection.execute("SELECT value FROM total WHERE name = 'log'").fetchone()
                merges = max(merges, found[0] if found else 0)
            if at % 4 == 3:
                merge_log(path)
                make_old(path)
            print(f"round {at + 1}: {number} ticks of each symbol", flush=True)
        report = {
            "rounds": arguments.rounds,
            "ticks": number * len(SYMBOLS),
            "joins": joins,
            "segments": merges,
        }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
