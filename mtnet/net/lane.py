"""A thread for blocking work that is short, and often asked for."""

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads

_Call: TypeAlias = "tuple[Deferred[Any], Callable[..., Any], tuple[Any, ...]]"


class Lane:
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
        self._reactor, self._nice = reactor, nice
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name)

    def __call__(self, function: Callable[..., Any], *args: object) -> "Deferred[Any]":
        """Run `function(*args)`; fires with what it returns, or fails with what it raises."""
        done: Deferred[Any] = Deferred()
        self._calls.put((done, function, args))
        return done

    def start(self) -> None:
        """Begin with what was asked for already; behind the fork of a daemon."""
        self._thread.start()

    def stop(self) -> None:
        """Wait until all that was asked for is done; nothing is from now on."""
        self._calls.put(None)
        self._thread.join()

    def _work(self) -> None:
        if self._nice and sys.platform == "linux":
            os.nice(self._nice)
        while (call := self._calls.get()) is not None:
            self._do(*call)

    def _do(
        self, done: "Deferred[Any]", function: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        try:
            result = function(*args)
        except BaseException as error:
            self._reactor.callFromThread(done.errback, error)
        else:
            self._reactor.callFromThread(done.callback, result)
