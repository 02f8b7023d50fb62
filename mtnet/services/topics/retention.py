"""Group commit of retained values: all that come while the disk writes go with the next write."""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from mtnet.errors import JournalError
from mtnet.services.topics.store import RetainedStore
from mtnet.services.topics.wire import Post

InThread = Callable[..., "Deferred[Any]"]


class RetainedWriter:
    """
    Writes retained values, one transaction at a time.

    Args:
        in_thread: runs a blocking function off the reactor.

    Attributes:
        trouble: why the last write failed; None = it did not.
    """

    def __init__(self, store: RetainedStore, in_thread: InThread) -> None:
        self._store, self._in_thread = store, in_thread
        self._changes: dict[tuple[str, str], Post | None] = {}
        self._waiting: list[Deferred[None]] = []
        self._busy = False
        self.trouble: str | None = None

    def put(self, topic: str, key: str, post: Post | None) -> "Deferred[None]":
        """
        Set a value, or remove it.

        Returns:
            A Deferred that fires once that is on disk; it fails with `JournalError`.
        """
        done: Deferred[None] = Deferred()
        self._changes[topic, key] = post
        self._waiting.append(done)
        if not self._busy:
            self._write()
        return done

    def close(self) -> "Deferred[None]":
        """Close the file, behind what is being written."""
        waiting = succeed(None) if not self._waiting else Deferred()
        if self._waiting:
            self._waiting.append(waiting)
        waiting.addErrback(lambda failure: failure.trap(JournalError) and None)
        return waiting.addCallback(lambda _: self._in_thread(self._store.close))

    def _write(self) -> None:
        changes, self._changes = self._changes, {}
        waiting, self._waiting = self._waiting, []
        self._busy = True
        done = self._in_thread(self._store.update, changes)
        done.addCallbacks(
            self._stored, self._failed, callbackArgs=(waiting,), errbackArgs=(waiting,)
        )

    def _stored(self, _: object, waiting: "list[Deferred[None]]") -> None:
        self.trouble = None
        self._next()
        for each in waiting:
            each.callback(None)

    def _failed(self, failure: Failure, waiting: "list[Deferred[None]]") -> None:
        self.trouble = failure.getErrorMessage()
        self._next()
        for each in waiting:
            each.errback(failure)

    def _next(self) -> None:
        self._busy = False
        if self._waiting:
            self._write()
