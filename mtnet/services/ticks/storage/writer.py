"""
Write-behind storage: ticks wait in memory, and a worker thread stores them in commits.

Series are packed here in slices, so that the reactor is not held up. What the disk refuses is
kept, and tried again before anything newer.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from random import getrandbits

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mtnet.errors import JournalError
from mtnet.services.ticks.model import Source
from mtnet.services.ticks.settings import TickSettings
from mtnet.services.ticks.storage.blocks import Mark, Memtable, Series
from mtnet.services.ticks.storage.commits import Commit, Refusal, snapshot
from mtnet.services.ticks.storage.store import Store, StoredState
from mtnet.services.ticks.storage.tally import Tally
from mtnet.services.ticks.wire import Record
from mtnet.storage.worker import InThread


class Writer:
    """
    Write-behind buffer with retry.

    `begin`, `pack`, `retry` and `write` are one attempt, in this order. Each of the last three
    returns the ticks that the store rejects for good.

    Args:
        settings: of `[ticks]`.
        reserve: free bytes that are left on the disk.
        in_thread: runs a blocking function off the reactor, one at a time, in order.

    Attributes:
        memtable: the ticks that no commit holds yet.
        waiting: ticks that were taken and are not on disk.
        stored: ticks that are, since the start.
        full: whether the disk has less room than `reserve`.
        trouble: why the disk refused the last attempt, or None.
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
        self._settings, self._reserve = settings, reserve
        self._store, self._tally = store, tally
        self._clock, self._in_thread = clock, in_thread
        self.memtable = Memtable({}, 0)
        self.waiting = self.stored = 0
        self.full = False
        self.trouble: str | None = None
        self._commit = _new_commit()
        self._failed: Commit | None = None
        self._rejected: set[str] = set()
        self._tally_reported = False

    def open(self) -> StoredState:
        """
        Read what is stored; blocking.

        Raises:
            JournalError: the file is damaged, or of a newer mtnet.
        """
        state = self._store.load(self._tally, self._settings.max_sources)
        for note in state.notes:
            self.log.error("{note}", note=note)
        self.memtable = Memtable(state.newest, self._settings.max_symbols)
        if state.unknown:
            self.log.warn(
                "ticks.taken was missing or cut, and is rebuilt from the store: whether the "
                "last daemon was killed, and what that has cost, is not known"
            )
        self._check_tally()
        self.check_room()
        return state

    def check_room(self) -> None:
        """Find out whether there is room on the disk; blocking."""
        self.full = self._store.free() < self._reserve

    @property
    def has_room(self) -> bool:
        """Whether ticks are taken now, and not dropped."""
        return not self.full and self.waiting < self._settings.queue

    @property
    def has_failed(self) -> bool:
        """Whether a commit waits that failed."""
        return self._failed is not None

    @property
    def is_idle(self) -> bool:
        """Whether no tick waits in memory, and the disk is not full."""
        return not (self.memtable or self.full)

    def add(self, ticks: Mapping[bytes, Sequence[bytes]], mark: Mark) -> dict[bytes, int]:
        """
        Take ticks of one mark by symbol; return how many of each symbol are rejected as one symbol
        too many.
        """
        rejected = self.memtable.add(ticks, mark)
        self._count_taken(sum(map(len, ticks.values())) - sum(rejected.values()))
        return rejected

    def add_each(self, records: Sequence[Record], marks: Iterable[Mark]) -> dict[bytes, int]:
        """Take records, each with a mark of its own, as `add` does."""
        rejected = self.memtable.add_each(records, marks)
        self._count_taken(len(records) - sum(rejected.values()))
        return rejected

    def _count_taken(self, ticks: int) -> None:
        self.waiting += ticks
        self._tally.set(self._tally.value + ticks)

    def burst(self) -> AbstractContextManager[None]:
        """Note once how many were taken, behind all that is added meanwhile."""
        return self._tally.burst()

    def begin(self, sources: Iterable[Source], kernel_drops: int, forced: bool) -> None:
        """
        Add what is stored beside the ticks, and whether all is to be on the platter then.

        Comes before the packing: what is stored of a source must not be ahead of its ticks.
        """
        self._check_tally()
        self._commit.sources += [snapshot(source) for source in sources]
        self._commit.count("kernel drops", kernel_drops)
        self._commit.forced |= forced

    async def pack(self) -> list[Refusal]:
        """Move all ticks from memory into the commit, in slices of `ticks.turn` seconds."""
        refusals: list[Refusal] = []
        end = self._clock.seconds() + self._settings.turn
        for series in self.memtable.take_filled():
            marks, packed = series.marks, 0
            try:
                for block in series.pack():
                    self._commit.add(block, series.newest)
                    packed += block.ticks
                    if self._clock.seconds() >= end:
                        await deferLater(self._clock, 0)
                        end = self._clock.seconds() + self._settings.turn
            except Exception as error:
                self.log.failure("Ticks of {symbol} cannot be packed", symbol=series.symbol)
                refusals.append(self._leave_out(series, marks[packed:], error))
        return refusals

    async def retry(self) -> list[Refusal]:
        """
        Store the commit that failed, if there is one.

        Raises:
            JournalError: the disk refuses it again.
        """
        return [] if self._failed is None else await self._store_one(self._failed)

    async def write(self) -> list[Refusal]:
        """
        Store the commit; what is added from now on is the next one.

        Raises:
            JournalError: the disk refuses it; `retry` comes before the next `write`.
        """
        self._failed, self._commit = self._commit, _new_commit()
        refusals = await self._store_one(self._failed)
        self._set_trouble(None)
        return refusals

    async def close(self) -> None:
        """Close the store."""
        if self.waiting:
            self.log.error(
                "{count} ticks are not stored: {trouble}", count=self.waiting, trouble=self.trouble
            )
        await self._in_thread(self._store.close)

    def _leave_out(self, series: Series, marks: Sequence[Mark], error: Exception) -> Refusal:
        """Go on without ticks that cannot be packed."""
        ticks: dict[int, int] = {}
        for _, source in marks:
            ticks[source] = ticks.get(source, 0) + 1
        self.waiting -= len(marks)
        self._commit.count_unstored(ticks)
        refusal = Refusal(f"ticks of {series.symbol.decode()}", str(error), ticks)
        self._report(refusal)
        return refusal

    async def _store_one(self, commit: Commit) -> list[Refusal]:
        commit.totals["stored"] = commit.ticks
        try:
            free = await self._in_thread(self._put, commit)
        except Exception as error:
            raise self._converted(error) from error
        self._failed = None
        self.waiting -= commit.ticks
        refusals = [*commit.refusals, *self._store.take_left_out()]
        self.stored += commit.ticks - sum(refusal.count for refusal in refusals)
        self.full = free < self._reserve
        for refusal in refusals:
            self._report(refusal)
        return refusals

    def _put(self, commit: Commit) -> int:
        """Store, in the thread; return the bytes that are free."""
        free = self._store.free()  # before: what is stored must not be tried again
        if commit or commit.forced:
            self._store.commit(commit)
        return free

    def _report(self, refusal: Refusal) -> None:
        if refusal.what not in self._rejected:
            self._rejected.add(refusal.what)
            self.log.error(
                "The store rejects {what}; they are left out, and counted. {reason}.",
                what=refusal.what,
                reason=refusal.reason,
            )

    def _converted(self, error: Exception) -> JournalError:
        if not isinstance(error, JournalError):
            if self.trouble is None:
                self.log.failure("The store failed with an unexpected error.")
            name, text = type(error).__name__, str(error).rstrip(".")
            error = JournalError(f"The store failed ({name}: {text}).")
        self._set_trouble(str(error))
        return error

    def _set_trouble(self, trouble: str | None) -> None:
        """Log once that the disk refuses, and once that it takes ticks again."""
        if trouble and not self.trouble:
            self.log.error("Ticks wait for the disk: {trouble}", trouble=trouble)
        elif self.trouble and not trouble:
            self.log.info("The disk takes ticks again.")
        self.trouble = trouble

    def _check_tally(self) -> None:
        """Write the tally's file again where it is gone, and log once when it cannot be written."""
        if self._tally.repair():
            self.log.warn("ticks.taken was removed or replaced, and is written again")
        trouble = self._tally.trouble
        if trouble is not None and not self._tally_reported:
            self.log.warn(
                "{trouble}: what a kill costs will not be known; ticks are stored as ever",
                trouble=trouble,
            )
        self._tally_reported = trouble is not None


def _new_commit() -> Commit:
    return Commit(token=getrandbits(62) + 1)
