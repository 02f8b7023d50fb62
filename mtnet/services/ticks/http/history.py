"""History by HTTP: stored ticks and their bars, in the formats of the exports."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from mtnet.daemon.environment import Environment
from mtnet.errors import ConfigError, HttpError, JournalError, WireError
from mtnet.net.http.route import Content, HttpRequest, Route, Stream
from mtnet.services.ticks import wire
from mtnet.services.ticks.bars.history import BarHistory
from mtnet.services.ticks.bars.periods import PERIODS
from mtnet.services.ticks.clocks.rules import ALL, CONFIGURED, Clocks
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.export import bars, stream
from mtnet.services.ticks.export.bars import BarSelection
from mtnet.services.ticks.export.formats import PLAIN, Columns
from mtnet.services.ticks.export.moments import check_span, read_moment
from mtnet.services.ticks.export.parquet_stream import parquet_stream
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.http.downloads import Downloads
from mtnet.services.ticks.storage.reader import TickReader

Format = Literal["csv", "mt5", "jsonl", "parquet", "arrow"]
BarFormat = Literal["json", "csv", "mt5", "jsonl", "parquet", "arrow"]
PeriodName = Annotated[str, Meta(pattern=f"^({'|'.join(PERIODS)})$")]


class History(Struct, rename={"start": "from", "stop": "to"}):
    """
    The parameters of a download: a symbol, a span and a format.

    Attributes:
        start, stop: order times, as milliseconds, a date, or a date and a time; `start` is
            included, `stop` is not.
        limit: the first so many ticks.
        utc: adds the column `utc` to csv and jsonl, by a rule such as `NY+7`, or by those that are
            `configured`.
    """

    symbol: str
    start: str | None = None
    stop: str | None = None
    format: Format = "csv"
    limit: Annotated[int, Meta(ge=1)] | None = None
    utc: str | None = None


class BarsHistory(Struct, rename={"start": "from", "stop": "to"}):
    """
    The parameters of a download of bars: a symbol, a period, a span and a format.

    Attributes:
        start, stop: openings, as milliseconds, a date, or a date and a time; `start` is included,
            `stop` is not.
        limit: the first so many bars.
        utc: as for ticks.
    """

    symbol: str
    period: PeriodName = "M1"
    start: str | None = None
    stop: str | None = None
    format: BarFormat = "json"
    limit: Annotated[int, Meta(ge=1)] | None = None
    utc: str | None = None


class TickDownloads:
    """
    Downloads of ticks.

    Args:
        path: of the store.
        clock: the rules of `ticks.clock`.
    """

    def __init__(
        self, downloads: Downloads, collector: Collector, path: Path, clock: Mapping[str, str]
    ) -> None:
        self._downloads, self._collector = downloads, collector
        self._path, self._clock = path, clock

    def get(self, request: HttpRequest, asked: History) -> "Deferred[Stream]":
        """
        Begin a download.

        Raises:
            HttpError: 404, there is no tick of the symbol; 503, too many are downloaded at once.
            JournalError: the format needs a package that is not installed.
        """
        symbol, known = _admit(request, asked.symbol, self._collector)
        chosen = Selection([symbol], *_span(asked), asked.limit)
        columns = _columns(asked, self._clock)

        def make() -> Iterator[bytes]:
            reader = TickReader(self._path)
            if not known:
                _check_stored(reader, symbol)
            stream.check_format(asked.format)
            if asked.format == "arrow":
                return stream.arrow_stream(reader, chosen)
            if asked.format == "parquet":
                return parquet_stream(reader, chosen, self._downloads.folder)
            return stream.text(asked.format, reader, chosen, columns)

        name = f"{asked.symbol}.{asked.format}"
        return self._downloads.begin(make, name, stream.TYPES[asked.format])


class BarDownloads:
    """
    Downloads of bars.

    Args:
        path, clock: as of `TickDownloads`.
        by_last: symbols, as on the wire, whose bars are of their last prices.
    """

    def __init__(
        self,
        downloads: Downloads,
        collector: Collector,
        path: Path,
        clock: Mapping[str, str],
        by_last: set[bytes],
    ) -> None:
        self._downloads, self._collector = downloads, collector
        self._path, self._clock, self._by_last = path, clock, by_last

    def get(self, request: HttpRequest, asked: BarsHistory) -> "Deferred[Stream]":
        """
        Begin a download, of all ticks that were taken before.

        Raises:
            HttpError, JournalError: as of `TickDownloads.get`.
        """
        symbol, known = _admit(request, asked.symbol, self._collector)
        period, by_last = PERIODS[asked.period], self._by_last
        chosen = BarSelection([symbol], period, *_span(asked), asked.limit, by_last)
        columns = _columns(asked, self._clock)

        def make() -> Iterator[bytes]:
            if not known:
                _check_stored(TickReader(self._path), symbol)
            history = BarHistory(self._path)
            return bars.stream(asked.format, history, chosen, self._downloads.folder, columns)

        name = f"{asked.symbol}-{asked.period}.{asked.format}"
        stored = self._collector.sync().addErrback(_go_on)
        return stored.addCallback(
            lambda _: self._downloads.begin(make, name, bars.TYPES[asked.format])
        )


def _admit(request: HttpRequest, name: str, collector: Collector) -> tuple[bytes, bool]:
    """
    Return a symbol as on the wire that the client may read, and whether there came a tick of it to
    this daemon or one before.
    """
    symbol = wire_symbol(name)
    request.demand("read", TICKS, symbol.decode())
    return symbol, collector.last_tick(symbol) is not None


def _check_stored(reader: TickReader, symbol: bytes) -> None:
    """Check, in the thread, that there is a tick of a symbol, which may have been imported."""
    if reader.extent(symbol) is None:
        raise HttpError(404, "missing", f"There is no tick of {wire.plain_symbol(symbol)!r}.")


def _go_on(failure: Failure) -> None:
    """Read what is stored: a disk that refuses new ticks is no reason to withhold older ones."""
    failure.trap(JournalError)


def _columns(asked: History | BarsHistory, clock: Mapping[str, str]) -> Columns:
    if asked.utc is None:
        return PLAIN
    if asked.format not in ("csv", "jsonl", "json"):
        raise WireError("field", f"utc is for csv, jsonl and json, not for {asked.format}")
    if asked.utc == CONFIGURED:
        return Columns(Clocks.read(clock))
    try:
        # In a query a plus sign is a blank.
        return Columns(Clocks({ALL: asked.utc.replace(" ", "+")}))
    except ConfigError as error:
        raise WireError("field", str(error)) from error


def _span(asked: History | BarsHistory) -> tuple[int | None, int | None]:
    start, stop = (
        None if each is None else read_moment(each) for each in (asked.start, asked.stop)
    )
    check_span(start, stop)
    return start, stop


def wire_symbol(name: str) -> bytes:
    """
    Return the spelling on the wire of a symbol in a path.

    Raises:
        WireError: `field`; it is none.
    """
    try:
        return wire.encode_symbol(name)
    except WireError as error:
        raise WireError("field", str(error)) from error


def history_routes(env: Environment, collector: Collector) -> list[Route]:
    """Return the routes of downloads."""
    downloads, settings, path = Downloads(env), env.section, env.file("ticks.sqlite")
    by_last = {wire.encode_symbol(each) for each in settings.bars_of_last}
    of_ticks = TickDownloads(downloads, collector, path, settings.clock)
    of_bars = BarDownloads(downloads, collector, path, settings.clock, by_last)
    return [
        Route(
            method="GET",
            path="/v1/ticks/{symbol}",
            handler=of_ticks.get,
            summary="The stored ticks of a symbol: csv, mt5, jsonl, parquet or arrow.",
            params=History,
            right="read:ticks",
            answers={200: Content("text/csv")},
            errors=(404,),
        ),
        Route(
            method="GET",
            path="/v1/bars/{symbol}",
            handler=of_bars.get,
            summary="The bars of a symbol: json, csv, mt5, jsonl, parquet or arrow.",
            params=BarsHistory,
            right="read:ticks",
            answers={200: Content("application/json")},
            errors=(404,),
        ),
    ]
