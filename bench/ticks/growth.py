"""
Store what 50 symbols send at a tick a second for hours, and see what it costs on disk.

The clock is simulated: each simulated second, or `--flush` of them, is one commit, and each hour
the log is merged, as a daemon does it. `--blocks` stores the blocks of each hour without a log: a
year has as many as it would have with one. `--import` imports ticks of one symbol instead.
Bytes that were written are those of `/proc/PID/io`, so FOLDER must not be a tmpfs.
Run it from a development environment: `python bench/ticks/growth.py FOLDER --hours 6`.
"""

import argparse
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from operator import add
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from statistics import median

from mtnet.services.ticks.files.importer import Importer
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.storage.blocks import Block, Memtable, Series
from mtnet.services.ticks.storage.commits import Commit, snapshot
from mtnet.services.ticks.storage.hot import HotStore
from mtnet.services.ticks.storage.merge import LEVEL
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.wire import by_symbol

EPOCH = 1_767_225_600_000
HOUR = 3_600
IMPORTED = 41_000
TURNS = 25


class Senders:
    """
    Ticks of many symbols at random moments, and their commits.

    Args:
        apart: whether each tick comes at a moment of its own, as in a datagram of its own, and not
            all of a second at once.
    """

    def __init__(self, symbols: int, seed: int, apart: bool = False) -> None:
        self.apart = apart
        self.chance = random.Random(seed)
        self.prices = {b"SYM%03d" % n: 110_000 + n for n in range(symbols)}
        self.memtable = Memtable({}, symbols)
        self.source = Source("desk", 3)

    def commit(self, second: int, flush: int) -> Commit:
        """Return the ticks of some seconds."""
        for at in range(second, second + flush):
            records = list(self._records(at))
            self.source.received += len(records)
            if self.apart:
                records.sort(key=lambda record: record[1].split(b" ")[4])
                late = self.chance.randint
                times = [int(rest.split(b" ")[4]) + late(1, 8) for _, rest in records]
                self.memtable.add_each(records, [(time, 3) for time in times])
            else:
                self.memtable.add(by_symbol(records), (EPOCH + at * 1_000, 3))
        commit = Commit(sources=[snapshot(self.source)], token=second + 1)
        for series in self.memtable.take_filled():
            for block in series.pack():
                commit.add(block, series.newest)
        commit.totals["stored"] = commit.ticks
        return commit

    def _records(self, second: int) -> Iterator[tuple[bytes, bytes]]:
        for symbol in self.prices:
            at = self.chance.expovariate(1)
            while at < 1:
                price = self.prices[symbol] = self.prices[symbol] + self.chance.randint(-2, 2)
                time = EPOCH + int((second + at) * 1_000)
                bid, ask = f"{price / 1e5:.5f}", f"{(price + 12) / 1e5:.5f}"
                yield symbol, f"{bid} {ask} - - {time} 6".encode()
                at += self.chance.expovariate(1)


def written() -> int:
    """Return the bytes that this process has handed to the disk."""
    lines = Path("/proc/self/io").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def timed(what: str, work: Callable[[], object]) -> None:
    """Print what a call costs."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{what}: {wall:.3f} s, {cpu:.3f} s of CPU", flush=True)


def join(store: HotStore) -> None:
    """Merge what there is, and print the longest step."""
    wall = cpu = 0.0
    age = more = True
    while more:
        begin = time.perf_counter(), time.process_time()
        more, age = store.join(age), False
        wall = max(wall, time.perf_counter() - begin[0])
        cpu = max(cpu, time.process_time() - begin[1])
    print(f"  merged; steps took {wall * 1e3:.0f} ms at most, {cpu * 1e3:.0f} of CPU", flush=True)


def fill(store: HotStore, senders: Senders, arguments: argparse.Namespace) -> int:
    """Store the ticks of hours; return how many."""
    ticks, flush = 0, arguments.flush
    for second in range(0, arguments.hours * HOUR, flush):
        commit = senders.commit(second, flush)
        ticks += commit.ticks
        store.commit(commit)
        if (second + flush) % 30 == 0:
            store.sync_late()
        if (second + flush) % HOUR == 0:
            join(store)
    return ticks


def fill_blocks(store: HotStore, arguments: argparse.Namespace) -> int:
    """
    Store the blocks of hours, the same prices at other times; return how many ticks.

    Each time that the store has twice as many hours, it is asked beside one of a day.
    """
    chance, count = random.Random(1), arguments.blocks
    step, ticks = HOUR * 1_000 // count, 0
    offsets = [at * step + chance.randrange(step) for at in range(count)]
    late = [chance.randint(1, 8) for _ in range(count)]
    prices = {b"SYM%03d" % n: _prices(chance, count) for n in range(arguments.symbols)}
    begin = written()
    for hour in range(arguments.hours):
        store.commit(_hour(hour, offsets, late, prices))
        ticks += count * len(prices)
        if hour + 1 in _doubled(arguments.hours):
            size = store.path.stat().st_size
            print(
                f"{hour + 1} hours, {ticks} ticks, {size / ticks:.2f} bytes a tick in the file, ",
                end="",
            )
            print(f"{(written() - begin) / ticks:.2f} written")
            if arguments.beside:
                compare(store.path, arguments.beside)
    return ticks


def _doubled(hours: int) -> set[int]:
    """Return a day, and sixteenth, eighth, quarter, half and whole of the hours."""
    return {24, *(hours // part for part in (16, 8, 4, 2, 1))}


def _hour(
    hour: int, offsets: list[int], late: list[int], prices: dict[bytes, list[bytes]]
) -> Commit:
    """
    Return the blocks of an hour.

    All symbols tick at the same moments: their runs and statistics are made once, or a year would
    take hours.
    """
    times = [EPOCH + hour * HOUR * 1_000 + offset for offset in offsets]
    marks = [(time + more, 3) for time, more in zip(times, late, strict=True)]
    ends = [b" - - %d 6" % time for time in times]
    commit = Commit(token=hour + 1, level=LEVEL)
    head, runs = b"", []
    for symbol, some in prices.items():
        records = [*map(add, some, ends)]
        if not commit.blocks:
            (block,) = Series(symbol, None, records, marks).pack()
            commit.add(block, (records[-1], marks[-1][0]))
            head, runs = block.data[: -len(block.text)], block.runs
            heard = commit.heard[3, symbol]
        else:
            data = head + b"\n".join(records)
            commit.blocks.append(Block(symbol, len(records), block.first, block.last, runs, data))
            commit.newest[symbol], commit.heard[3, symbol] = (records[-1], marks[-1][0]), heard
    commit.totals["stored"] = commit.ticks
    return commit


def _prices(chance: random.Random, count: int) -> list[bytes]:
    price, found = 110_000, []
    for _ in range(count):
        price += chance.randint(-2, 2)
        found.append(f"{price / 1e5:.5f} {(price + 12) / 1e5:.5f}".encode())
    return found


def import_many(path: Path, ticks: int) -> int:
    """Import ticks of one symbol, one each 100 ms."""
    some = _prices(random.Random(1), 10_000)

    def rows() -> Iterator[tuple[int, int, bytes]]:
        for at in range(ticks):
            time = EPOCH + at * 100
            yield at + 1, time, b"%b - - %d 6" % (some[at % 10_000], time)

    importer = Importer(path, b"SYM007", EPOCH + ticks * 100)
    importer.run(rows, lambda count: None)
    return importer.added


def compare(path: Path, beside: Path) -> None:
    """Print the CPU of an hour's export from two stores, in turns: medians of many."""
    hours = []
    for each in (beside, path):
        hours += [(each, name, read) for name, read in hours_of(TickReader(each)).items()]
    spent: dict[tuple[Path, str], list[float]] = {}
    for _ in range(TURNS):
        for each, name, read in hours:
            begin = time.process_time()
            ticks = read()
            spent.setdefault((each, name), []).append((time.process_time() - begin) / ticks)
    for each, name, _ in hours:
        print(f"  {each.parent.name}, the {name} hour: ", end="")
        print(f"{median(spent[each, name]) * 1e6:.3f} us of CPU a tick", flush=True)
    reader = TickReader(path)
    timed("  symbols", reader.symbols)
    timed("  report", reader.report)


