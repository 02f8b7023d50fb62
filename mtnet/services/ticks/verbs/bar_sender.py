"""The bars of one session: history first, then what becomes of them, as fast as it reads."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import WireError
from mtnet.net.output.queue import Encoder
from mtnet.services.ticks.bars.feed import BarFeed
from mtnet.services.ticks.bars.periods import PERIODS, Period
from mtnet.services.ticks.bars.series import Bar, Series, points
from mtnet.services.ticks.fanout.subscriber import may_read
from mtnet.services.ticks.verbs import wire
from mtnet.services.ticks.verbs.wire import Barred, Bars
from mtnet.services.ticks.wire import encode_symbol, plain_symbol
from mtnet.session.session import Session

MAX_CHARTS = 500
"""Symbols and periods of one session: each open bar is sent 4 times a second."""
PIECE = 100
"""Bars that are sent at once: 15 kB, which take half a millisecond to write."""
CACHED = 4_096
"""Bars whose bytes are kept: many sessions ask for the same ones."""


class Chart(NamedTuple):
    """A symbol, as on the wire, and a period."""

    symbol: bytes
    period: Period


class Cursor(NamedTuple):
    """
    Progress of a chart: everything before it was sent.

    Attributes:
        time: of the first bar that was not sent as a closed one.
        clock: of the series, whose bars begin again when it changes; empty = there was none.
        asked: how many bars.
    """

    time: int
    clock: str
    asked: int


class BarSender:
    """
    Sends one session the bars that it asked for, while its queue is empty.

    Bars wait in their series, and nowhere else: a session that lags is sent each closed bar later,
    and of the open one the newest state.
    """

    log = Logger()

    def __init__(self, session: Session, feed: BarFeed) -> None:
        self._session, self._feed = session, feed
        self._requests: dict[Chart, int] = {}
        self._cursors: dict[Chart, Cursor] = {}
        self._history: tuple[Chart, Cursor, list[Bar]] | None = None
        self._due: dict[Chart, None] = {}
        self._empty: Deferred[None] | None = None
        self._working = False

    def __bool__(self) -> bool:
        return bool(self._charts())

    def ask(self, asked: Bars) -> None:
        """
        Send the last bars of a chart, and its changes; `count` = 0 ends that.

        Raises:
            WireError: `denied` (the server keeps no bars) or `field` (too many charts).
        """
        if not self._feed.keeps_bars:
            raise WireError("denied", "This server keeps no bars: ticks.bars is 0")
        chart = Chart(encode_symbol(asked.symbol), PERIODS[asked.period])
        self._drop(chart)
        if not asked.count:
            self._send_head(chart, 0, self._feed.get(chart.symbol))
            return
        if len(self._charts()) >= MAX_CHARTS:
            raise WireError("field", f"A session has at most {MAX_CHARTS} symbols and periods")
        self._requests[chart] = asked.count
        self._feed.subscribe(self, chart.symbol)
        self._work()

    def bars_changed(self, symbols: set[bytes]) -> None:
        """Send what changed of these symbols."""
        self._due |= {chart: None for chart in self._cursors if chart.symbol in symbols}
        self._work()

    def close(self) -> None:
        """Send nothing more."""
        for chart in self._charts():
            self._drop(chart)
        if self._empty is not None:
            self._empty.cancel()

    def _charts(self) -> set[Chart]:
        history = () if self._history is None else (self._history[0],)
        return {*self._requests, *self._cursors, *history}

    def _drop(self, chart: Chart) -> None:
        self._requests.pop(chart, None)
        self._cursors.pop(chart, None)
        self._due.pop(chart, None)
        if self._history is not None and self._history[0] == chart:
            self._history = None
        if not any(each.symbol == chart.symbol for each in self._charts()):
            self._feed.unsubscribe(self, chart.symbol)

    # Step by step, in turn with the other sessions: history of many would hold up signals

    def _work(self) -> None:
        if not self._working:
            self._working = True
            self._feed.slicer.run(self._steps(), self._failed)

    def _steps(self) -> Iterator["Deferred[None] | None"]:
        """Take steps while the queue of the session is empty."""
        while self._has_work():
            if self._session.queue.ready:
                self._step()
                yield None
            else:
                self._empty = self._session.queue.when_empty()
                yield self._empty
                self._empty = None
        self._working = False

    def _failed(self, failure: Failure) -> None:
        self._working = False
        if not failure.check(CancelledError):  # it is closed
            self.log.failure("Bars could not be sent.", failure)

    def _has_work(self) -> bool:
        return bool(self._history or self._requests or self._due)

    def _step(self) -> None:
        if self._history is not None:
            self._send_history(*self._history)
        elif self._requests:
            chart = next(iter(self._requests))
            self._begin(chart, self._requests.pop(chart))
        else:
            self._send_changes()

    def _begin(self, chart: Chart, count: int) -> None:
        series = self._feed.get(chart.symbol)
        bars = [] if series is None else series.read(chart.period, count)
        self._send_head(chart, len(bars), series)
        time = bars[-1].time if bars else 0
        cursor = Cursor(time, "" if series is None else series.clock, count)
        self._history = chart, cursor, bars[:-1]

    def _send_history(self, chart: Chart, cursor: Cursor, bars: list[Bar]) -> None:
        series = self._feed.get(chart.symbol)
        if series is not None:
            self._send(self._shown(chart, series, bar) for bar in bars[:PIECE])
        rest = bars[PIECE:]
        self._history = (chart, cursor, rest) if rest else None
        if not rest:
            # The last bar, which may have changed meanwhile, is the first of the changes.
            self._cursors[chart] = cursor
            self._due[chart] = None

    def _send_changes(self) -> None:
        due, self._due = self._due, {}
        for chart in due:
            series = self._feed.get(chart.symbol)
            if not may_read(self._session.peer.rights, chart.symbol):
                self._drop(chart)
            elif series is not None:
                self._send_change(chart, series, self._cursors[chart])

    def _send_change(self, chart: Chart, series: Series, cursor: Cursor) -> None:
        if cursor.clock != series.clock:
            del self._cursors[chart]
            self._requests[chart] = cursor.asked
            return
        bars = series.since(chart.period, cursor.time)
        closed, current = bars[:-1], bars[-1:]
        if len(closed) > PIECE:
            closed, current = closed[:PIECE], []
            self._due[chart] = None
        shown = [self._shown(chart, series, bar) for bar in closed]
        self._send([*shown, *(self._shown(chart, series, bar, True) for bar in current)])
        reached = bars[len(closed)].time if bars else cursor.time
        self._cursors[chart] = cursor._replace(time=reached)

    def _send_head(self, chart: Chart, count: int, series: Series | None) -> None:
        clock = "broker" if series is None else series.clock
        name = plain_symbol(chart.symbol)
        self._session.send(wire.barred(Barred(name, chart.period.name, count, clock)))

    def _send(self, encoded: Iterable[bytes]) -> None:
        data = b"".join(encoded)
        if data:
            self._session.queue.write(data)

    def _shown(self, chart: Chart, series: Series, bar: Bar, current: bool = False) -> bytes:
        digits = Digits(series.digits, series.volume_digits)
        return encoded_bar(chart, bar, digits, current, self._session.queue.encoder)


class Digits(NamedTuple):
    """Decimals of the prices and of the volumes of a symbol."""

    price: int
    volume: int


@lru_cache(CACHED)
def encoded_bar(
    chart: Chart, bar: Bar, digits: Digits, current: bool, encoder: Encoder | None
) -> bytes:
    """Return the bytes of a bar for all sessions with one encoder."""
    shown = [f"{price:.{digits.price}f}" for price in (bar.open, bar.high, bar.low, bar.close)]
    frame = wire.bar(
        wire.Bar(
            plain_symbol(chart.symbol),
            chart.period.name,
            bar.time,
            *(shown[0], shown[1], shown[2], shown[3]),
            bar.ticks,
            points(bar, digits.price),
            f"{bar.volume:.{digits.volume}f}",
            current,
        )
    )
    return frame if encoder is None else encoder(frame)
