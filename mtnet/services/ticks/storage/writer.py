"""
How ticks get from memory to the disk without holding up the reactor.

Series are packed here in slices, and blocks are written by a thread. What the disk refuses is
kept, and tried again before anything newer.
"""

from collections.abc import Callable, Sequence
from random import getrandbits
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.config.schema import Ticks
from mtnet.errors import JournalError
from mtnet.services.ticks.storage.blocks import Block, Mark, Reception, Series
from mtnet.services.ticks.storage.commits import Commit, Refusal
from mtnet.services.ticks.storage.store import Store

InThread = Callable[..., "Deferred[Any]"]


class Writer:
    """
    Stores what is in memory once in a flush, or as soon as somebody waits for it.

    Args:
        settings: of `[ticks]`.
        reserve: free bytes that are left on the disk.
        complete: adds to a commit what belongs to it beside the ticks that are there by then.
        refused: is told the ticks that were taken, and that the store will never have.
        settled: called behind each attempt; says whether another one must follow by itself.
        in_thread: runs a blocking function off the reactor, one at a time, in order.

    Attributes:
        filled: the series that hold ticks; whoever puts the first into one puts it here.
        waiting: ticks that were taken and are not on disk; whoever takes some adds them.
        stored: ticks that are, since the start.
        full: whether the disk has less room than `reserve`.
        trouble: why the disk refused the last attempt, or None.
        closing: whether this is the end, and nothing more is taken.
    """

    log = Logger()

    def __init__(
        self,
        settings: Ticks,
        reserve: int,
        store: Store,
        clock: IReactorTime,
        in_thread: InThread,
        complete: Callable[[Commit], None],
        refused: Callable[[Refusal], None],
        settled: Callable[[], bool],
    ) -> None:
        self._settings, self._reserve, self._store = settings, reserve, store
        self._clock, self._in_thread = clock, in_thread
        self._complete, self._settle_refusal, self._settled = complete, refused, settled
        self.filled: list[Series] = []
        self.waiting = self.stored = 0
        self.full = self.closing = False
        self.trouble: str | None = None
        self._commit = _new_commit()
        self._refused: Commit | None = None
        self._told_refusals: set[str] = set()
        self._syncs: list[Deferred[None]] = []
        self._timer: IDelayedCall | None = None
        self._writing: Deferred[None] | None = None

    def look(self) -> None:
        """Look whether there is room on the disk; blocking."""
        self.full = self._store.free() < self._reserve
        if self.full:
            self.wake()

    def wake(self) -> None:
        """There is something to store: do so within a flush."""
        if self._timer is None and self._writing is None and not self.closing:
            self._wait(self._settings.flush)

    def sync(self) -> "Deferred[None]":
        """
        Return what fires once everything that was taken is on disk.

        Fails with `JournalError`: the disk refuses it now; it is kept, and tried again.
        """
        if self.closing:
            return fail(JournalError("The daemon stops."))
        waiting: Deferred[None] = Deferred()
        self._syncs.append(waiting)
        self._flush()
        return waiting

    async def close(self) -> None:
        """Store what was taken; the last try, when the disk refuses."""
        self.closing = True
        self._cancel()
        if self._writing is not None:
            await self._writing
        await self._write()
        if self._refused is not None:
            # What failed may have been stored all the same, which the next attempt finds out.
            await self._write()
        if self.waiting:
            self.log.error(
                "{count} ticks are not stored: {trouble}", count=self.waiting, trouble=self.trouble
            )
        await self._in_thread(self._store.close)

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

    def _written(self, result: object, writing: "Deferred[None]") -> None:
        if isinstance(result, Failure):
            self.log.failure("Storing ticks failed", result)
        self._writing = None
        more = self._settled()
        writing.callback(None)
        if self.closing:
            return
        if self._syncs:
            self._flush()
        elif self.trouble:
            self._wait(self._settings.retry)
        elif more or self.filled or self.full:
            self._wait(self._settings.flush)

    async def _write(self) -> None:
        syncs, self._syncs = self._syncs, []
        # Before the packing: what is remembered of a source must not be ahead of its ticks.
        self._complete(self._commit)
        await self._pack_all()
        try:
            await self._store_all()
        except JournalError as error:
            self._note(str(error))
            _fail(syncs, error)
        except Exception as error:
            if self.trouble is None:
                self.log.failure("The store failed in a way that it does not know.")
            name, text = type(error).__name__, str(error).rstrip(".")
            failed = JournalError(f"The store failed ({name}: {text}).")
            self._note(str(failed))
            _fail(syncs, failed)
        else:
            self._note(None)
            for waiting in syncs:
                waiting.callback(None)

    async def _pack_all(self) -> None:
        filled, self.filled = self.filled, []
        end = self._clock.seconds() + self._settings.turn
        for series in filled:
            marks, packed = series.marks, 0
            try:
                for block in series.pack():
                    self._add(block, series)
                    packed += block.ticks
                    if self._clock.seconds() >= end:
                        await deferLater(self._clock, 0)
                        end = self._clock.seconds() + self._settings.turn
            except Exception as error:
                self.log.failure("Ticks of {symbol} cannot be packed", symbol=series.symbol)
                self._leave_out(series, marks[packed:], error)

    def _leave_out(self, series: Series, marks: Sequence[Mark], error: Exception) -> None:
        """Go on without ticks that cannot be packed."""
        ticks: dict[int, int] = {}
        for _, source in marks:
            ticks[source] = ticks.get(source, 0) + 1
        self.waiting -= len(marks)
        totals = self._commit.totals
        totals["unstored"] = totals.get("unstored", 0) + len(marks)
        self._refuse(Refusal(f"ticks of {series.symbol.decode()}", str(error), ticks))

    def _add(self, block: Block, series: Series) -> None:
        commit = self._commit
        commit.blocks.append(block)
        if series.newest is not None:
            commit.newest[series.symbol] = series.newest
        for when, source, ticks in block.runs:
            heard = commit.heard.get((source, series.symbol))
            if heard is None:
                commit.heard[source, series.symbol] = Reception(ticks, when, when)
            else:
                heard.add(ticks, when)

    async def _store_all(self) -> None:
        """Store what was refused before, and then the rest."""
        if self._refused is not None:
            await self._store_one(self._refused)
        self._refused, self._commit = self._commit, _new_commit()
        await self._store_one(self._refused)

    async def _store_one(self, commit: Commit) -> None:
        commit.totals["stored"] = commit.ticks
        free = await self._in_thread(self._put, commit)
        self._refused = None
        self.waiting -= commit.ticks
        self.stored += commit.ticks
        self.full = free < self._reserve
        for refusal in commit.refusals:
            self.stored -= sum(refusal.ticks.values())
            self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> None:
        if refusal.what not in self._told_refusals:
            self._told_refusals.add(refusal.what)
            self.log.error(
                "The store will not have {what}; they are left out, and counted. {reason}.",
                what=refusal.what,
                reason=refusal.reason,
            )
        self._settle_refusal(refusal)

    def _put(self, commit: Commit) -> int:
        """Store, in the thread; return the bytes that are free."""
        free = self._store.free()  # before: what is stored must not be tried again
        if commit.blocks or commit.sources or any(commit.totals.values()):
            self._store.commit(commit)
        return free

    def _note(self, trouble: str | None) -> None:
        """Say once that the disk refuses, and once that it takes again."""
        if trouble and not self.trouble:
            self.log.error("Ticks wait for the disk: {trouble}", trouble=trouble)
        elif self.trouble and not trouble:
            self.log.info("The disk takes ticks again.")
        self.trouble = trouble


def _new_commit() -> Commit:
    return Commit(token=getrandbits(62) + 1)


def _fail(syncs: "list[Deferred[None]]", error: JournalError) -> None:
    for waiting in syncs:
        waiting.errback(error)
