"""Expiry of clients that have no connection: they are gone when they have not asked for a while."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from twisted.internet.interfaces import IReactorTime

from mtnet.net.timer_wheel import TimerWheel

PRESENT = 30.0
"""Seconds from its last request on for which a client counts as there: three times the longest
wait of a follower that trades."""
STEP = 1.0
"""Seconds by which that may be longer."""
MAX_PRESENT = 10_000
"""Clients of a kind; the one that came first makes room. A program can draw a new name for each
request."""
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Present(Generic[K, V]):
    """
    The clients of a kind that are there; a request of one of them moves no timer.

    Args:
        heard: returns the seconds of the clock at the last sign of life of a client.
        leave: called once a client is gone.
    """

    def __init__(
        self,
        clock: IReactorTime,
        heard: Callable[[V], float],
        leave: Callable[[V], object],
    ) -> None:
        self._clock, self._heard, self._leave = clock, heard, leave
        self._wheel = TimerWheel(clock, STEP)
        self._clients: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """Return a client; None = it is not there."""
        return self._clients.get(key)

    def add(self, key: K, client: V) -> None:
        """A client is there."""
        if len(self._clients) >= MAX_PRESENT:
            self.remove(next(iter(self._clients)))
        self._clients[key] = client
        self._watch(key, client)

    def remove(self, key: K) -> None:
        """A client is gone."""
        self._leave(self._clients.pop(key))

    def check(self, key: K, client: V) -> None:
        """Remove a client that has not asked for a while."""
        if self._clients.get(key) is not client:
            return
        if self._heard(client) + PRESENT <= self._clock.seconds():
            self.remove(key)
        else:
            self._watch(key, client)

    def _watch(self, key: K, client: V) -> None:
        self._wheel.add(_Check(self, key, client), self._heard(client) + PRESENT)


class _Check(Generic[K, V]):
    """Timer of one client."""

    def __init__(self, present: Present[K, V], key: K, client: V) -> None:
        self._present, self._key, self._client = present, key, client

    def fire(self) -> None:
        """The time has come, unless the client has asked since."""
        self._present.check(self._key, self._client)
