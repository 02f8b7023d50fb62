"""The bars of one session: history first, then what becomes of them, as fast as it reads."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.errors import WireError
from mtnet.net.output.queue import Encoder
from mtnet.services.ticks.bars.feed import BarFeed
from mtnet.services.ticks.bars.periods import PERIODS, Period
from mtnet.services.ticks.bars.series import Bar, Series, points, together, volume_text
from mtnet.services.ticks.bars.stored import Past
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
        form: of the series at that time; another one begins the chart again. None = there was no
            series.
        asked: how many bars.
        began: of the series, up to which `lacking` has what that lacks of the bars.
        lacking: these parts of bars.
    """

    time: int
    form: tuple[str, int] | None
    asked: int
    began: int = 0
    lacking: tuple[Bar, ...] = ()

    def fits(self, series: Series) -> bool:
        """Return whether the bars from here on are in the series."""
        if self.form != series.form:
            return False
        began = series.coverage.began
        return self.began == began or self.time >= began


class History(NamedTuple):
    """Bars of the stores that are to be sent, oldest first, and where the chart goes on."""

    chart: Chart
    bars: list[Bar]
    digits: int
    cursor: Cursor


class Step(NamedTuple):
    """
    The next bytes of a chart, the same for all sessions that have come as far.

    Attributes:
        data: its bytes.
        cursor: where the chart goes on.
        more: whether it goes on at once.
    """

    data: bytes
    cursor: Cursor
    more: bool


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
        self._loading: tuple[Chart, int] | None = None
        self._history: History | None = None
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
            series = self._feed.get(chart.symbol)
            self._send_head(chart, 0, "broker" if series is None else series.clock)
            return
        if len(self._charts()) >= MAX_CHARTS:
            raise WireError("field", f"A session has at most {MAX_CHARTS} symbols and periods")
        self._requests[chart] = asked.count
        self._feed.subscribe(self, chart.symbol, chart.period.base)
        self._work()

    def bars_changed(self, symbols: set[bytes]) -> None:
        """Send what changed of these symbols."""
        waits = bool(self._due)
        self._due |= {chart: None for chart in self._cursors if chart.symbol in symbols}
        if self._due and not (waits or self._working):
            self._session.queue.post_made(self._news)

    def flush_delay(self) -> float:
        """Return the seconds for which the session gathers them for one write."""
        return self._session.queue.flush_delay()

    def close(self) -> None:
        """Send nothing more."""
        for chart in self._charts():
            self._drop(chart)
        if self._empty is not None:
            self._empty.cancel()

    def _charts(self) -> set[Chart]:
        begun = [each[0] for each in (self._loading, self._history) if each is not None]
        return {*self._requests, *self._cursors, *begun}

    def _drop(self, chart: Chart) -> None:
        self._requests.pop(chart, None)
        self._cursors.pop(chart, None)
        self._due.pop(chart, None)
        if self._loading is not None and self._loading[0] == chart:
            self._loading = None
        if self._history is not None and self._history.chart == chart:
            self._history = None
        base = chart.period.base
        left = ((each.symbol, each.period.base) for each in self._charts())
        if (chart.symbol, base) not in left:
            self._feed.unsubscribe(self, chart.symbol, base)

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
        self._working, self._due = False, {}
        if not failure.check(CancelledError):  # it is closed
            self.log.failure("Bars could not be sent.", failure)

    def _has_work(self) -> bool:
        return bool(self._history or self._can_load() or self._due)

    def _can_load(self) -> bool:
        return bool(self._requests) and self._loading is None

    def _step(self) -> None:
        if self._history is not None:
            self._send_history(self._history)
        elif self._can_load():
            self._load(next(iter(self._requests)))
        else:
            self._session.queue.post(self._changes())

    def _load(self, chart: Chart) -> None:
        """Read the stored part of a chart, while other charts go on."""
        asked = self._requests.pop(chart)
        loading = self._loading = chart, asked

        def loaded(past: Past) -> None:
            if self._loading is loading:
                self._loading = None
                self._begin(chart, asked, past)
                self._work()

        def failed(failure: Failure) -> None:
            self.log.error("Stored bars cannot be read: {reason}", reason=failure.value)
            loaded(Past.nothing(chart.period, self._series(chart)))

        self._feed.past(chart.symbol, chart.period, asked).addCallbacks(loaded, failed)

    def _series(self, chart: Chart) -> Series | None:
        return self._feed.get(chart.symbol, chart.period.base)

    def _begin(self, chart: Chart, asked: int, past: Past) -> None:
        series = self._series(chart)
        clock = "broker" if past.basis is None else past.basis.clock
        digits = 0 if past.basis is None else past.basis.digits
        if series is None or series.open is None:
            # The last bar may still be open: a tick begins the chart again.
            self._send_head(chart, len(past.bars), clock)
            self._history = History(chart, past.bars, digits, Cursor(0, None, asked))
        elif past.opening is None or not past.fits(series):
            self._requests[chart] = asked  # meanwhile the series began, again, or lost some bars
        else:
            live = self._live(chart, series, past.opening, past.lacking)
            bars = [*past.bars, *live][-asked:]
            self._send_head(chart, len(bars), clock)
            time = bars[-1].time
            cursor = Cursor(time, series.form, asked, past.began, tuple(past.lacking))
            self._history = History(chart, bars[:-1], max(digits, series.digits), cursor)

    def _live(self, chart: Chart, series: Series, time: int, lacking: Sequence[Bar]) -> list[Bar]:
        """Return the bars in memory from a time on, with what these lack."""
        found = series.since(chart.period, time, series.coverage.floor)
        parts = [each for each in lacking if each.time >= time]
        if not parts:
            return found
        # What memory lacks may lie behind its open bar.
        return list(together(parts, [each for each in found if each.time >= time]))

    def _send_history(self, history: History) -> None:
        chart, bars, digits, cursor = history
        rest = bars[PIECE:]
        newest = bars[-1:] if cursor.form is None else []
        self._send(self._shown(chart, digits, bar, bar in newest) for bar in bars[:PIECE])
        self._history = history._replace(bars=rest) if rest else None
        if not rest:
            # The last bar, which may have changed meanwhile, is the first of the changes.
            self._cursors[chart] = cursor
            self._due[chart] = None

    def _news(self) -> bytes:
        """Return what has changed; while the queue is not empty, that waits."""
        data = b"" if self._working or not self._session.queue.ready else self._changes()
        if self._has_work():
            self._work()
        return data

    def _changes(self) -> bytes:
        due, self._due = self._due, {}
        return b"".join([self._change(chart) for chart in due])

    def _change(self, chart: Chart) -> bytes:
        series, cursor = self._series(chart), self._cursors[chart]
        if not may_read(self._session.peer.rights, chart.symbol):
            self._drop(chart)
            return b""
        if series is None or series.open is None:
            return b""
        if not cursor.fits(series):
            del self._cursors[chart]
            self._requests[chart] = cursor.asked
            return b""
        key = chart, cursor, self._session.queue.encoder
        step = self._feed.made.get(key)
        if step is None:
            step = self._feed.made[key] = self._next(chart, series, cursor)
        if step.more:
            self._due[chart] = None
        self._cursors[chart] = step.cursor
        return step.data

    def _next(self, chart: Chart, series: Series, cursor: Cursor) -> Step:
        """Return the bars that have closed since, and the open one where there are few."""
        bars = self._live(chart, series, cursor.time, cursor.lacking)
        closed, current = bars[:-1], bars[-1:]
        more = len(closed) > PIECE
        if more:
            closed, current = closed[:PIECE], []
        shown = [self._shown(chart, series.digits, bar) for bar in closed]
        shown += [self._shown(chart, series.digits, bar, True) for bar in current]
        reached = bars[len(closed)].time if bars else cursor.time
        return Step(b"".join(shown), cursor._replace(time=reached), more)

    def _send_head(self, chart: Chart, count: int, clock: str) -> None:
        name = plain_symbol(chart.symbol)
        self._session.send(wire.barred(Barred(name, chart.period.name, count, clock)))

    def _send(self, encoded: Iterable[bytes]) -> None:
        data = b"".join(encoded)
        if data:
            self._session.queue.write(data)

    def _shown(self, chart: Chart, digits: int, bar: Bar, current: bool = False) -> bytes:
        return encoded_bar(chart, bar, digits, current, self._session.queue.encoder)


@lru_cache(CACHED)
def encoded_bar(
    chart: Chart, bar: Bar, digits: int, current: bool, encoder: Encoder | None
) -> bytes:
    """Return the bytes of a bar for all sessions with one encoder."""
    shown = [f"{price:.{digits}f}" for price in (bar.open, bar.high, bar.low, bar.close)]
    frame = wire.bar(
        wire.Bar(
            plain_symbol(chart.symbol),
            chart.period.name,
            bar.time,
            *(shown[0], shown[1], shown[2], shown[3]),
            bar.ticks,
            points(bar, digits),
            volume_text(bar.volume),
            current,
        )
    )
    return frame if encoder is None else encoder(frame)
