"""The last entries of a channel, ready for followers who come back."""

from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from mtnet.errors import PrunedError
from mtnet.services.signals.book import Channel
from mtnet.services.signals.fanout import Batch
from mtnet.services.signals.model import Entry

RING = 1_000
"""Entries of each channel that are kept for it, some 700 kB at most with usual ones: what is
published in 100 s at ten a second, and the slowest of a herd are back in half of that."""
PAGE = 500
"""Entries, or positions, that are sent at once: some 60 kB."""

SLICE = 100
"""Entries that are read from the disk at a time, in some 0.4 ms: a commit waits for one slice."""
PAGES = 64
"""Pages of all channels that were read from the disk and are kept for those who follow: 32,000
entries, some 40 MB at most with usual ones."""

TURN = 0.001
"""Seconds of each turn of the reactor in which followers are caught up."""
PAUSE = 0.001
"""Seconds for which nobody is caught up while signals are stored; it mostly takes less."""
PATIENCE = 10
"""Pauses after which followers are caught up though signals are stored without a break."""

Read = Callable[[int, int], "Deferred[list[Entry]]"]
"""Fires with at most so many entries, the second argument, behind one, the first."""


class ReplayCache:
    """
    Those who were cut off together have missed the same: it is read and encoded once for all.

    It is read from the disk on first use, and grows with each entry sent from then on.
    What is older is read in pages that begin at the same places for everybody.

    Args:
        last: the entry that was sent last.
        most: entries that are kept; 0 = everybody reads from the disk.
        read: reads the disk; its entries may not be sent yet.
        pages: keeps what was read, for other channels too.
    """

    def __init__(self, last: int, most: int, read: Read, pages: "PageCache | None" = None) -> None:
        self._last, self._most, self._read = last, most, read
        self._pages = PageCache() if pages is None else pages
        self._entries: list[Entry] = []
        self._frames: list[bytes] = []
        self._page: tuple[int, Batch] | None = None
        self._reading: dict[int, list[Deferred[Batch]]] = {}
        self._waiting: list[Deferred[None]] | None = None
        self._loaded = most == 0

    def extend(self, entries: list[Entry]) -> None:
        """Add entries that are sent now."""
        if entries[0].seq != self._last + 1:
            self._entries, self._frames = [], []
        self._entries += entries
        self._last, self._page = entries[-1].seq, None
        excess = max(0, len(self._entries) - self._most)
        del self._entries[:excess], self._frames[:excess]

    def recent(self, after: int) -> Batch | None:
        """Return at most `PAGE` entries from `after` + 1 on; None = they have to be read."""
        if self._page is None or self._page[0] != after:
            begin = after - self._before
            if not 0 <= begin < len(self._entries):
                return None
            end = begin + PAGE
            self._frames += Batch(self._entries[len(self._frames) : end]).frames
            self._page = after, Batch(self._entries[begin:end], self._frames[begin:end])
        return self._page[1]

    async def read(self, after: int) -> Batch:
        """
        Return the same from the disk, without entries that are not sent yet.

        Raises:
            PrunedError: the first of them is kept no longer.
            JournalError: they cannot be read.
        """
        if not self._loaded:
            await self._load()
        return self.recent(after) or await self._older(after)

    async def _older(self, after: int) -> Batch:
        start = after - after % PAGE
        try:
            page = await self._shared(start)
        except PrunedError:
            if start == after:
                raise
            page = await self._shared(after)
        return page.behind(after)

    def _shared(self, start: int) -> "Deferred[Batch]":
        """Fire with what lies behind `start` up to the end of its page, read once for all."""
        page = self._pages.get(self, start)
        if page is not None:
            return succeed(page)
        waiting: Deferred[Batch] = Deferred()
        if start in self._reading:
            self._reading[start].append(waiting)
            return waiting
        self._reading[start] = [waiting]
        self._read(start, PAGE - start % PAGE).addBoth(self._was_read, start)
        return waiting

    def _was_read(self, found: list[Entry] | Failure, start: int) -> None:
        waiting = self._reading.pop(start)
        if isinstance(found, Failure):
            for each in waiting:
                each.errback(found)
            return
        page = Batch([entry for entry in found if entry.seq <= self._last])
        if len(page.entries) == PAGE:
            self._pages.put(self, start, page)
        for each in waiting:
            each.callback(page)

    @property
    def _before(self) -> int:
        """The entry before the first that is kept."""
        return self._last - len(self._entries)

    def _load(self) -> "Deferred[None]":
        """Return a Deferred of the read from disk; concurrent callers share one read."""
        waiting: Deferred[None] = Deferred()
        if self._waiting is not None:
            self._waiting.append(waiting)
            return waiting
        self._waiting = [waiting]
        # A read that failed is repeated, and reported, by each caller for itself.
        reading = self._read(max(0, self._before - self._most), self._most)
        reading.addCallbacks(self._prepend, lambda failure: None).addBoth(self._go_on)
        return waiting

    def _prepend(self, found: list[Entry]) -> None:
        before, room = self._before, self._most - len(self._entries)
        older = [entry for entry in found if before - room < entry.seq <= before]
        if older and older[-1].seq == before:
            self._entries[:0], self._frames = older, []

    def _go_on(self, _: object) -> None:
        waiting, self._waiting, self._loaded = self._waiting or (), None, True
        for each in waiting:
            each.callback(None)


