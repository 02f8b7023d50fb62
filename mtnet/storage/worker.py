"""A thread for blocking work that is short, and often asked for."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

HUNG_AFTER = 5.0
"""Seconds after which a call under way is reported: a disk that hangs says nothing by itself."""

InThread = Callable[..., "Deferred[Any]"]
"""Runs a blocking function off the reactor: `in_thread(function, *args)` returns a Deferred with
its result. One call runs at a time, in order. `SerialWorker` is one; a test passes
`maybeDeferred`."""


class _Call(NamedTuple):
    done: "Deferred[Any]"
    function: Callable[..., Any]
    args: tuple[Any, ...]
    urgent: bool


class SerialWorker:
    """
    Runs blocking functions off the reactor, one at a time, in order.

    A thread pool of one does the same, but keeps ready for a second thread: it thinks of that
    before each call and behind it, while somebody waits.

    Args:
        name: of the thread, for those who look at the process.
        nice: how far the thread stands back, from 0 to 19, where another wants the same CPU. Only
            Linux has that for a thread; elsewhere it does not stand back.
    """

    def __init__(self, reactor: IReactorFromThreads, name: str, nice: int = 0) -> None:
        self._reactor, self._name, self._nice = reactor, name, nice
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._since: float | None = None

    def __call__(self, function: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """Run `function(*args)`; fires with what it returns, or fails with what it raises."""
        return self._put(function, args, True)

    def later(self, function: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """Do the same when nothing else waits."""
        return self._put(function, args, False)

    def start(self) -> None:
        """Begin with what was asked for already; behind the fork of a daemon."""
        # Made here: what was made before a fork counts as stopped behind it. And a disk that hangs
        # must not keep the process from ending.
        self._thread = Thread(target=self._work, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Finish the queued calls, for at most `HUNG_AFTER` seconds; take no more."""
        hangs, thread, self._thread = self.trouble() is not None, self._thread, None
        self._calls.put(None)
        if thread is not None and not hangs:
            thread.join(HUNG_AFTER)

    def trouble(self) -> str | None:
        """Say why what is asked for is not done; None = it is."""
        since = self._since
        if since is not None and time.monotonic() - since >= HUNG_AFTER:
            return f"The disk has not answered for {time.monotonic() - since:.0f} s ({self._name})"
        if self._thread is not None and not self._thread.is_alive():
            return f"The thread {self._name} has stopped; start the daemon anew"
        return None

    def _put(
        self, function: Callable[..., Any], args: tuple[Any, ...], urgent: bool
    ) -> "Deferred[Any]":
        done: Deferred[Any] = Deferred()
        self._calls.put(_Call(done, function, args, urgent))
        return done

    def _work(self) -> None:
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
