"""
Short pauses for the collection of garbage, however many connections there are.

Python's full collections look at every object: 10,000 followers cost more than a tenth of a
second each time, and while they come there are many of them. What has survived one is therefore
left out of the next.
"""

import gc
import time
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

THRESHOLDS = 700, 10, 5
"""Python's own, but for a full collection after half as many new objects: about 35,000, those of
some 600 followers, which takes less than 10 ms."""
THAW = 6 * 3600.0
"""Seconds between two looks at everything: what was left out and has become garbage since, as a
connection that refers to itself may, would stay for ever."""


class Garbage(Service):
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
        self._thawing = False
        self._loop = LoopingCall(self._thaw)
        self._loop.clock = clock

    def startService(self) -> None:
        super().startService()
        self._usual = gc.get_threshold()
        gc.set_threshold(*THRESHOLDS)
        gc.callbacks.append(self._noticed)
        # What the start has left behind is looked at now, and then no more.
        self._loop.start(THAW)

    def stopService(self) -> None:
        super().stopService()
        self._loop.stop()
        gc.callbacks.remove(self._noticed)
        gc.set_threshold(*self._usual)
        gc.unfreeze()

    def status(self) -> dict[str, object]:
        """Report for `mtnet status`."""
        return {"full collections": self.full, "longest pause": f"{self.longest:.1f} ms"}

    def _thaw(self) -> None:
        self._thawing = True
        gc.unfreeze()
        gc.collect()
        self._thawing = False

    def _noticed(self, phase: str, collection: dict[str, Any]) -> None:
        if phase == "start":
            self._since = time.perf_counter()
            return
        if not self._thawing:
            self.longest = max(self.longest, (time.perf_counter() - self._since) * 1e3)
        if collection["generation"] == 2:
            self.full += 1
            gc.freeze()
