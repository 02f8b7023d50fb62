"""Scheduler of the fan-out of ticks: behind the reading of ticks, and within half of the time."""

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mtnet.services.ticks.fanout.feed import Feed
from mtnet.services.ticks.wire import Record

SLICE = 0.001
"""Seconds of fan-out before ticks are read again: at 50,000 a second, 50 datagrams wait in the
kernel then, and the smallest receive buffer has room for 280."""
MAX_WAIT = 0.25
"""Seconds for which the fan-out waits while there is always more to read: subscribers get the
newest ticks 4 times a second even when more comes than can be read."""


class FanoutScheduler:
    """
    Runs the fan-out in slices, each behind the reading of what has come.

    After a slice it rests for as long as that took: more ticks then share one write, and half of
    the processor is left for reading and storing. What comes meanwhile waits, and is conflated when
    there is too much of it.
    """

    log = Logger()

    def __init__(self, feed: Feed, clock: IReactorTime) -> None:
        self._feed, self._clock = feed, clock
        self._backlogs: list[Callable[[], bool]] = []
        self._work: Iterator[None] | None = None
        self._call: IDelayedCall | None = None
        self._rested = self._due = 0.0
        self._gathers = False

    def add_backlog(self, has_backlog: Callable[[], bool]) -> None:
        """Deliver behind a port: `has_backlog` returns whether it has more to read at once."""
        self._backlogs.append(has_backlog)

    def publish(self, records: list[Record], when: int) -> None:
        """Take ticks that came at `when`; they are delivered soon."""
        if self._feed.subscribers:
            self._feed.publish(records, when)
            if self._call is None or self._gathers:
                self._plan()

    def close(self) -> None:
        """Deliver what waits, and nothing more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._run(float("inf"))

    def _plan(self) -> None:
        """Deliver at once, or once for all that comes before those who gather ticks send them."""
        now, flush_delay = self._clock.seconds(), self._feed.flush_delay()
        seconds = max(0.0, self._rested - now, flush_delay)
        due = now + seconds + MAX_WAIT
        if self._call is None:
            self._due = due
            self._wait(seconds)
        elif not flush_delay:  # somebody has come who does not wait
            self._due = min(due, self._due)
            self._call.reset(seconds)
        self._gathers = flush_delay > 0

    def _wait(self, seconds: float) -> None:
        self._call = self._clock.callLater(seconds, self._deliver)

    def _deliver(self) -> None:
        self._call, begin = None, self._clock.seconds()
        if begin < self._due and any(has_backlog() for has_backlog in self._backlogs):
            self._wait(SLICE)
            return
        self._run(begin + SLICE)
        now = self._clock.seconds()
        self._rested, self._due = now + (now - begin), now + MAX_WAIT
        if self._work is not None or self._feed.has_waiting:
            self._wait(now - begin)

    def _run(self, end: float) -> None:
        """Work until a time; `_work` is what is left then."""
        work, self._work = self._work or self._feed.deliver(), None
        try:
            for _ in work:
                if self._clock.seconds() >= end:
                    self._work = work
                    return
        except Exception:
            self.log.failure("Ticks could not be sent to a subscriber; the others get theirs.")
