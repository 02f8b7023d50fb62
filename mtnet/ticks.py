"""
The stored ticks for programs: `mtnet.ticks.read("EURUSD", "2026-11-01").pandas()`, and their bars:
`mtnet.ticks.bars("EURUSD", "M5").pandas()`.

Reads the data folder itself, with or without a running daemon. pandas, polars and pyarrow are
imported when they are asked for.
"""

import os
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

from mtnet.client.core.prices.symbols import wire_symbol
from mtnet.client.core.prices.ticks import Tick
from mtnet.config.loader import data_folder
from mtnet.errors import ClientError
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS, Period
from mtnet.services.ticks.clocks.rules import ALL, Clocks
from mtnet.services.ticks.export import bar_frames
from mtnet.services.ticks.export.bars import clock_of, rows_of
from mtnet.services.ticks.export.frames import to_arrow, to_numpy, to_pandas, to_polars
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.export.reading import read_table
from mtnet.services.ticks.export.utc import add_utc
from mtnet.services.ticks.storage.reader import TickReader
from mtnet.services.ticks.wire import ABSENT, pad

__all__ = ["Bar", "Bars", "Tick", "Ticks", "bars", "read", "symbols"]

Moment = int | str | date | None
"""Milliseconds, a text such as `2026-11-27 12:30`, or a date or datetime without a zone, by the
clock of the broker. None = without an end."""


class Ticks:
    """
    The ticks of a symbol, in order of time; those of one time in the order of arrival.

    An iterator yields them one by one, with the digits that were sent. The methods return columns
    of numbers: `time_msc` (the broker's clock, milliseconds), `received_us` (UTC, microseconds),
    `bid`, `ask`, `last`, `volume` (float64), `flags` and `source`; what was not sent is absent.
    With a clock, `utc_msc` (UTC, milliseconds) is added. Each call reads what is stored then.

    Raises:
        JournalError: a store is damaged, or a package is missing; of each method.
    """

    def __init__(
        self,
        path: Path,
        symbol: bytes,
        start: int | None,
        end: int | None,
        clocks: Clocks | None = None,
    ) -> None:
        self._path, self._symbol, self._start, self._end = path, symbol, start, end
        self._clocks = clocks

    def __iter__(self) -> Iterator[Tick]:
        name = self._symbol.decode()
        for tick in TickReader(self._path).ticks(self._symbol, self._start, self._end):
            sent = [None if each == ABSENT else each.decode() for each in pad(tick.rest)]
            bid, ask, last, volume, *whole = sent
            moment, flags = (None if each is None else int(each) for each in whole)
            yield Tick(name, bid, ask, last, volume, moment, flags, tick.received, 0)

    def numpy(self) -> dict[str, Any]:
        """Return an array of each column; absent times and flags are masked."""
        return to_numpy(self._table())

    def arrow(self) -> Any:
        """Return a `pyarrow.Table`."""
        return to_arrow(self._table())

    def pandas(self) -> Any:
        """Return a `pandas.DataFrame`."""
        return to_pandas(self._table())

    def polars(self) -> Any:
        """Return a `polars.DataFrame`."""
        return to_polars(self._table())

    def _table(self) -> Any:
        table = read_table(self._path, self._symbol, self._start, self._end)
        if self._clocks is not None:
            add_utc(table, self._clocks, self._symbol.decode())
        return table


class Bar(NamedTuple):
    """
    A bar.

    Attributes:
        time_msc: of its opening, milliseconds; see `Bars.clock`.
        open, high, low, close: prices.
        ticks: how many it has.
        spread: ask - bid of its first tick, in points; None = that had no ask.
        volume: that was traded.
        utc_msc: of its opening, UTC, if a clock was named; None = that is not known.
    """

    time_msc: int
    open: float
    high: float
    low: float
    close: float
    ticks: int
    spread: int | None
    volume: float
    utc_msc: int | None = None


