"""
Short pauses for the collection of garbage, however many connections there are.

Python's full collections look at every object: 10,000 followers cost more than a tenth of a
second each time, and while they come there are many of them. What has survived one is therefore
left out of the next.
"""

import gc
import time
from math import prod
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.recurring import RecurringCall

THRESHOLDS = 700, 10, 5
"""Python's own, but for a full collection after half as many new objects: about 35,000, those of
some 600 followers, which takes less than 10 ms."""
FULL_COLLECTION_INTERVAL = 6 * 3600.0
"""Seconds between two looks at everything: what was left out and has become garbage since would
stay until the process ends."""
FROZEN_LIMIT = 500_000
"""Objects more that are left out before everything is looked at nevertheless, or as many as were
left at the last look: so there is never more garbage than 100 MB, or than what is of use. They are
counted: what was left out and has been freed since counts no more."""


class GcPolicy(Service):
    """
    Sees to the collections while the daemon runs.

    Attributes:
        full: full collections so far.
        longest: milliseconds of the longest collection, but for the looks at everything.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.full, self.longest = 0, 0.0
        self._usual = gc.get_threshold()
        self._since = 0.0
        self._clock = clock
        self._scheduled: IDelayedCall | None = None
        self._collecting = False
        self._left = self._remaining = 0
        what, work = "The collection of garbage", self._collect_everything
        self._loop = RecurringCall(what, work, FULL_COLLECTION_INTERVAL, clock)

    def startService(self) -> None:
        super().startService()
        self._usual = gc.get_threshold()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._on_collection)
        # What the start has left behind is looked at now, and then no more.
        self._loop.start()

    def stopService(self) -> None:
        if not self.running:
            return
        super().stopService()
        self._loop.stop()
        if self._scheduled is not None:
            self._scheduled.cancel()
        gc.callbacks.remove(self._on_collection)
        gc.set_threshold(*self._usual)
        gc.unfreeze()

    @property
    def due(self) -> bool:
        """Whether what is left out is counted in the next turn, and perhaps looked at."""
        return self._scheduled is not None

    def status(self) -> dict[str, object]:
        """Report for `mtnet status`."""
        return {"full collections": self.full, "longest pause": f"{self.longest:.1f} ms"}

    def _collect_everything(self) -> None:
        self._collecting = True
        gc.unfreeze()
        gc.collect()
        self._collecting = False
        self._left = gc.get_freeze_count()
        self._wait(0)

    def _count(self) -> None:
        self._scheduled = None
        more = gc.get_freeze_count() - self._left
        if more >= self._limit:
            self._collect_everything()
        else:
            self._wait(more)

    @property
    def _limit(self) -> int:
        return max(FROZEN_LIMIT, self._left)

    def _wait(self, more: int) -> None:
        """Count after as many collections as it takes at least to leave out too many objects."""
        self._remaining = (self._limit - more) // prod(THRESHOLDS)

    def _on_collection(self, phase: str, collection: dict[str, Any]) -> None:
        if phase == "start":
            self._since = time.perf_counter()
            return
        if not self._collecting:
            self.longest = max(self.longest, (time.perf_counter() - self._since) * 1e3)
        if collection["generation"] == 2:
            self.full, self._remaining = self.full + 1, self._remaining - 1
            gc.freeze()
            if self._remaining < 0 and not (self.due or self._collecting):
                self._scheduled = self._clock.callLater(0, self._count)
