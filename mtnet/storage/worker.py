"""A worker thread for short, frequent blocking calls."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorFromThreads

HUNG_AFTER = 5.0
"""Seconds after which a running call is reported: a hung disk raises no error."""

InThread = Callable[..., "Deferred[Any]"]
"""Runs a blocking function off the reactor: `in_thread(function, *args)` returns a Deferred with
its result. One call runs at a time, in order. `SerialWorker` is one; a test passes
`maybeDeferred`."""


_at_once: InThread = maybeDeferred


class InlineWorker:
    """A worker whose calls are made at once, in the thread of the caller."""

    __call__ = later = staticmethod(_at_once)


class _Call(Struct):
    done: "Deferred[Any]"
    function: Callable[..., Any]
    args: tuple[Any, ...]
    urgent: bool


class SerialWorker:
    """
    Serial worker: runs blocking functions in one thread, one at a time, in order.

    It has less overhead per call than a thread pool of one, which considers a second thread before
    and after each call.

    Args:
        name: of the thread, shown by `ps` and `top`.
        nice: the niceness of the thread, 0 to 19. Only Linux has it for a thread; elsewhere it is
            ignored.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str, nice: int = 0) -> None:
        self._reactor, self._name, self._nice = reactor, name, nice
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._since: float | None = None
        self._ended = False

    def __call__(self, function: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """Run `function(*args)`; the Deferred fires with its result or its exception."""
        done: Deferred[Any] = Deferred()
        self._calls.put(_Call(done, function, args, True))
        return done

    def later(self, function: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """Run it with low priority: when nothing else waits."""
        done: Deferred[Any] = Deferred()
        self._calls.put(_Call(done, function, args, False))
        return done

    def start(self) -> None:
        """Start the thread, after the fork of a daemon; queued calls run first."""
        # A thread that exists before a fork does not run after it. A daemon thread, since a hung
        # disk must not keep the process from ending.
        self._thread = Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the queued calls, for at most `HUNG_AFTER` seconds; take no more."""
        hangs, thread, self._thread = self.trouble() is not None, self._thread, None
        self._calls.put(None)
        if thread is not None and not hangs:
            thread.join(HUNG_AFTER)

    def trouble(self) -> str | None:
        """Return why calls are not carried out; None = they are."""
        since = self._since
        if since is not None and time.monotonic() - since >= HUNG_AFTER:
            return f"The disk has not answered for {time.monotonic() - since:.0f} s ({self._name})"
        if self._thread is not None and self._ended:
            return f"The thread {self._name} has stopped; restart the daemon"
        return None

    def _work(self) -> None:
        try:
            self._serve()
        finally:
            self._ended = True

    def _serve(self) -> None:
        if self._nice and sys.platform == "linux":
            os.nice(self._nice)
        later: deque[_Call] = deque()
        while True:
            try:
                call = self._calls.get(block=not later)
            except Empty:
                self._do(later.popleft())
                continue
            if call is None:
                break
            if call.urgent:
                self._do(call)
            else:
                later.append(call)
            del call  # while the next one is waited for, the arguments of this one can go
        for call in later:
            self._do(call)

    def _do(self, call: _Call) -> None:
        self._since = time.monotonic()
        try:
            result = call.function(*call.args)
        except BaseException as error:
            self._reactor.callFromThread(call.done.errback, error)
        else:
            self._reactor.callFromThread(call.done.callback, result)
        self._since = None
