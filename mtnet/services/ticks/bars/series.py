"""
Bars of a minute or a second in memory, built from ticks as they come; longer periods are made of
them.

Pure: methods take `when`, in milliseconds since the Unix epoch, UTC. Rules of MetaTrader: a bar is
made of bids, or of last prices; its time is its opening in the broker's clock; a minute without a
tick has no bar; a day begins at the broker's midnight. Prices are doubles, as in `MqlRates`.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from heapq import merge as merged
from itertools import groupby
from math import inf
from operator import itemgetter
from struct import Struct
from typing import Any, NamedTuple

from mtnet.services.ticks.bars.periods import MINUTE, SECOND, Period
from mtnet.services.ticks.wire import ABSENT

MAX_SERIES = 10_080
"""Minutes of one symbol: a week. A request reads all of them at most, in 9 ms."""
MAX_SECONDS = 3_600
"""Seconds of one symbol: an hour. A session that lags by more gets them from the stores."""
EARLIEST = -(2**62)
"""An order time, milliseconds, of no tick."""
BATCH = 1_024
"""Ticks that wait until they are added to the bars together, in 0.4 ms: added with each burst, they
take half as much again, since what that needs is not in the caches of the processor."""
CHUNK = 256
"""Bars that are dropped at once: the memory of each series is moved only so often."""
MAX_AHEAD = 15 * 3_600_000
"""Milliseconds that TIME may be ahead of the receipt: no zone is more than 14 hours ahead of UTC.
One tick of next year would else end the bars of its symbol until then."""
BID, LAST = 0, 2
"""Fields of a record that bars are made of."""
TRADES = 8 | 16 | 32 | 64
"""Flags of MqlTick of a deal: LAST, VOLUME, BUY, SELL. Without one, `volume` is that of a deal
before."""
VOLUME_DIGITS = 8
"""Decimals of a volume, beyond which a sum of floating-point numbers is noise."""
NOWHERE = -1
"""An offset from the opening of a bar that is in no bar."""
NO_SPREAD = -inf
"""The spread of a bar whose first tick had no ask, or no bid."""
RECORD = Struct("<q4dIddHH")
"""A bar in memory, 64 bytes: the fields of `Bar`, `first` and `last` from its opening."""


class Bar(NamedTuple):
    """
    A bar.

    Attributes:
        time: of its opening, in milliseconds of the clock of its series.
        open, high, low, close: prices.
        ticks: how many it has.
        spread: ask - bid of its first tick, a price; `NO_SPREAD` = that had no ask.
        volume: the sum of the deals.
        first, last: milliseconds from `time` to its first and last tick.
    """

    time: int
    open: float
    high: float
    low: float
    close: float
    ticks: int
    spread: float
    volume: float
    first: int
    last: int

    def with_tick(self, tick: "Bar") -> "Bar":
        """Return the bar with one more tick, whenever that came; equal times stay in order."""
        earlier, later = tick.first < self.first, tick.last >= self.last
        return Bar(
            self.time,
            tick.open if earlier else self.open,
            max(self.high, tick.high),
            min(self.low, tick.low),
            tick.close if later else self.close,
            self.ticks + tick.ticks,
            tick.spread if earlier else self.spread,
            self.volume + tick.volume,
            min(self.first, tick.first),
            max(self.last, tick.last),
        )


def together(*parts: Iterable[Bar]) -> Iterator[Bar]:
    """Yield the bars of parts, each in order of time; of one time, the first part came first."""
    for _, group in groupby(merged(*parts, key=itemgetter(0)), itemgetter(0)):
        yield reduce(Bar.with_tick, group)


def merge(bars: Iterable[tuple[Any, ...]], opening: Callable[[int], int]) -> Iterator[Bar]:
    """
    Yield the bars of a longer period from fields of bars in order of time.

    Args:
        opening: returns when a bar of that period opens, see `Period.opening`.
    """
    for time, group in groupby(bars, lambda bar: opening(bar[0])):
        times, opens, highs, lows, closes, ticks, spreads, volumes, firsts, lasts = zip(
            *group, strict=True
        )
        yield Bar(
            time, opens[0], max(highs), min(lows), closes[-1], sum(ticks), spreads[0],
            sum(volumes), times[0] + firsts[0] - time, times[-1] + lasts[-1] - time,
        )  # fmt: skip


@dataclass(slots=True)
class Coverage:
    """
    The ticks that the bars in memory have.

    Attributes:
        before: the highest order time of the ticks that came before the first one here, or more.
        came: when that came, milliseconds since the Unix epoch, UTC.
        floor: the opening before which there are no bars: they were dropped.
        began: the opening from which on bars have all ticks there are, once `is_whole`; those
            between `floor` and this lack what came before.
        is_whole: whether what came before was added.
    """

    before: int = EARLIEST
    came: int = 0
    floor: int = EARLIEST
    began: int = 0
    is_whole: bool = False

    def end_before(self, floor: int) -> None:
        """Forget what lies before."""
        self.floor, self.began = floor, max(self.began, floor)


class Series:
    """
    The bars of one symbol and one period: closed ones packed, and the open one.

    A bar is closed once a tick of a later one came. A tick that comes late counts in its own
    bar, so that the bars are the same in whatever order ticks come.

    Args:
        price: the field that bars are made of: `BID` or `LAST`.
        length: of a bar, milliseconds; a divisor of a day.

    Attributes:
        price: as above.
        clock: `broker`, or `received` as long as no tick had a TIME.
        coverage: which ticks are in the bars.
        digits: decimals of prices so far, for the eyes of people.
        left_out: ticks that are in no bar: their TIME is impossible, or too old, or absent where
            others have one.
    """

    __slots__ = (
        "_close", "_closed", "_high", "_last", "_length", "_low", "_more", "_open", "_partial",
        "_start", "clock", "coverage", "digits", "left_out", "price",
    )  # fmt: skip

    def __init__(self, price: int = BID, length: int = MINUTE) -> None:
        self.price, self._close, self._high, self._low = price, b"", inf, -inf
        self._length = length
        self.clock = "received"
        self._closed = bytearray()
        self._partial: dict[int, tuple[int, Bar]] = {}
        self.coverage = Coverage()
        self._restart()
        self.digits = self.left_out = 0

    @property
    def form(self) -> tuple[str, int]:
        """Clock and price that the bars are made of; when these change, the bars begin again."""
        return self.clock, self.price

    def __len__(self) -> int:
        return len(self._closed) // RECORD.size

    def add(self, rest: bytes, when: int) -> int:
        """Take a tick as a record has it, which came at `when`; return how many bars it closed."""
        return self.add_all((rest,), when)

    def add_all(self, rests: Iterable[bytes], when: int) -> int:
        """Take ticks that came at `when`, in their order; return how many bars they closed."""
        before, index, length = len(self._closed), self.price, self._length
        broker, start, last, high, low, close = self._state()
        more = 0
        for rest in rests:
            fields = rest.split(b" ")
            count = len(fields)
            # The clock of the series alone can be compared.
            if count < 5 or fields[4] == ABSENT:
                offset = NOWHERE if broker else when - start
            else:
                offset = int(fields[4]) - start if broker else NOWHERE
            # Nearly every tick lies in the open bar, and has no volume: `open` adds up what came.
            if last <= offset < length and index < count and (count < 4 or fields[3] == ABSENT):
                text = fields[index]
                if text != ABSENT:
                    price = float(text)
                    if not price and index == LAST:
                        continue
                    if price > high:
                        high = price
                        self._note_digits([text])
                    elif price < low:
                        low = price
                        self._note_digits([text])
                    close, last = text, offset
                    more += 1
                    continue
            self._extend(last, high, low, close, more)
            self._add(fields, when)
            broker, start, last, high, low, close = self._state()
            more = 0
        if more:
            self._extend(last, high, low, close, more)
        return (len(self._closed) - before) // RECORD.size

    @property
    def open(self) -> Bar | None:
        """The open bar; None = there was no tick."""
        bar = self._open
        if bar is not None and self._more:
            self._note_digits([self._close])
            bar = bar._replace(
                high=self._high,
                low=self._low,
                close=float(self._close),
                ticks=bar.ticks + self._more,
                last=self._last,
            )
            self._set_open(bar)
        return bar

    @property
    def newest(self) -> int:
        """The time of the newest tick in a bar."""
        current = self.open
        return EARLIEST if current is None else current.time + current.last

    def read(self, period: Period, count: int) -> list[Bar]:
        """Return the last bars of a longer period, the open one last; `count` at most."""
        current = self.open
        if current is None or count <= 0:
            return []
        # Times without a tick have no bars, so that these hold `count` bars of the period.
        parts = count * (period.length // self._length)
        found = [*self._unpack(max(0, len(self) - parts)), current]
        return [*merge(found, period.opening)][-count:]

    def since(self, period: Period, time: int, floor: int = 0) -> list[Bar]:
        """
        Return the bars of a period whose opening is `time` or later, the open one last.

        Args:
            floor: what lies before is left out of them.
        """
        current = self.open
        if current is None:
            return []
        start = period.opening(current.time)
        if time >= start:
            return [self._current(period, max(start, floor), current)]
        found = [*self._unpack(self._index(max(time, floor))), current]
        return [*merge(found, period.opening)]

    def join(self, began: int, earlier: Sequence[Bar], digits: int) -> int:
        """
        Add the bars, from `began` on, of all ticks that came before `came`; return by how many
        closed ones there are more.

        Args:
            digits: decimals of their prices.
        """
        current, before = self.open, len(self)
        self.coverage.began, self.coverage.is_whole = began, True
        self.digits = max(self.digits, digits)
        if current is not None and earlier:
            index = self._index(earlier[0].time)
            *closed, current = together(earlier, [*map(Bar._make, self._unpack(index)), current])
            self._closed[index * RECORD.size :] = b"".join(RECORD.pack(*bar) for bar in closed)
            self._set_open(current)
            self._partial.clear()
        return len(self) - before

    def take_closed(self) -> list[Bar]:
        """Return the closed bars, and forget them."""
        found = [Bar._make(fields) for fields in self._unpack(0)]
        self.drop(len(self))
        return found

    def drop(self, count: int) -> int:
        """Forget the oldest closed bars; return how many."""
        size = min(count * RECORD.size, len(self._closed))
        del self._closed[:size]
        self._partial.clear()
        if len(self) or self.open is not None:
            self.coverage.end_before(_Times(self._closed)[0] if len(self) else self._start)
        return size // RECORD.size

    def _state(self) -> tuple[bool, int, int, float, float, bytes]:
        """Return whether the clock is the broker's, and what `_extend` takes of the open bar."""
        broker = self.clock == "broker"
        return broker, self._start, self._last, self._high, self._low, self._close

    def _extend(self, last: int, high: float, low: float, close: bytes, more: int) -> None:
        """Note `more` ticks in the open bar."""
        self._last, self._high, self._low, self._close = last, high, low, close
        self._more += more

    def _add(self, fields: list[bytes], when: int) -> None:
        index = self.price
        text = fields[index] if index < len(fields) else ABSENT
        price = 0.0 if text == ABSENT else float(text)
        # LAST 0 is absent, as in MqlTick.
        if text == ABSENT or (index == LAST and not price):
            return
        time = self._time(fields[4] if len(fields) > 4 else ABSENT, when)
        if time is None:
            self.left_out += 1
            return
        if self._open is None:
            self.coverage.came = when
        self._note_digits(fields)
        offset, volume = time % self._length, self._volume(fields)
        both = len(fields) > 1 and ABSENT not in fields[:2]
        spread = float(fields[1]) - float(fields[0]) if both else NO_SPREAD
        self._take(
            Bar(time - offset, price, price, price, price, 1, spread, volume, offset, offset)
        )

    def use_bids(self) -> int:
        """Begin again, with bars of bids; return how many closed ones that ends."""
        closed, self.price = len(self), BID
        self._restart()
        return closed

    def _restart(self) -> None:
        """Begin again: bars of two clocks, or of two prices, do not belong in one chart."""
        self._set_open(None)
        self._closed.clear()
        self._partial.clear()
        self.coverage = Coverage(self.coverage.before)

    def _set_open(self, bar: Bar | None) -> None:
        self._open, self._more = bar, 0
        self._start, self._last = 0, self._length
        if bar is not None:
            self._start, self._last, self._high, self._low = bar.time, bar.last, bar.high, bar.low

    def _time(self, text: bytes, when: int) -> int | None:
        """Return the time of a tick in the clock of the series; None = it has none there."""
        if text == ABSENT:
            return when if self.clock == "received" else None
        time = int(text)
        if time > when + MAX_AHEAD:
            return None
        if self.clock == "received":
            self.clock = "broker"
            self._restart()
        return time

    def _volume(self, fields: list[bytes]) -> float:
        """Return the volume of the deal that a tick reports, 0 = none."""
        if len(fields) < 4 or fields[3] == ABSENT:
            return 0.0
        flags = int(fields[5]) if len(fields) > 5 and fields[5] != ABSENT else TRADES
        if not flags & TRADES:
            return 0.0
        return float(fields[3])

    def _note_digits(self, fields: Sequence[bytes]) -> None:
        for text in fields[:3]:
            if text != ABSENT:
                self.digits = max(self.digits, decimals(text))

    def _take(self, tick: Bar) -> None:
        current = self.open
        if current is None:
            self.coverage.began = tick.time
            self._set_open(tick)
        elif tick.time == current.time:
            self._set_open(current.with_tick(tick))
        elif tick.time > current.time:
            self._closed += RECORD.pack(*current)
            self._set_open(tick)
        else:
            self._insert(tick)

    def _insert(self, tick: Bar) -> None:
        """Take a tick of a bar before the open one."""
        size, index = RECORD.size, self._index(tick.time)
        at = index * size
        found = Bar(*RECORD.unpack_from(self._closed, at)) if index < len(self) else None
        self._partial.clear()
        if found is not None and found.time == tick.time:
            RECORD.pack_into(self._closed, at, *found.with_tick(tick))
        elif tick.time < self.coverage.floor:
            self.left_out += 1
        else:
            self._closed[at:at] = RECORD.pack(*tick)

    def _current(self, period: Period, start: int, current: Bar) -> Bar:
        """Return the open bar of a period, without reading what was read of it before."""
        known, partial = self._partial.get(period.length, (0, None))
        if partial is None or partial.time != period.opening(start):
            known, partial = self._index(start), None
        if known < len(self):
            found = [*filter(None, [partial]), *self._unpack(known)]
            (partial,) = merge(found, period.opening)
            self._partial[period.length] = len(self), partial
        return next(merge([*filter(None, [partial]), current], period.opening))

    def _index(self, time: int) -> int:
        """Return the number of the first closed bar that does not lie before `time`."""
        return bisect_left(_Times(self._closed), time)

    def _unpack(self, index: int) -> Iterator[tuple[Any, ...]]:
        return RECORD.iter_unpack(bytes(self._closed[index * RECORD.size :]))


