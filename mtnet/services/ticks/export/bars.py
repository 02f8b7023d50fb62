"""
Exports of bars as a stream of bytes, some milliseconds of work at a time.

Blocking, and of constant memory: for a thread, or for a command.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from functools import partial
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mtnet.callbacks import noop
from mtnet.durations import DAY_MS
from mtnet.services.ticks.bars.files import Basis
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import Period
from mtnet.services.ticks.bars.series import VOLUME_DIGITS, Bar, points, volume_text
from mtnet.services.ticks.clocks.bars import BarClock
from mtnet.services.ticks.clocks.rules import Clocks
from mtnet.services.ticks.cold import parquet
from mtnet.services.ticks.export.formats import PLAIN, Columns, csv_symbol
from mtnet.services.ticks.export.parquet_stream import Folder, GroupFile, working
from mtnet.services.ticks.export.stream import (
    ROWS,
    Progress,
    check_format,
    take_written,
)
from mtnet.services.ticks.files.mt5 import format_time
from mtnet.services.ticks.wire import plain_symbol

TYPES = {
    "json": "application/json",
    "csv": "text/csv",
    "mt5": "text/csv",
    "jsonl": "application/jsonl",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}
"""The formats, and their media types."""
TICKS = 200_000
"""Ticks behind the bars that are made at once: 20 ms from Parquet files, a second from blocks."""
SPREAD = "ask - bid of the first tick of a bar, in points of 10 ** -digits"
"""For the metadata: a bar of MetaTrader has one spread, whose rule is not published."""

_NAMES = ("time", "open", "high", "low", "close", "ticks", "spread", "volume")
_MT5 = b"<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\r\n"
_PARQUET = """
COPY (
    SELECT * FROM read_csv({}, delim = '|', quote = '', escape = '', header = false,
        auto_detect = false, columns = {{'symbol': 'VARCHAR', 'time_msc': 'BIGINT',
        'open': 'DOUBLE', 'high': 'DOUBLE', 'low': 'DOUBLE', 'close': 'DOUBLE', 'ticks': 'BIGINT',
        'spread': 'INTEGER', 'volume': 'DOUBLE'}})
) TO {} ({writing} {level})
"""


class BarSelection(NamedTuple):
    """
    The bars of an export.

    Attributes:
        symbols: as on the wire; one after another.
        start, stop: openings; `start` is included, `stop` is not, None = without an end.
        limit: how many bars, at most; None = all.
        by_last: symbols whose bars are made of last prices.
    """

    symbols: Sequence[bytes]
    period: Period
    start: int | None = None
    stop: int | None = None
    limit: int | None = None
    by_last: Collection[bytes] = ()

    def bases(self, history: BarHistory) -> dict[bytes, Basis]:
        """Return how the bars of each symbol are made."""
        return {each: history.basis(each, each in self.by_last) for each in self.symbols}

    def bars(
        self, history: BarHistory, bases: dict[bytes, Basis]
    ) -> Iterator[tuple[bytes, list[Bar]]]:
        """Yield symbols with some of their bars, as many as are made at once."""
        left = self.limit
        for symbol, basis in bases.items():
            found = history.bars(symbol, self.period, basis, self.start, self.stop)
            for bars in _portions(found if left is None else islice(found, left)):
                yield symbol, bars
                left = None if left is None else left - len(bars)


def _portions(bars: Iterator[Bar]) -> Iterator[list[Bar]]:
    portion, ticks = list[Bar](), 0
    for bar in bars:
        portion.append(bar)
        ticks += bar.ticks
        if len(portion) == ROWS or ticks >= TICKS:
            yield portion
            portion, ticks = [], 0
    if portion:
        yield portion


# Text

_More = dict[str, int | str | None]
"""Values beside those of a bar, by name."""
_Writer = Callable[[str, Basis, Bar, _More], bytes]
"""Returns the row of a bar of a symbol, which is spelt as on the wire."""


def text(
    name: str,
    history: BarHistory,
    chosen: BarSelection,
    columns: Columns = PLAIN,
    progress: Progress = noop,
) -> Iterator[bytes]:
    """Yield the rows of `csv`, `mt5` or `jsonl`."""
    header, write = _format(name, chosen.period, columns)
    bases = chosen.bases(history)
    clocks = _clocks(history, bases, columns)
    if header:
        yield header
    for symbol, bars in chosen.bars(history, bases):
        progress(len(bars))
        name, basis = symbol.decode(), bases[symbol]
        clock = clocks.get(symbol)
        yield b"".join(write(name, basis, bar, columns.of_bar(clock, bar)) for bar in bars)


def _clocks(
    history: BarHistory, bases: dict[bytes, Basis], columns: Columns
) -> dict[bytes, BarClock]:
    rules = columns.clocks
    if rules is None:
        return {}
    return {symbol: clock_of(history, symbol, basis, rules) for symbol, basis in bases.items()}


def clock_of(history: BarHistory, symbol: bytes, basis: Basis, rules: Clocks) -> BarClock:
    """Return the clock of the bars of a symbol, by the rules of its brokers."""
    return BarClock(rules, symbol.decode(), basis.timed, partial(history.reader.ticks, symbol))


def json(history: BarHistory, chosen: BarSelection, columns: Columns = PLAIN) -> Iterator[bytes]:
    """Yield one object with the bars of one symbol; prices and volumes are texts."""
    bases = chosen.bases(history)
    ((symbol, basis),) = bases.items()
    clock = _clocks(history, bases, columns).get(symbol)
    head = {"symbol": plain_symbol(symbol), "period": chosen.period.name, **_facts(basis)}
    yield msgspec.json.encode(head)[:-1] + b',"bars":['
    comma = b""
    for _, bars in chosen.bars(history, {symbol: basis}):
        yield comma + b",".join(_object(basis, bar, columns.of_bar(clock, bar)) for bar in bars)
        comma = b","
    yield b"]}"


def _object(basis: Basis, bar: Bar, more: _More) -> bytes:
    values = dict(zip(_NAMES, _values(basis, bar), strict=True)) | more
    return msgspec.json.encode({name: each for name, each in values.items() if each is not None})


def _format(name: str, period: Period, columns: Columns) -> tuple[bytes, _Writer]:
    if name == "csv":
        return f"symbol,{','.join((*_NAMES, *columns.names))}\r\n".encode(), _csv(columns)
    if name == "jsonl":
        return b"", _jsonl(period, columns)
    has_time = period.part < DAY_MS
    return b"<DATE>\t" + b"<TIME>\t" * has_time + _MT5, _mt5(has_time)


def _csv(columns: Columns) -> _Writer:
    def write(symbol: str, basis: Basis, bar: Bar, more: _More) -> bytes:
        _, *values = _values(basis, bar)
        row = [csv_symbol(symbol), columns.local(bar.time), *values, *more.values()]
        return f"{','.join('' if each is None else str(each) for each in row)}\r\n".encode()

    return write


def _jsonl(period: Period, columns: Columns) -> _Writer:
    def write(symbol: str, basis: Basis, bar: Bar, more: _More) -> bytes:
        values = [
            msgspec.Raw(each.encode()) if isinstance(each, str) else each
            for each in _values(basis, bar)
        ]
        row: dict[str, object] = {"symbol": symbol, "period": period.name}
        row |= dict(zip(_NAMES, values, strict=True))
        row |= {"time": columns.local(bar.time), **more}
        return msgspec.json.encode(row) + b"\n"

    return write


def _mt5(has_time: bool) -> _Writer:
    def write(symbol: str, basis: Basis, bar: Bar, more: _More) -> bytes:
        _, *prices, ticks, spread, volume = _values(basis, bar)
        moment = format_time(bar.time // 1_000)
        row = [*prices, ticks, volume, spread or 0]
        when = moment if has_time else moment.partition(b"\t")[0]
        return when + "".join(f"\t{each}" for each in row).encode() + b"\r\n"

    return write


def _values(basis: Basis, bar: Bar) -> list[int | str | None]:
    """Return the fields of a bar by `_NAMES`: prices and volume as texts, spread in points."""
    prices = [price_text(each, basis.digits) for each in bar[1:5]]
    spread = points(bar, basis.digits)
    return [bar.time, *prices, bar.ticks, spread, volume_text(bar.volume)]


def price_text(price: float, digits: int) -> str:
    """Return a price with so many decimals, or with more where it has more."""
    text = f"{price:.{digits}f}"
    return text if float(text) == price else format(Decimal(repr(price)), "f")


def _facts(basis: Basis) -> dict[str, object]:
    return {"clock": basis.clock, "price": basis.kind, "digits": basis.digits}


def metadata(period: Period, bases: dict[bytes, Basis]) -> dict[str, str]:
    """Return the metadata of a file: the period, and how the bars of each symbol are made."""
    made = {plain_symbol(symbol): _facts(basis) for symbol, basis in bases.items()}
    return {
        "mtnet_format": parquet.FORMAT,
        "period": period.name,
        "spread": SPREAD,
        "series": msgspec.json.encode(made).decode(),
    }


# Arrow and Parquet


def rows_of(basis: Basis, bars: Sequence[Bar]) -> list[tuple[Any, ...]]:
    """Return rows of numbers: `time_msc`, prices, ticks, spread in points or None, volume."""
    return [(*bar[:6], points(bar, basis.digits), round(bar.volume, VOLUME_DIGITS)) for bar in bars]


def arrow_stream(
    history: BarHistory, chosen: BarSelection, progress: Progress = noop
) -> Iterator[bytes]:
    """
    Yield a stream of Arrow (IPC).

    Raises:
        JournalError: pyarrow is not installed.
    """
    check_format("arrow")
    import pyarrow as pa
    from pyarrow import ipc

    numbers = [(name, pa.float64()) for name in _NAMES[1:5]]
    bases = chosen.bases(history)
    schema = pa.schema(
        [
            ("symbol", pa.string()), ("time_msc", pa.int64()), *numbers, ("ticks", pa.int64()),
            ("spread", pa.int32()), ("volume", pa.float64()),
        ],
        metadata(chosen.period, bases),
    )  # fmt: skip
    sink = BytesIO()
    with ipc.new_stream(sink, schema) as writer:
        for symbol, bars in chosen.bars(history, bases):
            names = [plain_symbol(symbol)] * len(bars)
            columns = [names, *zip(*rows_of(bases[symbol], bars), strict=True)]
            arrays = [
                pa.array(each, kind) for each, kind in zip(columns, schema.types, strict=True)
            ]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            progress(len(bars))
            yield take_written(sink)
    yield take_written(sink)


def parquet_stream(
    history: BarHistory, chosen: BarSelection, folder: Folder, progress: Progress = noop
) -> Iterator[bytes]:
    """
    Yield a Parquet file, some row groups at a time; empty bytes come while it waits.

    Raises:
        JournalError: DuckDB is not installed; of the iterator: the disk is full or failed, or a
            store is damaged.
    """
    check_format("parquet")
    return _parquet(history, chosen, folder, progress)


def _parquet(
    history: BarHistory, chosen: BarSelection, folder: Folder, progress: Progress
) -> Iterator[bytes]:
    bases = chosen.bases(history)
    with working(folder) as made:
        file = GroupFile(made, "bars", _write_group)
        yield file.begin()
        for symbol, bars in chosen.bars(history, bases):
            name = plain_symbol(symbol)
            rows = (
                ("" if each is None else repr(each) for each in row)
                for row in rows_of(bases[symbol], bars)
            )
            yield from file.write((f"{name}|{'|'.join(row)}\n".encode() for row in rows), len(bars))
            progress(len(bars))
            yield b""
        yield from file.flush()
        yield file.end(metadata(chosen.period, bases))


def _write_group(lines: Path, target: Path) -> None:
    with parquet.connected(target) as run:
        paths = [parquet.literal(str(each)) for each in (lines, target)]
        run(_PARQUET.format(*paths, writing=parquet.WRITING, level=parquet.FAST))


def stream(
    name: str,
    history: BarHistory,
    chosen: BarSelection,
    folder: Folder,
    columns: Columns = PLAIN,
) -> Iterator[bytes]:
    """
    Yield the bars in a format; empty bytes come while a file is made.

    Args:
        folder: makes an empty folder, which is removed at the end.

    Raises:
        JournalError: the format needs a package that is not installed.
    """
    check_format(name)
    if name == "json":
        return json(history, chosen, columns)
    if name == "arrow":
        return arrow_stream(history, chosen)
    if name == "parquet":
        return parquet_stream(history, chosen, folder)
    return text(name, history, chosen, columns)
