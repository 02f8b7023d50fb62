"""Publish and subscribe for bars: subscribers learn of changed symbols, a few times a second."""

from collections.abc import Iterable, Iterator
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.net.time_slices import TimeSlicer
from mtnet.services.ticks.bars.periods import Period
from mtnet.services.ticks.bars.series import Bars, Series
from mtnet.services.ticks.bars.stored import Past, StoredBars
from mtnet.services.ticks.wire import Record

PULSE = 0.25
"""Seconds between two looks at the open bars: they change with each tick, and are sent 4 times a
second at most."""


class Subscriber(Protocol):
    """A receiver of bars; its methods must not raise."""

    def bars_changed(self, symbols: set[bytes]) -> None:
        """Look at the bars of these of its symbols."""


class BarFeed:
    """
    Publisher of the changes of bars, gathered for `PULSE` seconds.

    Args:
        bars: built from the ticks; None = there are no bars.
        turn: seconds for which the histories of all subscribers may keep the reactor at once.

    Attributes:
        slicer: lets those histories and other work have their turns.
        stored: reads the bars of the stores; None = there are none.
    """

    log = Logger()

    def __init__(self, bars: Bars | None, clock: IReactorTime, turn: float) -> None:
        self._bars, self._clock = bars, clock
        self.slicer = TimeSlicer(clock, turn)
        self._by_symbol: dict[bytes, dict[Subscriber, None]] = {}
        self._changed: set[bytes] = set()
        self._touched: dict[Subscriber, set[bytes]] = {}
        self._pulse: IDelayedCall | None = None
        self.stored: StoredBars | None = None
        self._joined: dict[bytes, str] = {}

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

    def get(self, symbol: bytes) -> Series | None:
        """Return the bars of a symbol; None = there was no tick since the start."""
        return None if self._bars is None else self._bars.get(symbol)

    def past(self, symbol: bytes, period: Period, count: int) -> "Deferred[Past]":
        """
        Return the stored part of the last `count` bars; those in memory are whole then.

        Fails with `JournalError`: a store is damaged, or its files need DuckDB.
        """
        if self.stored is None:
            return succeed(Past([]))
        series = self.get(symbol)
        clock = "" if series is None or series.open is None else series.clock

        def join(past: Past) -> Past:
            if series is not None and clock == series.clock != self._joined.get(symbol):
                self._joined[symbol] = clock
                # A minute that was dropped meanwhile needs nothing.
                if past.earlier is not None and past.began == series.began:
                    series.join(past.earlier)
            return past

        return self.stored.read(symbol, period, count, series).addCallback(join)

    def subscribe(self, subscriber: Subscriber, symbol: bytes) -> None:
        """Call `bars_changed` when a symbol has ticks."""
        self._by_symbol.setdefault(symbol, {})[subscriber] = None

    def unsubscribe(self, subscriber: Subscriber, symbol: bytes) -> None:
        """Call it no more."""
        subscribers = self._by_symbol.get(symbol, {})
        subscribers.pop(subscriber, None)
        if not subscribers:
            self._by_symbol.pop(symbol, None)

    def take(self, records: Iterable[Record], when: int) -> None:
        """Take ticks that came at `when`, in milliseconds since the Unix epoch."""
        if self._bars is None:
            return
        if self.stored is not None and self.stored.came is None:
            self.stored.came = when
        self._bars.take(records, when)
        if self._by_symbol:
            self._changed |= self._by_symbol.keys() & {symbol for symbol, _ in records}
            if self._changed and self._pulse is None:
                self._pulse = self._clock.callLater(PULSE, self._publish)

    def close(self) -> None:
        """Publish nothing more."""
        self._touched.clear()
        if self._pulse is not None:
            self._pulse.cancel()
            self._pulse = None

    def _publish(self) -> None:
        self._pulse, changed, self._changed = None, self._changed, set()
        idle = not self._touched
        for symbol in changed:
            for subscriber in self._by_symbol.get(symbol, {}):
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