class _Times:
    """The times of packed bars, as a sequence."""

    def __init__(self, data: bytearray) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data) // RECORD.size

    def __getitem__(self, index: int) -> int:
        at = index * RECORD.size
        return int.from_bytes(self._data[at : at + 8], "little", signed=True)


def decimals(text: bytes) -> int:
    """Return how many decimals a price or a volume has, as it was sent."""
    number, _, exponent = text.lower().partition(b"e")
    return max(0, len(number.partition(b".")[2]) - int(exponent or 0))


class Bars:
    """
    The bars of all symbols, in bounded memory.

    Args:
        most: closed bars that are kept in all; then the longest series loses its oldest.
        by_last: symbols whose bars are made of last prices; the others are made of bids, or of
            last prices as long as there is no bid.

    Attributes:
        before: the highest order time of each symbol that is stored at the start.
    """

    _longest = MAX_SERIES

    def __init__(self, most: int, by_last: Collection[bytes] = ()) -> None:
        self.most, self.by_last = most, by_last
        self._series: dict[bytes, Series] = {}
        self._count = 0
        self._waiting: deque[tuple[Mapping[bytes, Sequence[bytes]], int]] = deque()
        self._ticks_waiting = 0
        self.before: Mapping[bytes, int] = {}

    def __len__(self) -> int:
        self.add_waiting()
        return self._count

    @property
    def left_out(self) -> int:
        """The number of ticks that are in no bar because of their TIME."""
        self.add_waiting()
        return sum(each.left_out for each in self._series.values())

    def take(self, ticks: Mapping[bytes, Sequence[bytes]], when: int) -> None:
        """
        Take ticks that came at `when`: what followed each symbol.

        They are added once there are many, or somebody looks at the bars.
        """
        if not ticks:  # all were refused
            return
        self._waiting.append((ticks, when))
        self._ticks_waiting += sum(map(len, ticks.values()))
        if self._ticks_waiting >= BATCH:
            self.add_waiting()

    def add_waiting(self) -> None:
        """Add the ticks that wait to the bars."""
        self._ticks_waiting = 0
        while self._waiting:
            self._add(*self._waiting.popleft())

    def _add(self, ticks: Mapping[bytes, Sequence[bytes]], when: int) -> None:
        series, closed = self._series, 0
        for symbol, rests in ticks.items():
            found = series.get(symbol)
            if found is None:
                found = self._begin(symbol, rests[0])
            if found.price == LAST and symbol not in self.by_last:
                more = self._take_until_bids(found, rests, when)
            else:
                more = found.add_all(rests, when)
            if more:
                closed += more
                while len(found) > self._longest + CHUNK:
                    closed -= found.drop(CHUNK)
        if closed:
            self._count += closed
            self._bound()

    def _take_until_bids(self, found: Series, rests: Iterable[bytes], when: int) -> int:
        """Take ticks of a symbol without bids so far; return how many bars they closed."""
        closed = 0
        for rest in rests:
            if found.price == LAST and _has_bid(rest):
                closed -= found.use_bids()
            closed += found.add(rest, when)
        return closed

    def get(self, symbol: bytes) -> Series | None:
        """
        Return the bars of a symbol, of all ticks until now; None = there was none since the start.
        """
        self.add_waiting()
        return self._series.get(symbol)

    def join(self, symbol: bytes, began: int, earlier: Sequence[Bar], digits: int) -> None:
        """Add the bars of a symbol that came before its first tick here, see `Series.join`."""
        self.add_waiting()
        self._count += self._series[symbol].join(began, earlier, digits)

    def _begin(self, symbol: bytes, rest: bytes) -> Series:
        price = BID if _has_bid(rest) and symbol not in self.by_last else LAST
        found = self._series[symbol] = Series(price)
        found.coverage.before = self.before.get(symbol, EARLIEST)
        return found

    def _bound(self) -> None:
        while self._count > self.most:
            longest = max(self._series.values(), key=len)
            self._count -= longest.drop(CHUNK)


