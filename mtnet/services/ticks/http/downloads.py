"""
History by HTTP: stored ticks and their bars as a stream, read off the reactor as fast as the client
reads.
"""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred

from mtnet.daemon.environment import Environment, Worker
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
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.storage.reader import TickReader

CONCURRENT = 4
"""Downloads at once; each waits for the pieces of the others, in one thread."""
STAGING = "download.new"
"""The beginning of the names of folders, in that of the cold store, in which files are made."""

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


class ThreadedPieces:
    """
    Iterator of Deferreds: each piece of a generator is made in a thread, when it is asked for.

    Args:
        ended: called in the reactor, once, at the end or when the client has left.
    """

    def __init__(self, pieces: Iterator[bytes], thread: Worker, ended: Any) -> None:
        self._pieces, self._thread, self._ended = pieces, thread, ended

    def __iter__(self) -> "ThreadedPieces":
        return self

    def __next__(self) -> "Deferred[bytes | None]":
        return self._thread(next, self._pieces, None).addCallbacks(self._made, self._failed)

    def close(self) -> None:
        """Close the generator, in its thread."""
        self._thread(getattr(self._pieces, "close", bool)).addBoth(self._end)

    def _made(self, piece: bytes | None) -> bytes | None:
        if piece is None:
            self._end(None)
        return piece

    def _failed(self, failure: Any) -> Any:
        self._end(None)
        return failure

    def _end(self, _: object) -> None:
        ended, self._ended = self._ended, bool
        ended()


class Downloads:
    """Streams what a thread reads of the stores, `CONCURRENT` answers at once."""

    def __init__(self, env: Environment, collector: Collector) -> None:
        self._env, self._collector = env, collector
        self._path = env.file("ticks.sqlite")
        self._running = 0
        for left in self._path.parent.glob(f"{env.name}/{STAGING}*"):
            rmtree(left, ignore_errors=True)  # by a daemon that was killed

    @cached_property
    def _thread(self) -> Worker:
        return self._env.worker("download", patient=True)

    def ticks(self, request: HttpRequest, asked: History) -> "Deferred[Stream]":
        """
        Begin a download of ticks.

        Raises:
            HttpError: 404, there is no tick of the symbol; 503, too many are downloaded at once.
            JournalError: the format needs a package that is not installed.
        """
        symbol, known = self._admit(request, asked.symbol)
        chosen = Selection([symbol], *_span(asked), asked.limit)
        columns = self._columns(asked)

        def make() -> Iterator[bytes]:
            self._check_stored(symbol, known)
            return self._ticks(asked.format, TickReader(self._path), chosen, columns)

        return self._begin(make, f"{asked.symbol}.{asked.format}", stream.TYPES[asked.format])

    def bars(self, request: HttpRequest, asked: BarsHistory) -> "Deferred[Stream]":
        """
        Begin a download of bars, of all ticks that were taken before.

        Raises:
            HttpError, JournalError: as `ticks`.
        """
        symbol, known = self._admit(request, asked.symbol)
        by_last = {wire.encode_symbol(each) for each in self._env.section.bars_of_last}
        period = PERIODS[asked.period]
        chosen = BarSelection([symbol], period, *_span(asked), asked.limit, by_last)

        columns = self._columns(asked)

        def make() -> Iterator[bytes]:
            self._check_stored(symbol, known)
            history = BarHistory(self._path)
            return bars.stream(asked.format, history, chosen, self._folder, columns)

        # A disk that refuses new ticks is no reason to withhold the older ones.
        stored = self._collector.sync().addErrback(lambda failure: failure.trap(JournalError))
        name = f"{asked.symbol}-{asked.period}.{asked.format}"
        return stored.addCallback(lambda _: self._begin(make, name, bars.TYPES[asked.format]))

    def _admit(self, request: HttpRequest, name: str) -> tuple[bytes, bool]:
        """
        Return a symbol as on the wire that the client may read, and whether there came a tick of it
        to this daemon or one before.
        """
        symbol = wire_symbol(name)
        request.demand("read", TICKS, symbol.decode())
        return symbol, self._collector.last_tick(symbol) is not None

    def _check_stored(self, symbol: bytes, known: bool) -> None:
        """Check, in the thread, that there is a tick of a symbol, which may have been imported."""
        if not known and TickReader(self._path).extent(symbol) is None:
            name = wire.plain_symbol(symbol)
            raise HttpError(404, "missing", f"There is no tick of {name!r}.")

    def _begin(
        self, make: Callable[[], Iterator[bytes]], name: str, media_type: str
    ) -> "Deferred[Stream]":
        """Stream what a generator yields that is made in the thread, as a file of that name."""
        if self._running >= CONCURRENT:
            raise HttpError(503, "server", f"{CONCURRENT} downloads run; ask again later.")
        shown = f'attachment; filename="{quote(name, safe="")}"'
        self._running += 1
        return self._thread(make).addCallbacks(
            lambda pieces: Stream(
                media_type,
                ThreadedPieces(pieces, self._thread, self._ended),
                {b"Content-Disposition": shown.encode()},
            ),
            self._refused,
        )

    def _columns(self, asked: History | BarsHistory) -> Columns:
        if asked.utc is None:
            return PLAIN
        if asked.format not in ("csv", "jsonl", "json"):
            raise WireError("field", f"utc is for csv, jsonl and json, not for {asked.format}")
        if asked.utc == CONFIGURED:
            return Columns(Clocks.read(self._env.section.clock))
        try:
            # In a query a plus sign is a blank.
            return Columns(Clocks({ALL: asked.utc.replace(" ", "+")}))
        except ConfigError as error:
            raise WireError("field", str(error)) from error

    def _ticks(
        self, name: Format, reader: TickReader, chosen: Selection, columns: Columns
    ) -> Iterator[bytes]:
        stream.check_format(name)
        if name == "arrow":
            return stream.arrow_stream(reader, chosen)
        if name == "parquet":
            return stream.parquet_stream(reader, chosen, self._folder())
        return stream.text(name, reader, chosen, columns)

    def _folder(self) -> Path:
        return Path(mkdtemp(prefix=STAGING, dir=self._env.data))

    def _ended(self) -> None:
        self._running -= 1

    def _refused(self, failure: Any) -> Any:
        self._running -= 1
        return failure


def _span(asked: History | BarsHistory) -> tuple[int | None, int | None]:
    start, stop = (
        None if each is None else read_moment(each) for each in (asked.start, asked.stop)
    )
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
    downloads = Downloads(env, collector)
    return [
        Route(
            method="GET",
            path="/v1/ticks/{symbol}",
            handler=downloads.ticks,
            summary="The stored ticks of a symbol: csv, mt5, jsonl, parquet or arrow.",
            params=History,
            right="read:ticks",
            answers={200: Content("text/csv")},
            errors=(404,),
        ),
        Route(
            method="GET",
            path="/v1/bars/{symbol}",
            handler=downloads.bars,
            summary="The bars of a symbol: json, csv, mt5, jsonl, parquet or arrow.",
            params=BarsHistory,
            right="read:ticks",
            answers={200: Content("application/json")},
            errors=(404,),
        ),
    ]
