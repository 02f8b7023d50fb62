"""Queue of ticks for one server: takes them as they come, and keeps them on disk."""

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.interfaces import ITickObserver
from mtnet.services.sinks.model import Batch, Taken
from mtnet.services.sinks.store import QueueStore, Waiting
from mtnet.storage.worker import InThread

KNOWN = 65_536
"""Symbols of which is remembered whether they are wanted."""


@implementer(ITickObserver)
class TickQueue:
    """
    Durable queue: ticks are stored together, before somebody is told that they are.

    Args:
        symbols: patterns of those that are wanted.
        disk: runs a blocking function of the store off the reactor, in order.

    Attributes:
        waiting: how much is on disk.
        unstored: ticks that the disk did not take.
        added: called after ticks were stored, or were not.
    """

    log = Logger()

    def __init__(self, symbols: Iterable[str], store: QueueStore, disk: InThread) -> None:
        self._store, self._disk = store, disk
        self._is_wanted = lru_cache(KNOWN)(_matcher(tuple(symbols)))
        self._taken: list[Taken] = []
        self.waiting, self.unstored = Waiting(), 0
        self.added: Callable[[], None] = _nothing

    def open(self) -> None:
        """
        Read how much waits; blocking.

        Raises:
            JournalError: the file cannot be read.
        """
        self.waiting = self._store.open()

    @property
    def origin(self) -> str:
        """The name of the queue, whose numbers the ticks have."""
        return self._store.origin

    def taken(
        self, records: Iterable[tuple[bytes, bytes]], when: int, sources: Iterable[str]
    ) -> None:
        """Take ticks that came; as of `ITickObserver`."""
        self._taken += [
            Taken(symbol, rest, when, source)
            for (symbol, rest), source in zip(records, sources, strict=True)
            if self._is_wanted(symbol)
        ]

    def flush(self) -> "Deferred[None]":
        """Store what was taken; as of `ITickObserver`."""
        if not self._taken:
            return succeed(None)
        ticks, self._taken = self._taken, []
        done: Deferred[Waiting] = self._disk(self._store.add, ticks)
        return done.addCallbacks(self._added, self._not_added, errbackArgs=(len(ticks),))

    def _added(self, waiting: Waiting) -> None:
        self.waiting = waiting
        self.added()

    def _not_added(self, failure: Failure, ticks: int) -> None:
        """Count ticks that are lost for the server alone: the store of ticks has them."""
        self.unstored += ticks
        self.added()
        text = "{ticks} ticks could not be kept for a sink: {reason}"
        self.log.error(text, ticks=ticks, reason=failure.getErrorMessage())

    def next(self, limit: int) -> "Deferred[Batch | None]":
        """
        Return a Deferred with the oldest ticks, see `QueueStore.next`.

        It fails with `JournalError`: the file is damaged.
        """
        return self._disk(self._store.next, limit)

    def remove(self, last: int) -> "Deferred[None]":
        """
        Remove the ticks up to a number.

        The Deferred fails with `JournalError`: the disk does not do it, and they are sent again.
        """
        done: Deferred[Waiting] = self._disk(self._store.remove, last)
        return done.addCallback(self._removed)

    def _removed(self, waiting: Waiting) -> None:
        self.waiting = waiting


def _matcher(patterns: tuple[str, ...]) -> Callable[[bytes], bool]:
    def is_wanted(symbol: bytes) -> bool:
        name = unquote_to_bytes(symbol).decode()
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    return is_wanted


def _nothing() -> None:
    """Nobody wants to know."""
