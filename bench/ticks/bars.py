"""
Make bars of the same million ticks: as they come, from blocks of SQLite, and from Parquet files.

Each figure is a median of microseconds of the processor for each tick, all threads together; the
three take turns, and so does what DuckDB says of the same files by itself.
Run it from a development environment: `python bench/ticks/bars.py`; it takes a minute.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import duckdb

from bench.ticks.reader import DAY, DAY_MS, compact, measure, rows
from mtnet.callbacks import noop
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.bars.series import Bars
from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.wire import by_symbol

SHOWN = ("S1", "M1", "H1", "D1")
SYMBOL = b"EURUSD"
OWN = """
SELECT time_msc - time_msc % {length}, first(bid), max(bid), min(bid), last(bid), count(bid)
FROM '{files}' GROUP BY 1 ORDER BY 1
"""


def of_stores(folder: Path, name: str) -> int:
    """Return how many bars there are."""
    history = BarHistory(folder / "ticks.sqlite")
    return sum(1 for _ in history.bars(SYMBOL, PERIODS[name], history.basis(SYMBOL)))


def of_duckdb(folder: Path, name: str) -> int:
    """Return how many bars DuckDB makes by itself of the Parquet files, in one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        files = f"{folder}/ticks/**/*.parquet"
        query = OWN.format(length=PERIODS[name].length, files=files)
        return len(connection.execute(query).fetchall())


def as_they_come(records: list[Any], received: int) -> int:
    """Return how many M1 bars are built live."""
    live = Bars(1_000_000)
    for at in range(0, len(records), 10):
        live.take(by_symbol(records[at : at + 10]), received)
    return len(live)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ticks", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    made = list(rows(arguments.ticks, arguments.days))
    received = (DAY + arguments.days) * DAY_MS
    with tempfile.TemporaryDirectory() as root:
        blocks, files = Path(root, "blocks"), Path(root, "files")
        for folder in (blocks, files):
            folder.mkdir()
            Importer(folder / "ticks.sqlite", SYMBOL, received).run(lambda: made, noop)
        compact(files / "ticks.sqlite")
        records = [(SYMBOL, rest) for _, _, rest in made]
        readers: dict[str, Callable[[], Any]] = {
            "live M1": partial(as_they_come, records, received)
        }
        for name in SHOWN:
            readers[f"blocks {name}"] = partial(of_stores, blocks, name)
            readers[f"files {name}"] = partial(of_stores, files, name)
            readers[f"DuckDB itself {name}"] = partial(of_duckdb, files, name)
        found = measure(readers, arguments.rounds)
    each = {name: round(seconds / arguments.ticks * 1e6, 3) for name, seconds in found.items()}
    print(json.dumps({"us_each": each, "load": os.getloadavg()[0]}, indent=1))


if __name__ == "__main__":
    main()
