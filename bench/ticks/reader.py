"""
Read a million ticks into pandas, and compare with pyarrow that reads the same Parquet files.

The same ticks lie in two stores: in blocks of SQLite, and in Parquet files. Each figure is a median
of seconds of the processor, all threads together; the readers take turns.
Run it from a development environment: `python bench/ticks/reader.py`; it takes half a minute.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pyarrow import parquet as pq
from twisted.internet.defer import Deferred

from mtnet import ticks
from mtnet.callbacks import noop
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.export.table import COLUMNS
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InlineWorker

DAY = 20_000
DAY_MS = 86_400_000
LIMIT_SECONDS, LIMIT_RATIO = 0.5, 2.0


def rows(count: int, days: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield ticks of a symbol that wanders, with a spread that changes."""
    chance = random.Random(1)
    price, step = 109_870, days * DAY_MS / count
    for line in range(count):
        price += chance.choice((-2, -1, -1, 0, 1, 1, 2))
        when = DAY * DAY_MS + int((line + chance.random() * 0.9) * step)
        ask = price + chance.choice((1, 1, 2, 3))
        yield line, when, b"%.5f %.5f - - %d 6" % (price / 1e5, ask / 1e5, when)


def fill(folder: Path, count: int, days: int) -> None:
    """Store the ticks of some days."""
    folder.mkdir()
    made = list(rows(count, days))
    Importer(folder / "ticks.sqlite", b"EURUSD", DAY * DAY_MS).run(lambda: made, noop)


def compact(folder: Path) -> None:
    """Write all days into Parquet files."""
    store, worker = Store(folder / "ticks.sqlite"), InlineWorker()
    work = ColdStore(store, worker, worker, noop).compact(DAY + 10_000)
    Deferred.fromCoroutine(work).addErrback(lambda failure: failure.raiseException())
    store.close()


def of_pyarrow(folder: Path) -> Any:
    """Read the files as pyarrow does by itself."""
    files = sorted(folder.glob("ticks/**/*.parquet"))
    return pq.read_table(files, columns=list(COLUMNS), partitioning=None).to_pandas()


def measure(readers: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median of seconds of the processor of each reader."""
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            start = time.process_time()
            read()
            found[name].append(time.process_time() - start)
    return {name: round(statistics.median(each), 4) for name, each in found.items()}


def main() -> None:
    """Measure, and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        hot, cold = Path(folder) / "hot", Path(folder) / "cold"
        for data in (hot, cold):
            fill(data, arguments.ticks, arguments.days)
        compact(cold)
        readers = {
            "blocks": ticks.read("EURUSD", data=hot).pandas,
            "files": ticks.read("EURUSD", data=cold).pandas,
            "pyarrow": lambda: of_pyarrow(cold),
        }
        counts = {name: len(read()) for name, read in readers.items()}
        assert set(counts.values()) == {arguments.ticks}, counts
        seconds = measure(readers, arguments.rounds)
        size = sum(each.stat().st_size for each in cold.glob("ticks/**/*.parquet"))
    ratio = round(seconds["files"] / seconds["pyarrow"], 2)
    report = {**seconds, "files / pyarrow": ratio, "bytes a tick": size / arguments.ticks}
    print(json.dumps({"ticks": arguments.ticks, **report}))


if __name__ == "__main__":
    main()
