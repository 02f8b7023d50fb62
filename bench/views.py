"""
Views: CPU of a commit by the number of views of its channel.

In memory's file system (`--folder`), in one process and one thread: signals of one symbol, which
changes its volume each time, go through `Journal.commit` without views, with one view, and with
`--views` of them, in turn within each round. Reported is the median of the rounds: µs of CPU for
the commit alone, and for each view and signal; and the longest commit.

Run it from the checkout that is to be measured: `python bench/views.py [--views 1000]`.
"""

import argparse
import tempfile
import time
from decimal import Decimal
from functools import partial
from pathlib import Path
from statistics import median

from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.model import Entry
from mtnet.services.signals.views import changes
from mtnet.services.signals.views.settings import ViewSettings
from mtnet.services.signals.views.transform import Terms

WHEN = 1_795_000_000_000


def journal_with(folder: Path, views: int) -> Journal:
    """Return a journal whose channel `gold` has so many views."""
    journal = Journal(folder / f"{views}.sqlite", 1_000_000)
    journal.load()
    journal.create("gold")
    for number in range(views):
        settings = ViewSettings(
            sources=("gold",), value=Decimal(number % 9 + 1) / 10, step=Decimal("0.01")
        )
        name = f"view-{number}"
        add = partial(changes.add, name=name, settings=settings, terms=Terms(WHEN))
        journal.change_views(add)
    return journal


def commits(journal: Journal, count: int, first: int) -> tuple[float, float]:
    """Return the CPU of a commit in µs, and the longest one in ms."""
    longest, before = 0.0, time.process_time()
    for number in range(first, first + count):
        volume = Decimal(number % 7 + 1)
        start = time.perf_counter()
        journal.commit([Entry("gold", "XAUUSD", volume, WHEN + number, id=f"a-{number}")])
        longest = max(longest, time.perf_counter() - start)
    return (time.process_time() - before) / count * 1e6, longest * 1e3


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--views", type=int, default=1_000)
    parser.add_argument("--signals", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("/dev/shm"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        counts = (0, 1, asked.views)
        journals = {count: journal_with(Path(folder), count) for count in counts}
        found: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
        for round in range(asked.rounds):
            for count, journal in journals.items():
                signals = asked.signals if count > 1 else 20 * asked.signals
                found[count].append(commits(journal, signals, 1 + round * signals))
        for journal in journals.values():
            journal.close()
    alone = median(cpu for cpu, _ in found[0])
    print(f"journal alone: {alone:.0f} µs of CPU a signal")
    for count in counts[1:]:
        each = median(cpu - alone for cpu, _ in found[count]) / count
        longest = median(longest for _, longest in found[count])
        print(f"{count} views: {each:.1f} µs of CPU each; longest commit {longest:.0f} ms")


if __name__ == "__main__":
    main()
