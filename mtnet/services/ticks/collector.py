"""
The service of ticks: takes, counts, publishes and stores them.

Every record that was read is stored, dropped, refused or repeated in the end, and counted as such.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import compress
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import JournalError
from mtnet.interfaces import IStatus, ITicks
from mtnet.recurring import Recurring
from mtnet.services.ticks.bars.feed import BarFeed
from mtnet.services.ticks.bars.series import Bars
from mtnet.services.ticks.clocks.monitor import ClockMonitor
from mtnet.services.ticks.fanout.feed import Feed
from mtnet.services.ticks.fanout.scheduler import SLICE, FanoutScheduler
from mtnet.services.ticks.health.losses import LossReport
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.sources import SourceRegistry
from mtnet.services.ticks.storage.blocks import Mark
from mtnet.services.ticks.storage.store import Store
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.storage.writer import Writer
from mtnet.services.ticks.wire import Record, by_symbol, encode_symbol
from mtnet.storage.worker import InThread


@implementer(IStatus, ITicks)
class Collector:
    """
    Takes the ticks of all sources, and stores them by group commit.

    A commit follows `ticks.flush` seconds after the first tick that waits, or at once after `sync`.

    Args:
        settings: of `[ticks]`.
        reserve: free bytes that are left on the disk.
        in_thread: runs a blocking function off the reactor, one at a time, in order.

    Attributes:
        feed: the subscribers.
        fanout: publishes each tick to them.
        bars: builds bars, and publishes their changes.
        lost: ticks that a killed daemon had taken and not stored.
    """

    log = Logger()

    def __init__(
        self,
        settings: TickSettings,
        reserve: int,
        store: Store,
        tally: Tally,
        clock: IReactorTime,
        in_thread: InThread,
    ) -> None:
        self._settings, self._clock = settings, clock
        self._writer = Writer(settings, reserve, store, tally, clock, in_thread)
        self.feed = Feed(self.last_tick)
        self.fanout = FanoutScheduler(self.feed, clock)
        self.bars = BarFeed(_bars(settings), clock, SLICE)
        self._build = Recurring("The building of bars", self.bars.take)
        self.lost = 0
        self._observers: list[tuple[Recurring, Recurring]] = []
        self._syncs: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None
        self._closing = False

    def open(self) -> None:
        """
        Read what is stored; blocking, once, before anything else.

        Raises:
            JournalError: the file is damaged, or of a newer mtnet.
        """
        state = self._writer.open()
        limit = self._settings.max_sources
        self._sources = SourceRegistry(state.sources, state.others, state.next, limit)
        self.bars.begin(state.latest)
        self._losses = LossReport(self._sources.counts, self.max_symbols)
        self.lost = state.lost
        if self._writer.full:
            self._wake()

    @property
    def max_symbols(self) -> int:
        """Symbols that are stored, at most."""
        return self._settings.max_symbols

    def observe(self, observer: Any) -> None:
        """Hand every tick that is taken from now on to an `ITickObserver`."""
        # A tick is stored, whatever an observer does, which may be another package's.
        self._observers.append(
            (
                Recurring("An observer of ticks", observer.taken),
                Recurring("The flush of an observer of ticks", observer.flush),
            )
        )

    # Taking ticks

    def source(self, name: str) -> Source:
        """Return the sender of that name; beyond `ticks.max_sources`, the one for all others."""
        return self._sources.get(name)

    def sources(self) -> Iterable[Source]:
        """Return the senders that have a name of their own."""
        return self._sources

    def is_numbered(self, source: Source) -> bool:
        """Return whether batch numbers of a sender mean anything: `others` are many in one."""
        return self._sources.is_numbered(source)

    def take(self, source: Source, records: list[Record], when: int) -> int:
        """
        Take records that came at `when`; return how many will be on disk after a `sync`.

        The others are counted: there was no room, or their symbol is one too many.
        """
        if not self.has_room:
            self.count_dropped(source, len(records), when)
            return 0
        self._count_received(source, len(records), when)
        self.clocks.take(source.name, records, when)
        ticks = by_symbol(records)
        rejected = self._writer.add(ticks, (when, source.number))
        if rejected:
            refused = self._reject(ticks, rejected)
            self._sources.count_refused(source, refused)
            records = [each for each in records if each[0] not in rejected]
        self._publish(records, ticks, when)
        for taken, _ in self._observers:
            taken(records, when, [source.name] * len(records))
        return len(records)

    def take_each(self, sources: list[Source], records: list[Record], when: int) -> None:
        """Take records that came at once, each from a source of its own, in their order."""
        received = Counter(source.number for source in sources)
        by_number = {source.number: source for source in sources}
        if not self.has_room:
            for number, count in received.items():
                self.count_dropped(by_number[number], count, when)
            return
        for number, count in received.items():
            self._count_received(by_number[number], count, when)
        self.clocks.take(sources[-1].name, records, when)
        marks: dict[int, Mark] = {number: (when, number) for number in received}
        ticks = by_symbol(records)
        rejected = self._writer.add_each(records, [marks[source.number] for source in sources])
        if rejected:
            self._reject(ticks, rejected)
            kept = [symbol not in rejected for symbol, _ in records]
            for source, is_kept in zip(sources, kept, strict=True):
                self._sources.count_refused(source, not is_kept)
            records, sources = list(compress(records, kept)), list(compress(sources, kept))
        self._publish(records, ticks, when)
        for taken, _ in self._observers:
            taken(records, when, [source.name for source in sources])

    def burst(self) -> AbstractContextManager[None]:
        """Take what comes meanwhile as one burst: the tally is written once, behind it."""
        return self._writer.burst()

    @property
    def clocks(self) -> ClockMonitor:
        """The monitor of the clocks of senders."""
        return self._sources.clocks

    @property
    def has_room(self) -> bool:
        """Whether records are taken now, and not dropped."""
        return not self._closing and self._writer.has_room

    def is_storing(self) -> bool:
        """Return whether the disk takes what comes, and nothing waits for a second attempt."""
        return self.has_room and self._writer.trouble is None

    def count_dropped(self, source: Source, records: int, when: int) -> None:
        """Count records that there is no room for."""
        self._count_received(source, records, when)
        self._sources.count_dropped(source, records)

    def count_refused(self, source: Source, records: int, when: int) -> None:
        """Count records that cannot be read."""
        self._count_received(source, records, when)
        self._sources.count_refused(source, records)

    def count_denied(self, records: int) -> None:
        """Count records of a sender that may not send."""
        self._sources.count_denied(records)

    def count_repeated(self, source: Source, records: list[Record], when: int) -> int:
        """Count records of a batch that was here before; return how many of them were taken."""
        self._count_received(source, len(records), when)
        taken = sum(symbol in self._writer.memtable for symbol, _ in records)
        self._sources.count_repeated(source, taken)
        self._sources.count_refused(source, len(records) - taken)
        return taken

    def last_tick(self, symbol: bytes) -> tuple[bytes, int] | None:
        """Return the last tick of a symbol, without the symbol, and when it came."""
        return self._writer.memtable.last_tick(symbol)

    def symbols(self) -> Collection[bytes]:
        """Return the symbols of which there ever was a tick."""
        return self._writer.memtable.symbols()

    def add_drop_counter(self, dropped: Callable[[], int]) -> None:
        """Count the datagrams that a port lost: `dropped` returns how many, of all time."""
        self._losses.add_drop_counter(dropped)

    def _count_received(self, source: Source, records: int, when: int) -> None:
        self._sources.count_received(source, records, when)
        self._wake()

    def _reject(self, ticks: dict[bytes, list[bytes]], rejected: Mapping[bytes, int]) -> int:
        """Leave out symbols that are one too many; return how many ticks of them there are."""
        for symbol in rejected:
            del ticks[symbol]
        refused = sum(rejected.values())
        self._losses.rejected += refused
        return refused

    def _publish(
        self, records: list[Record], ticks: Mapping[bytes, Sequence[bytes]], when: int
    ) -> None:
        self._build(ticks, when)
        self.fanout.publish(records, when)

    # Storing ticks

    def sync(self) -> "Deferred[None]":
        """
        Return what fires once everything that was taken is on disk.

        Fails with `JournalError`: the disk refuses it now; it is kept, and tried again.
        """
        if self._closing:
            return fail(JournalError("The daemon stops."))
        waiting: Deferred[None] = Deferred()
        self._syncs.append(waiting)
        self._flush()
        return waiting

    def close(self) -> "Deferred[None]":
        """Store what was taken; the last try, when the disk refuses."""
        return Deferred.fromCoroutine(self._close())

    async def _close(self) -> None:
        self._closing = True
        self._cancel()
        self.bars.close()
        self.fanout.close()
        if self._writing is not None:
            await self._writing
        await self._write()
        if self._writer.has_failed:
            # What failed may have been stored all the same, which the next attempt finds out.
            await self._write()
        await self._writer.close()

    def _wake(self) -> None:
        """Store what was taken within a flush."""
        if self._timer is None and self._writing is None and not self._closing:
            self._wait(self._settings.flush)

    def _wait(self, seconds: float) -> None:
        self._timer = self._clock.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = None
        self._flush()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _flush(self) -> None:
        """Write now, or as soon as the present writing is over."""
        if self._writing is None:
            self._cancel()
            self._writing = Deferred()
            Deferred.fromCoroutine(self._write()).addBoth(self._written, self._writing)

    async def _write(self) -> None:
        """Make one attempt to store everything, and answer those who waited when it began."""
        syncs, self._syncs = self._syncs, []
        for _, flush in self._observers:
            flushed = flush()
            if flushed is not None:
                await flushed
        try:
            await self._store(bool(syncs) or self._closing)
        except JournalError as error:
            for waiting in syncs:
                waiting.errback(error)
        else:
            for waiting in syncs:
                waiting.callback(None)

    async def _store(self, forced: bool) -> None:
        writer = self._writer
        writer.begin(self._sources.take_changed(), self._losses.take_kernel_drops(), forced)
        for step in (writer.pack, writer.retry, writer.write):
            for refusal in await step():
                self._sources.count_unstored(refusal.ticks)

    def _written(self, result: object, writing: "Deferred[None]") -> None:
        if isinstance(result, Failure):
            self.log.failure("Storing ticks failed", result)
        self._writing = None
        losing = self._losses.report(self._writer.full, self._clock.seconds())
        writing.callback(None)
        if self._closing:
            return
        if self._syncs:
            self._flush()
        elif self._writer.trouble:
            self._wait(self._settings.retry)
        elif losing or self._sources.has_changed or not self._writer.is_idle:
            self._wait(self._settings.flush)

    # Reports

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`."""
        writer, counts = self._writer, self._sources.counts
        return {
            "healthy": writer.trouble is None and not writer.full and not self._losses.losing,
            "trouble": writer.trouble,
            "full": writer.full,
            "received": counts.received,
            "stored": writer.stored,
            "waiting": writer.waiting,
            "dropped": counts.dropped,
            "refused": counts.refused,
            "repeated": counts.repeated,
            "kernel_drops": self._losses.kernel_drops(),
            "missing": self._sources.missing,
            "sources": len(self._sources),
            "symbols": len(writer.memtable),
            "subscribers": len(self.feed.subscribers),
            "bars": self.bars.count,
        }

    def status(self) -> dict[str, object]:
        """Report that, what the last kill cost, ticks that fit in no bar, and each sender."""
        left_out = self.bars.left_out
        lost = {"lost when killed": self.lost, "in no bar": left_out}
        return {**self.health(), **lost, "senders": self._sources.status()}


def _bars(settings: TickSettings) -> Bars | None:
    by_last = frozenset(map(encode_symbol, settings.bars_of_last))
    return Bars(settings.bars, by_last) if settings.bars else None