class PageCache:
    """LRU cache of pages that were read from the disk and encoded, of all channels."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[ReplayCache, int], Batch] = OrderedDict()

    def get(self, channel: ReplayCache, start: int) -> Batch | None:
        """Return the page behind `start`; None = it is not kept."""
        page = self._pages.get((channel, start))
        if page is not None:
            self._pages.move_to_end((channel, start))
        return page

    def put(self, channel: ReplayCache, start: int, page: Batch) -> None:
        """Keep a page, in place of the one that was not used for longest."""
        self._pages[channel, start] = page
        if len(self._pages) > PAGES:
            self._pages.popitem(last=False)


async def read_in_slices(read: Read, after: int, limit: int) -> list[Entry]:
    """Read entries a few at a time, so that a commit need not wait for all of them."""
    found: list[Entry] = []
    while len(found) < limit:
        most = min(SLICE, limit - len(found))
        more = await read(after + len(found), most)
        found += more
        if len(more) < most:
            break
    return found


class TurnBudget:
    """
    Share of each reactor iteration for sending history to followers that catch up.

    A page that hundreds wait for comes at one moment, and would be sent to all of them before the
    next signal is.

    Args:
        turn: seconds.

    Attributes:
        yields: whether signals are stored now, which come first.
    """

    def __init__(self, clock: IReactorTime, turn: float = TURN) -> None:
        self._clock, self._turn = clock, turn
        self.yields: Callable[[], bool] = bool
        self._pauses = 0
        self._waiting: deque[Deferred[None]] = deque()
        self._next: IDelayedCall | None = None
        self._end = 0.0

    def take(self) -> "Deferred[None]":
        """Return what fires when one more page may be sent."""
        if self._next is None:
            self._begin()
        if not self._waiting and self._clock.seconds() < self._end and not self.yields():
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def close(self) -> None:
        """Give nothing more."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _begin(self) -> None:
        self._end = self._clock.seconds() + self._turn
        self._next = self._clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._next = None
        if self._waiting and self._pauses < PATIENCE and self.yields():
            self._pauses += 1
            self._next = self._clock.callLater(PAUSE, self._go_on)
            return
        self._pauses = 0
        if self._waiting:
            self._begin()
        while self._waiting and self._clock.seconds() < self._end:
            self._waiting.popleft().callback(None)


class ReplayCaches(dict[str, ReplayCache]):
    """
    Replay caches of all channels, created on first use.

    Attributes:
        budget: what of the reactor's time is theirs.

    Args:
        read: takes the name of a channel besides.
        retain: entries that are kept on the disk; no more are kept here.
    """

    def __init__(
        self,
        read: Callable[[str, int, int], "Deferred[list[Entry]]"],
        retain: int,
        clock: IReactorTime,
    ) -> None:
        self._read, self._retain = read, retain
        super().__init__()
        self.budget = TurnBudget(clock)
        self._pages = PageCache()

    def of(self, channel: Channel) -> ReplayCache:
        """Return the replay of a channel."""
        cache = self.get(channel.name)
        if cache is None:
            most, read = min(RING, self._retain), partial(self._read_page, channel.name)
            cache = self[channel.name] = ReplayCache(channel.seq, most, read, self._pages)
        return cache

    def _read_page(self, channel: str, after: int, limit: int) -> "Deferred[list[Entry]]":
        read = partial(self._read, channel)
        return Deferred.fromCoroutine(read_in_slices(read, after, limit))