def _has_bid(rest: bytes) -> bool:
    return not rest.startswith(ABSENT + b" ")


class SecondBars(Bars):
    """
    The bars of a second of the symbols that are watched.

    Args:
        minutes: of all symbols, which take each tick before these do; these may be as many.
    """

    _longest = MAX_SECONDS

    def __init__(self, minutes: Bars) -> None:
        super().__init__(minutes.most, minutes.by_last)
        self._minutes = minutes
        self._watched: dict[bytes, int] = {}
        self._newest = 0

    def watch(self, symbol: bytes) -> None:
        """Build the bars of a symbol from now on."""
        # What came within this millisecond must not be told apart by its time of receipt.
        self._watched.setdefault(symbol, self._newest)

    def forget(self, symbol: bytes) -> None:
        """Build them no more."""
        self._watched.pop(symbol, None)
        found = self._series.pop(symbol, None)
        self._count -= 0 if found is None else len(found)

    def take(self, ticks: Mapping[bytes, Sequence[bytes]], when: int) -> None:
        """Take ticks that came at `when`: what followed each symbol."""
        self._newest, watched = when, self._watched
        if watched:
            due = (symbol for symbol in ticks if watched.get(symbol, when) != when)
            # At once: what the minutes have now came before the first tick here.
            self._add({symbol: ticks[symbol] for symbol in due}, when)

    def _begin(self, symbol: bytes, rest: bytes) -> Series:
        self._watched[symbol] = 0
        minutes = self._minutes.get(symbol)
        assert minutes is not None, "it has taken this tick"
        found = self._series[symbol] = Series(minutes.price, SECOND)
        found.clock, found.digits = minutes.clock, minutes.digits
        found.coverage.before = max(minutes.coverage.before, minutes.newest)
        return found


def volume_text(volume: float) -> str:
    """Return a volume without the noise of its sum."""
    return f"{volume:.{VOLUME_DIGITS}f}".rstrip("0").rstrip(".")


def points(bar: Bar, digits: int) -> int | None:
    """Return the spread of a bar in points, of which one is the last digit of a price."""
    return None if bar.spread == NO_SPREAD else round(bar.spread * 10**digits)
