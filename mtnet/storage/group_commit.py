"""Group commit: all changes that come while the disk writes go with the next write."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.storage.worker import InThread

C = TypeVar("C")
R = TypeVar("R")


class GroupCommit(Generic[C, R]):
    """
    Writes changes in their order, one transaction at a time.

    Args:
        write: stores changes, and returns what became of each; blocking. It raises `JournalError`
            when it has stored none of them.
        close: closes the file.
        in_thread: runs a blocking function off the reactor.

    Attributes:
        trouble: why the last write failed; None = it did not.
    """

    def __init__(
        self,
        write: Callable[[Sequence[C]], Sequence[R]],
        close: Callable[[], object],
        in_thread: InThread,
    ) -> None:
        self._store, self._close, self._in_thread = write, close, in_thread
        self._waiting: list[tuple[C, Deferred[R]]] = []
        self._writing: Deferred[None] | None = None
        self.trouble: str | None = None

    def put(self, change: C) -> "Deferred[R]":
        """
        Store a change.

        Returns:
            A Deferred that fires once it is on disk; it fails with `JournalError`.
        """
        done: Deferred[R] = Deferred()
        self._waiting.append((change, done))
        if self._writing is None:
            self._write()
        return done

    def close(self) -> "Deferred[None]":
        """Close the file, behind everything that waits."""
        if self._writing is not None:
            ended: Deferred[None] = Deferred()
            self._writing.addCallback(lambda _: self.close().chainDeferred(ended))
            return ended
        return self._in_thread(self._close)

    def _write(self) -> None:
        group, self._waiting = self._waiting, []
        self._writing = Deferred()
        done = self._in_thread(self._store, [change for change, _ in group])
        done.addCallbacks(self._stored, self._failed, callbackArgs=(group,), errbackArgs=(group,))

    def _stored(self, results: Sequence[R], group: "list[tuple[C, Deferred[R]]]") -> None:
        self.trouble = None
        self._next()
        for (_, done), result in zip(group, results, strict=True):
            done.callback(result)

    def _failed(self, failure: Failure, group: "list[tuple[C, Deferred[R]]]") -> None:
        self.trouble = failure.getErrorMessage()
        self._next()
        for _, done in group:
            done.errback(failure)

    def _next(self) -> None:
        ended, self._writing = self._writing, None
        if self._waiting:
            self._write()
        if ended is not None:
            ended.callback(None)