class Bars:
    """
    The bars of a symbol, in order of time; the last one may still be open.

    An iterator yields them one by one. The methods return columns, named as the attributes of
    `Bar`; without a clock there is no `utc_msc`. Each call reads what is stored then.

    Attributes:
        price: the price that they are made of, `bid` or `last`.
        clock: `broker`, or `received` = UTC, of ticks that have no TIME.
        digits: decimals of the prices; the last one is a point.

    Raises:
        JournalError: a store is damaged, or a package is missing; of each method.
    """

    def __init__(
        self,
        path: Path,
        symbol: bytes,
        period: Period,
        basis: Basis,
        span: tuple[Any, Any],
        clocks: Clocks | None = None,
    ) -> None:
        self._path, self._symbol, self._period = path, symbol, period
        self._basis, self._span, self._clocks = basis, span, clocks
        self.price, self.clock, self.digits = basis.kind, basis.clock, basis.digits

    def __iter__(self) -> Iterator[Bar]:
        for row in self._rows():
            yield Bar(*row)

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        history, clocks = BarHistory(self._path), self._clocks
        clock = None if clocks is None else clock_of(history, self._symbol, self._basis, clocks)
        for bar in history.bars(self._symbol, self._period, self._basis, *self._span):
            (row,) = rows_of(self._basis, [bar])
            yield row if clock is None else (*row, clock.utc(bar.time, bar.time + bar.first))

    def numpy(self) -> dict[str, Any]:
        """Return an array of each column; what is absent is masked."""
        return bar_frames.to_numpy(list(self._rows()), self._clocks is not None)

    def arrow(self) -> Any:
        """Return a `pyarrow.Table`."""
        return bar_frames.to_arrow(list(self._rows()), self._clocks is not None)

    def pandas(self) -> Any:
        """Return a `pandas.DataFrame`."""
        return bar_frames.to_pandas(list(self._rows()), self._clocks is not None)

    def polars(self) -> Any:
        """Return a `polars.DataFrame`."""
        return bar_frames.to_polars(list(self._rows()), self._clocks is not None)


def read(
    symbol: str,
    start: Moment = None,
    end: Moment = None,
    *,
    clock: str | None = None,
    data: str | Path | None = None,
) -> Ticks:
    """
    Return the stored ticks of a symbol.

    Args:
        symbol: such as `EURUSD` or `UK 100`.
        start, end: by the clock of the broker; `start` is included, `end` is not.
        clock: of the broker, `NY+7`, `UTC+2`, `Europe/Athens` or `measured`, for UTC.
        data: the data folder; None = the one that the daemon takes without a configuration.

    Raises:
        ClientError: there are no ticks, or none of this symbol.
        ConfigError: the clock is no rule.
        WireError: a time or the symbol cannot be read.
    """
    path, known = _file(data), symbols(data=data)
    wire = wire_symbol(symbol)
    if wire.decode() not in known:
        raise ClientError(f"There are no ticks of {symbol} in {path.parent}.")
    clocks = None if clock is None else Clocks({ALL: clock})
    return Ticks(path, wire, _moment(start), _moment(end), clocks)


def bars(
    symbol: str,
    period: str,
    start: Moment = None,
    end: Moment = None,
    *,
    last: bool = False,
    clock: str | None = None,
    data: str | Path | None = None,
) -> Bars:
    """
    Return the bars of the stored ticks of a symbol.

    Args:
        period: `S1` … `S30`, `M1` … `M30`, `H1` … `H12`, `D1`, `W1` or `MN1`.
        start, end: openings, as of `read`.
        last: made of last prices also where there are bids.
        symbol, clock, data: as of `read`.

    Raises:
        ClientError: there are no ticks, none of this symbol, or no such period.
        ConfigError: the clock is no rule.
        WireError: a time or the symbol cannot be read.
    """
    if period not in PERIODS:
        raise ClientError(f"There is no period {period!r}: expected one of {', '.join(PERIODS)}.")
    path, wire = _file(data), wire_symbol(symbol)
    basis = BarHistory(path).basis(wire, last)
    clocks = None if clock is None else Clocks({ALL: clock})
    return Bars(path, wire, PERIODS[period], basis, (_moment(start), _moment(end)), clocks)


def symbols(*, data: str | Path | None = None) -> list[str]:
    """
    Return the stored symbols, as they are spelt on the wire: `UK%20100`.

    Raises:
        ClientError: there are no ticks.
    """
    return [row["symbol"] for row in TickReader(_file(data)).symbols()]


def _file(data: str | Path | None) -> Path:
    return data_folder(None, os.environ, None if data is None else str(data)) / "ticks.sqlite"


def _moment(given: Moment) -> int | None:
    if given is None or isinstance(given, int):
        return given
    if isinstance(given, str):
        return read_moment(given)
    if not isinstance(given, datetime):
        given = datetime.combine(given, time())
    if given.tzinfo is not None:
        raise ClientError(
            f"{given} has a zone, and the times of ticks are those of the broker's clock: expected "
            "one without, such as datetime(2026, 11, 27, 12, 30)."
        )
    return round(given.replace(tzinfo=UTC).timestamp() * 1_000)
