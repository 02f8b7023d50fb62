"""
Commits: the rows that one transaction stores, and the parts that can be stored on their own.

Pure.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mtnet.services.ticks.model import GAPS, SLOTS, Seen, Source
from mtnet.services.ticks.storage.blocks import Block, Reception
from mtnet.services.ticks.storage.schema import Row

FAST = 1
"""Of zlib: level 6 saves 24 % of the space, and costs three times as much."""
UNSTORED = "unstored"
"""A total: ticks that were taken, and that the store rejected; of one source: see `unstored_of`."""
COUNTS = (
    "received", "refused", "dropped", "repeated", "repeats", "restarts", "disorder", "missing",
    "highest", "first", "last", "longest",
)  # fmt: skip
"""The columns of `source` that are attributes of `Source`, but for `dropped`, which has not those
that the store rejected: they are counted by the transaction that leaves them out."""


@dataclass
class Commit:
    """
    One transaction: all of it is stored, or nothing.

    Attributes:
        blocks: ticks, in order of arrival.
        heard: statistics by number of the source, and symbol; a table has this name.
        newest: the last tick of each symbol and when it came.
        sources: snapshots of those that sent something.
        totals: what is added to the totals.
        imported: how many of the ticks are from a file.
        token: identifies the commit in the file, to find out whether it was stored after an
            error; 0 = nothing asks for it.
        level: of zlib, for the blocks.
        forced: whether it is on the platter when it is stored, or may wait for that.
        refusals: the parts that the store rejected, once the rest is stored.
    """

    blocks: list[Block] = field(default_factory=list)
    heard: dict[tuple[int, bytes], Reception] = field(default_factory=dict)
    newest: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    sources: list["SourceSnapshot"] = field(default_factory=list)
    totals: dict[str, int] = field(default_factory=dict)
    imported: int = 0
    token: int = 0
    level: int = FAST
    forced: bool = False
    refusals: list["Refusal"] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.blocks or self.sources or any(self.totals.values()))

    @property
    def ticks(self) -> int:
        """How many ticks it holds."""
        return sum(block.ticks for block in self.blocks)

    def add(self, block: Block, newest: tuple[bytes, int] | None) -> None:
        """Add a block, and the last tick of its symbol."""
        self.blocks.append(block)
        if newest is not None:
            self.newest[block.symbol] = newest
        for when, source, ticks in block.runs:
            heard = self.heard.get((source, block.symbol))
            if heard is None:
                self.heard[source, block.symbol] = Reception(ticks, when, when)
            else:
                heard.add(ticks, when)

    def count(self, total: str, number: int) -> None:
        """Add to one of the totals."""
        self.totals[total] = self.totals.get(total, 0) + number

    def count_unstored(self, ticks: Mapping[int, int]) -> None:
        """Add ticks, by the number of their source, to those that the store rejected."""
        for source, count in ticks.items():
            self.count(UNSTORED, count)
            self.count(unstored_of(source), count)

    def parts(self) -> list["Part"]:
        """Return the parts that can be stored on their own: each symbol, and each source."""
        by_symbol: dict[bytes, Part] = {}
        for block in self.blocks:
            by_symbol.setdefault(block.symbol, Part()).blocks.append(block)
        for (number, symbol), heard in self.heard.items():
            by_symbol.setdefault(symbol, Part()).heard[number, symbol] = heard
        for symbol, newest in self.newest.items():
            by_symbol.setdefault(symbol, Part()).newest[symbol] = newest
        return [*by_symbol.values(), *(Part(sources=[each]) for each in self.sources)]


class Part(Commit):
    """The rows of some symbols and some sources."""

    @property
    def name(self) -> str:
        """Its description for the log."""
        symbols = dict.fromkeys([*(block.symbol for block in self.blocks), *self.newest])
        names = [f"ticks of {symbol.decode('utf-8', 'replace')}" for symbol in symbols]
        return ", ".join([*names, *(f"counters of {source.row[1]}" for source in self.sources)])


@dataclass(frozen=True)
class Refusal:
    """
    Rows that the store rejects for good, though it takes others.

    Attributes:
        what: ticks of a symbol, or counters of a source.
        reason: a sentence without its full stop.
        ticks: how many ticks, by the number of their source.
    """

    what: str
    reason: str
    ticks: dict[int, int]

    @property
    def count(self) -> int:
        """How many ticks it is about."""
        return sum(self.ticks.values())


@dataclass(frozen=True)
class SourceSnapshot:
    """
    Snapshot of a source, for the thread that stores it.

    Attributes:
        row: of the table `source`.
        gaps: that are new or were filled since; rows.
        oldest: the first gap to keep, as (source, run, first), when there are too many.
        seen: its new batches.
        run: how often its numbers have restarted.
    """

    row: Row
    gaps: Sequence[Row]
    oldest: Row | None
    seen: list[Seen]
    run: int


def unstored_of(source: int | str) -> str:
    """Return the name of the total of the ticks of a source that the store rejected."""
    return f"{UNSTORED} {source}"


def snapshot(source: Source) -> SourceSnapshot:
    """Return a snapshot of a source; its new gaps and batches count as stored from now on."""
    counts = {name: getattr(source, name) for name in COUNTS}
    counts["dropped"] -= source.unstored
    row = (source.number, source.name, *counts.values())
    changed = source.take_changed()
    gaps = [(source.number, g.run, g.first, g.last, g.found, g.late) for g in changed]
    oldest = None
    if len(source.gaps) == GAPS:
        oldest = source.number, source.gaps[0].run, source.gaps[0].first
    return SourceSnapshot(row, gaps, oldest, source.take_fresh(), source.restarts)


def latest(snapshots: Iterable[SourceSnapshot]) -> list[SourceSnapshot]:
    """Return one snapshot for each source: its last one, with the gaps and batches of all."""
    found: dict[object, SourceSnapshot] = {}
    for each in snapshots:
        before = found.get(each.row[0])
        if before is not None:
            seen = [*before.seen, *each.seen] if before.run == each.run else each.seen
            gaps, oldest = [*before.gaps, *each.gaps], each.oldest or before.oldest
            each = SourceSnapshot(each.row, gaps, oldest, seen[-SLOTS:], each.run)
        found[each.row[0]] = each
    return list(found.values())


def joined(parts: Sequence[Part]) -> Part:
    """Return several parts as one."""
    whole = Part()
    for part in parts:
        whole.blocks += part.blocks
        whole.heard |= part.heard
        whole.newest |= part.newest
        whole.sources += part.sources
    return whole


def refusal(part: Part, error: Exception) -> Refusal:
    """Return the refusal of a part."""
    ticks: dict[int, int] = {}
    for block in part.blocks:
        for _, source, count in block.runs:
            ticks[source] = ticks.get(source, 0) + count
    return Refusal(part.name, str(error) or type(error).__name__, ticks)
