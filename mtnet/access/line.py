"""One thing after the other, for work that is dear and that anybody can ask for."""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred

from mtnet.errors import WireError

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]


class Line:
    """
    Does one piece of work at a time. Those whom we know go first.

    Args:
        most: pieces that may wait, of those whom we know and of the others each.

    Attributes:
        refused: how many found too many before them.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: deque[tuple[Work[Any], Deferred[Any]]] = deque()
        self._others: deque[tuple[Work[Any], Deferred[Any]]] = deque()
        self._busy = False
        self.refused = 0

    def __len__(self) -> int:
        return len(self._known) + len(self._others)

    def join(self, work: "Work[T]", known: bool) -> "Deferred[T]":
        """
        Do `work` when its turn comes; cancelled before that, it is never done.

        Raises:
            WireError: `server`; too many wait.
        """
        line = self._known if known else self._others
        if len(line) >= self._most:
            self.refused += 1
            raise WireError("server", "Too many logins wait at this moment; come back in a while")
        done: Deferred[T] = Deferred(lambda _: line.remove(place) if place in line else None)
        place = (work, done)
        line.append(place)
        self._next()
        return done

    def _next(self) -> None:
        line = self._known or self._others
        if line and not self._busy:
            work, done = line.popleft()
            self._busy = True
            Deferred.fromCoroutine(work()).addBoth(self._over, done)

    def _over(self, result: object, done: "Deferred[Any]") -> None:
        self._busy = False
        if not done.called:  # nobody waits any more
            done.callback(result)
        self._next()
