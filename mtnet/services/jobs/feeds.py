"""
Feeds of results: what is done or dead, to those who have asked for it.

A reader that is behind is sent pages from the disk, as it reads them; one that is not is sent what
was just committed. So none is ever sent a gap, and none that reads slowly keeps memory.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import JournalError
from mtnet.net.output.queue import SendQueue
from mtnet.services.jobs import wire
from mtnet.services.jobs.store import JobStore
from mtnet.services.jobs.wire import Ended, Results, ResultsBegin

Read = Callable[[Callable[[JobStore], Any]], "Deferred[Any]"]
"""Asks the store, in its thread."""
PAGE = 32
"""Results that are read and written at once: at most 260 kB, a quarter of the send queue."""


class Feed:
    """
    The results of one queue.

    Attributes:
        seq: the number of the last one that was told.
        readers: sessions that follow.
        observers: called when there are more.
    """

    def __init__(self, queue: str, seq: int) -> None:
        self.queue, self.seq = queue, seq
        self.readers: dict[Reader, None] = {}
        self.observers: dict[Callable[[], object], None] = {}
        self._news: list[Ended] = []

    @property
    def in_use(self) -> bool:
        """Whether anybody follows."""
        return bool(self.readers or self.observers)

    def known(self, epoch: str, asked: str | None, after: int | None) -> int:
        """Return the number behind which a client wants results; None = the last one."""
        if after is None:
            return self.seq
        return after if asked in (None, epoch) and after <= self.seq else 0

    def observe(self, observer: Callable[[], object]) -> Callable[[], None]:
        """Call `observer()` when there are more; return what undoes it."""
        self.observers[observer] = None
        return partial(self.observers.__delitem__, observer)

    def add(self, ended: Ended) -> None:
        """Take a result that is on disk; the caller calls `publish`."""
        self._news.append(ended)

    def publish(self) -> None:
        """Send what was added."""
        news, self._news = self._news, []
        if not news:
            return
        before, self.seq = self.seq, news[-1].seq
        frames = b"".join(map(wire.ended, news)) if self.readers else b""
        for reader in list(self.readers):
            reader.news(before, frames)
        for observer in list(self.observers):
            observer()


class Reader:
    """
    One RESULTS of a session.

    Args:
        read: asks the store.
        failed: called when the disk cannot be read.

    Attributes:
        seq: the number of the last result that it was sent.
    """

    log = Logger()

    def __init__(
        self,
        feed: Feed,
        queue: SendQueue,
        read: Read,
        failed: Callable[[], object],
    ) -> None:
        self._feed, self._queue, self._read, self._failed = feed, queue, read, failed
        self.seq = 0
        self._running: Deferred[Any] | None = None

    def start(self, epoch: str, asked: Results) -> None:
        """Answer RESULTS, and send what the client misses, and then what comes."""
        self._feed.readers[self] = None
        self.seq = self._feed.known(epoch, asked.epoch, asked.after)
        self._run(self._begin(epoch))

    def news(self, before: int, frames: bytes) -> None:
        """Send what was committed behind a number, unless the reader is not as far."""
        if self._running is not None:
            return
        if self.seq == before and self._queue.ready:
            self.seq = self._feed.seq
            self._queue.send(frames)
        else:
            self._run(self._catch_up())

    def stop(self) -> None:
        """Send nothing more."""
        self._feed.readers.pop(self, None)
        if self._running is not None:
            self._running.cancel()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        running: Deferred[Any] = Deferred.fromCoroutine(work)
        self._running = running
        running.addBoth(self._ended)
        running.addErrback(lambda failure: self.log.failure("A reader is not served.", failure))

    def _ended(self, result: object) -> None:
        self._running = None
        if isinstance(result, Failure) and result.check(CancelledError, JournalError) is None:
            result.raiseException()
        if isinstance(result, Failure) and result.check(JournalError):
            self.log.error("Results cannot be read: {why}", why=result.getErrorMessage())
            self.stop()
            self._failed()

    async def _begin(self, epoch: str) -> None:
        feed = self._feed
        oldest = await self._read(lambda store: store.oldest(feed.queue))
        oldest = feed.seq + 1 if oldest is None else oldest
        self._queue.send(wire.results(ResultsBegin(feed.queue, epoch, feed.seq, oldest)))
        await self._catch_up()

    async def _catch_up(self) -> None:
        feed = self._feed
        while self.seq < feed.seq:
            await self._queue.when_empty()
            page = await self._read(lambda store: store.results(feed.queue, self.seq, PAGE))
            page = [each for each in page if each.seq <= feed.seq]
            if page:
                self._queue.send(b"".join(map(wire.ended, page)))
            self.seq = page[-1].seq if page else feed.seq
