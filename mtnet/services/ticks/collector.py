"""
Where ticks are taken and counted.

Every record that was read is in the end stored, dropped, refused or repeated: no other way
leads out.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import repeat

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from mtnet.config.schema import Ticks
from mtnet.interfaces import IStatus
from mtnet.services.ticks.feed import Feed
from mtnet.services.ticks.sources import Source
from mtnet.services.ticks.storage.blocks import Mark, Series
from mtnet.services.ticks.storage.commits import Commit, Refusal, snapshot
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.storage.writer import InThread, Writer
from mtnet.services.ticks.wire import Record


@dataclass
class Counts:
    """
    Records since the daemon started.

    Attributes:
        received: that were read; each of them is stored in the end, or counted below.
        dropped: that there was no room for, in the queue or on the disk, or that the store will
            not have.
        unstored: those of them that the store will not have.
        refused: that could not be read, or were not allowed.
        repeated: that are on disk already.
    """

    received: int = 0
    dropped: int = 0
    unstored: int = 0
    refused: int = 0
    repeated: int = 0


@implementer(IStatus)
class Collector:
    """
    Takes the ticks of all sources.

    Args:
        settings: of `[ticks]`.
        reserve: free bytes that are left on the disk.
        in_thread: runs a blocking function off the reactor, one at a time, in order.

    Attributes:
        counts: of records since the start.
        feed: who is told each tick.
        lost: ticks that a killed daemon had taken and not stored.
    """

    log = Logger()

    def __init__(
        self,
        settings: Ticks,
        reserve: int,
        store: Store,
        tally: Tally,
        clock: IReactorTime,
        in_thread: InThread,
    ) -> None:
        self._settings, self._store, self._tally = settings, store, tally
        self._writer = Writer(
            settings, reserve, store, clock, in_thread, self._complete, self._refused, self._settled
        )
        self.counts = Counts()
        self.feed = Feed(self.last_tick)
        self.lost = 0
        self._sources: dict[str, Source] = {}
        self._touched: dict[int, Source] = {}
        self._series: dict[bytes, Series] = {}
        self._drops: list[Callable[[], int]] = []
        self._drops_stored = self._reported_dropped = self._reported_unstored = (
            self._reported_lost
        ) = 0
        self._new_symbols = 0
        self._dropping = self._tally_reported = self._new_symbols_reported = False

    def open(self) -> None:
        """
        Read what is kept; blocking, once, before anything else.

        Raises:
            JournalError: the file is damaged, or of a newer mtnet.
        """
        kept = self._store.load(self._tally, self._settings.max_sources)
        self._sources = {source.name: source for source in kept.sources}
        self._others, self._next = kept.others, kept.next
        self._series = {symbol: Series(symbol, last) for symbol, last in kept.newest.items()}
        self.lost = kept.lost
        if kept.unknown:
            self.log.warn(
                "ticks.taken was missing or cut, and is written anew from the store: whether the "
                "last daemon was killed, and what that has cost, is not known"
            )
        self._look_at_tally()
        self._writer.look()

    # Taking

    def source(self, name: str) -> Source:
        """Return the sender of that name; beyond `ticks.max_sources`, the one for all others."""
        found = self._sources.get(name)
        if found is not None:
            return found
        if len(self._sources) >= self._settings.max_sources:
            return self._others
        found = self._sources[name] = Source(name, self._next)
        self._next += 1
        return found

    def is_numbered(self, source: Source) -> bool:
        """Say whether the numbers of a sender mean anything: not those of many in one."""
        return source is not self._others

    def take(self, source: Source, records: list[Record], when: int) -> int:
        """
        Take records that came at `when`; return how many will be on disk after a `sync`.

        The others are counted: there was no room, or their symbol is one too many.
        """
        if not self.has_room:
            self.count_dropped(source, len(records), when)
            return 0
        self._count_received(source, len(records), when)
        mark: Mark = (when, source.number)
        rejected = self._keep(records, repeat(mark))
        refused = sum(rejected.values())
        self._new_symbols += refused
        self._count_refused(source, refused)
        self._publish(records, rejected, when)
        return len(records) - refused

    def take_each(self, sources: list[Source], records: list[Record], when: int) -> None:
        """Take records that came at once, each from a source of its own, in their order."""
        heard = Counter(source.number for source in sources)
        by_number = {source.number: source for source in sources}
        if not self.has_room:
            for number, count in heard.items():
                self.count_dropped(by_number[number], count, when)
            return
        for number, count in heard.items():
            self._count_received(by_number[number], count, when)
        marks: dict[int, Mark] = {number: (when, number) for number in heard}
        rejected = self._keep(records, [marks[source.number] for source in sources])
        if rejected:
            self._new_symbols += sum(rejected.values())
            for source, (symbol, _) in zip(sources, records, strict=True):
                self._count_refused(source, symbol in rejected)
        self._publish(records, rejected, when)

    @property
    def has_room(self) -> bool:
        """Whether records are taken now, and not dropped."""
        writer = self._writer
        return not (writer.full or writer.closing) and writer.waiting < self._settings.queue

    def count_dropped(self, source: Source, records: int, when: int) -> None:
        """Count records that there is no room for."""
        self._count_received(source, records, when)
        source.dropped += records
        self.counts.dropped += records

    def count_refused(self, source: Source, records: int, when: int) -> None:
        """Count records that cannot be read."""
        self._count_received(source, records, when)
        self._count_refused(source, records)

    def count_denied(self, records: int) -> None:
        """Count records of somebody who may not send."""
        self.counts.received += records
        self.counts.refused += records

    def count_repeated(self, source: Source, records: list[Record], when: int) -> int:
        """Count records of a batch that was here before; return how many of them were taken."""
        self._count_received(source, len(records), when)
        taken = sum(symbol in self._series for symbol, _ in records)
        source.repeated += taken
        self.counts.repeated += taken
        self._count_refused(source, len(records) - taken)
        return taken

    def last_tick(self, symbol: bytes) -> tuple[bytes, int] | None:
        """Return the last tick of a symbol, without the symbol, and when it came."""
        found = self._series.get(symbol)
        return None if found is None else found.latest()

    def symbols(self) -> Iterable[bytes]:
        """Return the symbols of which there ever was a tick."""
        return self._series.keys()

    def add_drop_counter(self, dropped: Callable[[], int]) -> None:
        """Count the datagrams that a port lost: `dropped` returns how many, of all time."""
        self._drops.append(dropped)

    def _count_received(self, source: Source, records: int, when: int) -> None:
        source.count_received(records, when)
        self._touched[source.number] = source
        self.counts.received += records
        self._writer.wake()

    def _keep(self, records: list[Record], marks: Iterable[Mark]) -> dict[bytes, int]:
        """Put records where the writer finds them; count those of each symbol that is left out."""
        series, filled = self._series, self._writer.filled
        rejected: dict[bytes, int] = {}
        for (symbol, rest), mark in zip(records, marks, strict=False):
            found = series.get(symbol) or self._new_series(symbol)
            if found is None:
                rejected[symbol] = rejected.get(symbol, 0) + 1
                continue
            if not found.records:
                filled.append(found)
            found.records.append(rest)
            found.marks.append(mark)
        taken = len(records) - sum(rejected.values())
        self._writer.waiting += taken
        self._tally.set(self._tally.value + taken)
        return rejected

    def _publish(self, records: list[Record], rejected: dict[bytes, int], when: int) -> None:
        if self.feed.subscribers:
            self.feed.publish([each for each in records if each[0] not in rejected], when)

    def _count_refused(self, source: Source, records: int) -> None:
        source.refused += records
        self.counts.refused += records

    def _new_series(self, symbol: bytes) -> Series | None:
        if len(self._series) >= self._settings.max_symbols:
            return None
        found = self._series[symbol] = Series(symbol)
        return found

    # Storing

    def sync(self) -> "Deferred[None]":
        """
        Return what fires once everything that was taken is on disk.

        Fails with `JournalError`: the disk refuses it now; it is kept, and tried again.
        """
        return self._writer.sync()

    def close(self) -> "Deferred[None]":
        """Store what was taken; the last try, when the disk refuses."""
        return Deferred.fromCoroutine(self._writer.close())

    def _refused(self, refusal: Refusal) -> None:
        """Count ticks that were taken, and that the store will never have."""
        by_number = {source.number: source for source in (self._others, *self._sources.values())}
        for number, ticks in refusal.ticks.items():
            self.counts.dropped += ticks
            self.counts.unstored += ticks
            source = by_number.get(number)
            if source is not None:
                source.dropped += ticks
                source.unstored += ticks
                self._touched[number] = source

    def _look_at_tally(self) -> None:
        """Write the file of the tally anew where it is gone, and say once when it takes nothing."""
        if self._tally.repair():
            self.log.warn("ticks.taken was removed or replaced, and is written anew")
        trouble = self._tally.trouble
        if trouble is not None and not self._tally_reported:
            self.log.warn(
                "{trouble}: what a kill costs will not be known; ticks are stored as ever",
                trouble=trouble,
            )
        self._tally_reported = trouble is not None

    def _complete(self, commit: Commit) -> None:
        self._look_at_tally()
        commit.sources += [snapshot(source) for source in self._touched.values()]
        self._touched = {}
        drops = self.kernel_drops() - self._drops_stored
        self._drops_stored += drops
        commit.totals["kernel drops"] = commit.totals.get("kernel drops", 0) + drops

    def _settled(self) -> bool:
        """
        Say once that ticks are lost, and once how many they were; return whether that, or
        what was counted, needs another attempt to store.
        """
        dropped, lost = self.counts.dropped, self.kernel_drops()
        new = dropped - self._reported_dropped, lost - self._reported_lost
        unstored = self.counts.unstored - self._reported_unstored
        self._reported_dropped, self._reported_lost = dropped, lost
        self._reported_unstored = self.counts.unstored
        if any(new) and not self._dropping:
            parts = []
            if new[0]:
                parts.append(f"{new[0]} dropped ({self._why_dropped(unstored)})")
            if new[1]:
                parts.append(f"{new[1]} datagrams lost by the kernel")
            self.log.warn("Ticks are lost: {what}", what=", ".join(parts))
        elif self._dropping and not any(new):
            self.log.info(
                "No tick is lost any more; since the start {dropped} dropped, {lost} by the kernel",
                dropped=dropped,
                lost=lost,
            )
        self._dropping = any(new)
        self._report_new_symbols()
        return self._dropping or bool(self._touched)

    def _report_new_symbols(self) -> None:
        """Say once that records of new symbols are refused, as long as they come."""
        rejected, self._new_symbols = self._new_symbols, 0
        if rejected and not self._new_symbols_reported:
            self.log.warn(
                "{count} records are refused: there are {most} symbols (ticks.max_symbols), and "
                "theirs are new",
                count=rejected,
                most=self._settings.max_symbols,
            )
        self._new_symbols_reported = bool(rejected)

    def _why_dropped(self, unstored: int) -> str:
        if unstored:
            return "the store will not have them"
        return "the disk is nearly full" if self._writer.full else "the queue was full"

    # Telling

    def kernel_drops(self) -> int:
        """Return how many datagrams the kernel had no room for since the start."""
        return sum(dropped() for dropped in self._drops)

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`."""
        writer = self._writer
        return {
            "healthy": writer.trouble is None and not writer.full and not self._dropping,
            "trouble": writer.trouble,
            "full": writer.full,
            "received": self.counts.received,
            "stored": writer.stored,
            "waiting": writer.waiting,
            "dropped": self.counts.dropped,
            "refused": self.counts.refused,
            "repeated": self.counts.repeated,
            "kernel_drops": self.kernel_drops(),
            "sources": len(self._sources),
            "symbols": len(self._series),
            "subscribers": len(self.feed.subscribers),
        }

    def status(self) -> dict[str, object]:
        """Report that, and what the last kill cost."""
        return {**self.health(), "lost when killed": self.lost}
