"""One thing after the other, for work that is dear and that anybody can ask for."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from mtnet.errors import WireError

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class SerialQueue:
    """
    Does one piece of work at a time, in the order in which they came.

    Args:
        most: pieces that may wait.

    Attributes:
        refused: how many found too many before them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[tuple[Work[Any], Deferred[Any]]] = deque()
        self._busy = False
        self.refused = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, work: "Work[T]") -> "Deferred[T]":
        """
        Do `work` when its turn comes; cancelled before that, it is never done.

        Raises:
            WireError: `server`; too many wait.
        """
        if len(self._waiting) >= self._most:
            self.refused += 1
            raise WireError("server", "Too many logins wait at this moment; come back in a while")
        done: Deferred[T] = Deferred(lambda _: self._forget(place))
        place = (work, done)
        self._waiting.append(place)
        self._next()
        return done

    def _forget(self, place: "tuple[Work[Any], Deferred[Any]]") -> None:
        if place in self._waiting:
            self._waiting.remove(place)

    def _next(self) -> None:
        if self._waiting and not self._busy:
            work, done = self._waiting.popleft()
            self._busy = True
            Deferred.fromCoroutine(work()).addBoth(self._over, done)

    def _over(self, result: object, done: "Deferred[Any]") -> None:
        self._busy = False
        if not done.called:  # nobody waits any more
            done.callback(result)
        self._next()
