"""
Read a million ticks into pandas, and compare with pyarrow that reads the same Parquet files.

The same ticks lie in two stores: in blocks of SQLite, and in Parquet files. Once they are imported,
of one source and one time of receipt; once they are as they came, of two sources in turn, each with
a time of receipt of its own. All readers return equal columns. Each figure is a median of seconds
of the processor, all threads together; the readers take turns.
Run it from a development environment: `python bench/ticks/reader.py`; it takes two minutes.
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

import pandas as pd
import polars as pl
from pyarrow import parquet as pq
from twisted.internet.defer import Deferred

from mtnet import ticks
from mtnet.callbacks import noop
from mtnet.services.ticks.cold.store import ColdStore
from mtnet.services.ticks.export import table
from mtnet.services.ticks.export.table import COLUMNS
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage.blocks import BLOCK, Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.store import Store
from mtnet.storage.worker import InlineWorker

DAY = 20_000
DAY_MS = 86_400_000
LIMIT_SECONDS, LIMIT_RATIO, LIMIT_BYTES = 0.5, 2.0, 5.0
SOURCES = {3: "desk-1", 4: "desk-2"}
LATE = 40
"""Milliseconds within which a tick comes."""

Rows = list[tuple[int, int, bytes]]
Reader = Callable[[], Any]


def rows(count: int, days: int) -> Iterator[tuple[int, int, bytes]]:
    """Yield ticks of a symbol that wanders, with a spread that changes."""
    chance = random.Random(1)
    price, step = 109_870, days * DAY_MS / count
    for line in range(count):
        price += chance.choice((-2, -1, -1, 0, 1, 1, 2))
        when = DAY * DAY_MS + int((line + chance.random() * 0.9) * step)
        ask = price + chance.choice((1, 1, 2, 3))
        yield line, when, b"%.5f %.5f - - %d 6" % (price / 1e5, ask / 1e5, when)


def import_rows(path: Path, made: Rows) -> None:
    """Store the ticks as a file of them would be."""
    Importer(path, b"EURUSD", made[-1][1]).run(lambda: made, noop)


def take_rows(path: Path, made: Rows) -> None:
    """Store the ticks as two senders would have sent them in turn."""
    chance, store = random.Random(2), Store(path)
    sources = [snapshot(Source(name, number)) for number, name in SOURCES.items()]
    store.commit(Commit(sources=sources))
    for at in range(0, len(made), BLOCK):
        part = made[at : at + BLOCK]
        marks = [(when + chance.randrange(LATE), chance.choice((3, 3, 4))) for _, when, _ in part]
        series = Series(b"EURUSD", None, [rest for _, _, rest in part], marks)
        store.commit(Commit(blocks=list(series.pack())))
    store.close()


def compact(path: Path) -> None:
    """Write all days into Parquet files."""
    store, worker = Store(path), InlineWorker()
    work = ColdStore(store, worker, worker, noop).compact(DAY + 10_000)
    Deferred.fromCoroutine(work).addErrback(lambda failure: failure.raiseException())
    store.close()


def without_arrow(read: Reader) -> Reader:
    """Return a reader that does without pyarrow."""

    def run() -> Any:
        arrow, table.arrow = table.arrow, lambda: None
        try:
            return read()
        finally:
            table.arrow = arrow

    return run


def readers(hot: Path, cold: Path) -> dict[str, Reader]:
    """Return the readers by name; the name says where they read, and what they return."""
    files = [str(each) for each in sorted(cold.glob("ticks/**/*.parquet"))]
    columns = list(COLUMNS)
    blocks, stored = ticks.read("EURUSD", data=hot), ticks.read("EURUSD", data=cold)
    return {
        "blocks, pandas": blocks.pandas,
        "files, pandas": stored.pandas,
        "pyarrow, pandas": lambda: pq.read_table(
            files, columns=columns, partitioning=None
        ).to_pandas(),
        "files, polars": stored.polars,
        "polars by itself": lambda: pl.read_parquet(
            files, columns=columns, hive_partitioning=False
        ),
        "files, arrow": stored.arrow,
        "pyarrow by itself": lambda: pq.read_table(files, columns=columns, partitioning=None),
        "files, pandas by DuckDB": without_arrow(stored.pandas),
    }


def as_pandas(found: Any) -> pd.DataFrame:
    """Return columns as a DataFrame of plain types."""
    if not isinstance(found, pd.DataFrame):
        found = found.to_pandas()
    return found.astype({"source": "str"})


def measure(readers: dict[str, Reader], rounds: int) -> dict[str, float]:
    """Return the median of seconds of the processor of each reader."""
    found: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        for name, read in readers.items():
            start = time.process_time()
            read()
            found[name].append(time.process_time() - start)
    return {name: round(statistics.median(each), 4) for name, each in found.items()}


def compare(fill: Callable[[Path, Rows], None], made: Rows, rounds: int) -> dict[str, Any]:
    """Fill both stores, check that all readers agree, and return what each of them takes."""
    with tempfile.TemporaryDirectory() as folder:
        hot, cold = Path(folder) / "hot", Path(folder) / "cold"
        for data in (hot, cold):
            data.mkdir()
            fill(data / "ticks.sqlite", made)
        compact(cold / "ticks.sqlite")
        found = readers(hot, cold)
        expected = as_pandas(found["pyarrow, pandas"]())
        assert len(expected) == len(made)
        for read in found.values():
            pd.testing.assert_frame_equal(as_pandas(read()), expected, check_dtype=False)
        seconds = measure(found, rounds)
        size = sum(each.stat().st_size for each in cold.glob("ticks/**/*.parquet"))
    return {
        **seconds,
        "files / pyarrow": round(seconds["files, pandas"] / seconds["pyarrow, pandas"], 2),
        "bytes a tick": round(size / len(made), 2),
    }


def main() -> None:
    """Measure, and say what was found, and whether it is within the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    made = list(rows(arguments.ticks, arguments.days))
    kept = True
    for name, fill in (("imported", import_rows), ("as they came", take_rows)):
        found = compare(fill, made, arguments.rounds)
        kept &= found["blocks, pandas"] <= LIMIT_SECONDS * arguments.ticks / 1_000_000
        kept &= found["files / pyarrow"] <= LIMIT_RATIO
        kept &= found["bytes a tick"] <= LIMIT_BYTES
        print(json.dumps({"ticks": arguments.ticks, "they are": name, **found}), flush=True)
    print(json.dumps({"within the limits": kept}))


if __name__ == "__main__":
    main()
