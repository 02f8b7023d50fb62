"""Callbacks: the default one, and those of observers."""

from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


def noop(*_: object) -> None:
    """Do nothing; takes what it is called with."""


class Observers(Generic[K]):
    """Observer registry: functions that are called at news of a topic, of a series and so on."""

    def __init__(self) -> None:
        self._all: dict[K, dict[Callable[..., object], None]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._all.values()))

    def add(self, key: K, observer: Callable[..., object]) -> Callable[[], None]:
        """Call `observer` at each news of something; return what undoes it."""
        self._all.setdefault(key, {})[observer] = None
        return partial(self.discard, key, observer)

    def discard(self, key: K, observer: Callable[..., object]) -> None:
        """Call it no more."""
        observers = self._all.get(key, {})
        observers.pop(observer, None)
        if not observers:
            self._all.pop(key, None)

    def call(self, key: K, *news: object, but: Callable[..., object] | None = None) -> None:
        """Call the observers of something; `but`: the one that knows it already."""
        for observer in list(self._all.get(key, ())):
            if observer != but:
                observer(*news)
