"""
Deadlines of many things, by time.

Pure.
"""

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

SPARE = 64
"""Buckets that may be gone before the heap is made anew."""
T = TypeVar("T", bound=Hashable)


class Deadlines(Generic[T]):
    """
    Calendar queue: setting and discarding take the same short time however many there are.

    Args:
        step: the width of a bucket, in the unit of the times.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._buckets: dict[int, dict[T, None]] = {}
        self._order: list[int] = []
        self._where: dict[T, int] = {}

    def set(self, thing: T, when: float) -> None:
        """Let something be due at a time; an earlier deadline of it is forgotten."""
        self.discard(thing)
        number = int(when // self._step) + 1
        if number not in self._buckets:
            self._buckets[number] = {}
            heappush(self._order, number)
        self._buckets[number][thing] = None
        self._where[thing] = number

    def discard(self, thing: T) -> None:
        """Forget a deadline, if there is one."""
        number = self._where.pop(thing, None)
        if number is None:
            return
        bucket = self._buckets[number]
        del bucket[thing]
        if not bucket:
            del self._buckets[number]
            if len(self._order) > 2 * len(self._buckets) + SPARE:
                self._order = list(self._buckets)
                heapify(self._order)

    def due(self, when: float) -> list[T]:
        """Remove and return what is due, the earliest first, at most a step late."""
        found: list[T] = []
        while self._order and self._order[0] * self._step <= when:
            found += self._buckets.pop(heappop(self._order), ())
        for thing in found:
            del self._where[thing]
        return found
