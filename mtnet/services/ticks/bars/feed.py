"""Publish and subscribe for bars: subscribers learn of changed symbols, a few times a second."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.net.output.flush_delay import CoalescingReceiver, shared_flush_delay
from mtnet.net.time_slices import TimeSlicer
from mtnet.services.ticks.bars.periods import BASES, MINUTE, SECOND, Period
from mtnet.services.ticks.bars.series import Bars, SecondBars, Series
from mtnet.services.ticks.bars.stored import Past, StoredBars

PULSE = 0.25
"""Seconds between two looks at the open bars: they change with each tick, and are sent 4 times a
second at most."""


class Subscriber(CoalescingReceiver, Protocol):
    """A receiver of bars; its methods must not raise."""

    def bars_changed(self, symbols: set[bytes]) -> None:
        """Look at the bars of these of its symbols."""


class BarFeed:
    """
    Publisher of the changes of bars, gathered for `PULSE` seconds.

    Args:
        bars: those of a minute, built from the ticks of all symbols; None = there are no bars.
        turn: seconds for which the histories of all subscribers may keep the reactor at once.

    Attributes:
        slicer: lets those histories and other work have their turns.
        stored: reads the bars of the stores; None = there are none.
        made: what subscribers have made of the bars, for others who need the same; it is empty
            again once the bars have changed.
    """

    log = Logger()

    def __init__(self, bars: Bars | None, clock: IReactorTime, turn: float) -> None:
        self._bars, self._clock = bars, clock
        self._seconds = None if bars is None else SecondBars(bars)
        self.slicer = TimeSlicer(clock, turn)
        self._subscribers: dict[int, dict[bytes, dict[Subscriber, None]]] = {
            base: {} for base in BASES
        }
        self._changed: set[bytes] = set()
        self._touched: dict[Subscriber, set[bytes]] = {}
        self._pulse: IDelayedCall | None = None
        self.stored: StoredBars | None = None
        self.made: dict[Hashable, Any] = {}

    def begin(self, latest: Mapping[bytes, int]) -> None:
        """Take the highest order time of each symbol that is stored, before the first tick."""
        if self._bars is not None:
            self._bars.before = latest

    @property
    def keeps_bars(self) -> bool:
        """Whether there are bars."""
        return self._bars is not None

    @property
    def count(self) -> int:
        """The number of closed M1 bars."""
        return 0 if self._bars is None else len(self._bars)

    @property
    def left_out(self) -> int:
        """The number of ticks that are in no bar because of their TIME."""
        return 0 if self._bars is None else self._bars.left_out

    def get(self, symbol: bytes, base: int = MINUTE) -> Series | None:
        """Return the bars of a symbol, of `Period.base`; None = there was no tick yet."""
        bars = self._of(base)
        return None if bars is None else bars.get(symbol)

    def _of(self, base: int) -> Bars | None:
        return self._seconds if base == SECOND else self._bars

    def past(self, symbol: bytes, period: Period, count: int) -> "Deferred[Past]":
        """
        Return the stored part of the last `count` bars; those in memory are whole then.

        Of seconds there has to be a subscriber.

        Fails with `JournalError`: a store is damaged, or its files need DuckDB.
        """
        if self.stored is None:
            return succeed(Past([]))
        bars, series = self._of(period.base), self.get(symbol, period.base)
        form = None if series is None else series.form

        def join(past: Past) -> Past:
            if bars is None or series is None or series is not bars.get(symbol):
                return past
            # What was dropped meanwhile, or began again, needs nothing.
            known = series.coverage
            lacks = not known.is_whole and form == series.form and past.began >= known.began
            if lacks and past.earlier is not None and past.basis is not None:
                bars.join(symbol, past.began, past.earlier, past.basis.digits)
                self.made.clear()
            return past

        return self.stored.read(symbol, period, count, series).addCallback(join)

    def subscribe(self, subscriber: Subscriber, symbol: bytes, base: int = MINUTE) -> None:
        """Call `bars_changed` when a symbol has ticks; its bars of seconds begin with `SECOND`."""
        self._subscribers[base].setdefault(symbol, {})[subscriber] = None
        if base == SECOND and self._seconds is not None:
            self._seconds.watch(symbol)
            self.made.clear()

    def unsubscribe(self, subscriber: Subscriber, symbol: bytes, base: int = MINUTE) -> None:
        """Call it no more."""
        subscribers = self._subscribers[base].get(symbol, {})
        subscribers.pop(subscriber, None)
        if not subscribers:
            self._subscribers[base].pop(symbol, None)
            if base == SECOND and self._seconds is not None:
                self._seconds.forget(symbol)

    def take(self, ticks: Mapping[bytes, Sequence[bytes]], when: int) -> None:
        """
        Take ticks that came at `when`, in milliseconds since the Unix epoch: what followed each
        symbol.
        """
        if self._bars is None or self._seconds is None:
            return
        self._bars.take(ticks, when)
        self._seconds.take(ticks, when)
        self.made.clear()
        minutes, seconds = self._subscribers[MINUTE], self._subscribers[SECOND]
        if minutes or seconds:
            self._changed |= (minutes.keys() | seconds.keys()) & ticks.keys()
            if self._changed and self._pulse is None:
                self._pulse = self._clock.callLater(self._flush_delay() or PULSE, self._publish)

    def close(self) -> None:
        """Publish nothing more."""
        self._touched.clear()
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _flush_delay(self) -> float:
        """Return the seconds for which every subscriber would keep the bars."""
        every = (each.values() for each in self._subscribers.values())
        return shared_flush_delay(
            each for of in every for subscribers in of for each in subscribers
        )

    def _publish(self) -> None:
        self._pulse, changed, self._changed = None, self._changed, set()
        idle = not self._touched
        for symbol in changed:
            for subscribers in self._subscribers.values():
                for subscriber in subscribers.get(symbol, {}):
                    self._touched.setdefault(subscriber, set()).add(symbol)
        if idle and self._touched:
            self.slicer.run(self._deliver(), self._failed)

    def _deliver(self) -> Iterator[None]:
        """Notify one subscriber with each step."""
        while self._touched:
            subscriber = next(iter(self._touched))
            subscriber.bars_changed(self._touched.pop(subscriber))
            yield

    def _failed(self, failure: Failure) -> None:
        self._touched.clear()
        self.log.failure("Changes of bars could not be sent.", failure)