def hours_of(reader: TickReader) -> dict[str, Callable[[], int]]:
    """Return what reads the first, the middle and the last hour of a symbol, and counts ticks."""
    extent = reader.extent(b"SYM007")
    assert extent is not None
    hour = HOUR * 1_000
    middle = (extent.earliest + extent.latest) // 2 // hour * hour
    begins = {"first": extent.earliest, "middle": middle, "last": extent.latest - hour}

    def read(begin: int) -> int:
        return sum(1 for _ in reader.ticks(b"SYM007", begin, begin + hour))

    return {name: partial(read, begin) for name, begin in begins.items()}


def ask(path: Path) -> None:
    """Print what questions cost."""
    reader = TickReader(path)
    for _ in range(3):
        timed("symbols", reader.symbols)
        timed("report", reader.report)
    for _ in range(3):
        for name, read in hours_of(reader).items():
            timed(f"the {name} hour", read)
    rows = [(n, EPOCH - 86_400_000 + n, b"1.1 1.2 - - %d 6" % (EPOCH - 86_400_000 + n))
            for n in range(IMPORTED)]  # fmt: skip
    importer = Importer(path, b"SYM008", EPOCH)
    timed(f"import of {IMPORTED}", lambda: importer.run(lambda: rows, lambda n: None))


def main() -> None:
    """Fill a store, and ask it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--hours", type=int, default=6)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--flush", type=int, default=1, help="seconds of a commit: 1, 10 or 60")
    parser.add_argument("--apart", action="store_true", help="each tick in its own datagram")
    parser.add_argument("--blocks", type=int, help="ticks of a block, and no log")
    parser.add_argument("--beside", type=Path, help="the ticks.sqlite of a day, to compare with")
    parser.add_argument("--import", type=int, dest="imported", help="ticks of one symbol")
    arguments = parser.parse_args()
    path = arguments.folder / "ticks.sqlite"
    store, begin = HotStore(path), written()
    store.load(Tally(arguments.folder / "ticks.taken"), 1_000)
    ticks: list[int] = []
    if arguments.imported:
        store.close()
        work = partial(import_many, path, arguments.imported)
    elif arguments.blocks:
        work = partial(fill_blocks, store, arguments)
    else:
        work = partial(fill, store, Senders(arguments.symbols, 1, arguments.apart), arguments)
    timed("storing", lambda: ticks.append(work()))
    store.close()
    print(f"{ticks[0]} ticks: {(written() - begin) / ticks[0]:.1f} bytes written a tick")
    peak = getrusage(RUSAGE_SELF).ru_maxrss // 1_024
    print(f"{peak} MiB of memory at most")
    with closing(sqlite3.connect(path)) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
        (blocks,) = connection.execute("SELECT count(*) FROM block").fetchone()
    print(f"{pages * page / ticks[0]:.1f} bytes a tick in the file, ", end="")
    print(f"{(pages - free) * page / ticks[0]:.1f} without its free pages, in {blocks} blocks")
    ask(path)


if __name__ == "__main__":
    main()
