"""History by HTTP: stored ticks as a stream, read off the reactor as fast as the client reads."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta, Struct
from twisted.internet.defer import Deferred

from mtnet.daemon.environment import Environment, Worker
from mtnet.errors import HttpError, WireError
from mtnet.net.http.route import Content, HttpRequest, Route, Stream
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.export import stream
from mtnet.services.ticks.export.moments import read_moment
from mtnet.services.ticks.export.stream import Selection
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.storage.reader import TickReader

CONCURRENT = 4
"""Downloads at once; each waits for the pieces of the others, in one thread."""
STAGING = "download.new"
"""The beginning of the names of folders, in that of the cold store, in which files are made."""

Format = Literal["csv", "mt5", "jsonl", "parquet", "arrow"]


class History(Struct, rename={"start": "from", "stop": "to"}):
    """
    The parameters of a download: a symbol, a span and a format.

    Attributes:
        start, stop: order times, as milliseconds, a date, or a date and a time; `start` is
            included, `stop` is not.
        limit: the first so many ticks.
    """

    symbol: str
    start: str | None = None
    stop: str | None = None
    format: Format = "csv"
    limit: Annotated[int, Meta(ge=1)] | None = None


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


class TickDownloads:
    """Streams the history of a symbol."""

    def __init__(self, env: Environment, collector: Collector) -> None:
        self._env, self._collector = env, collector
        self._path = env.file("ticks.sqlite")
        self._running = 0
        for left in self._path.parent.glob(f"{env.name}/{STAGING}*"):
            rmtree(left, ignore_errors=True)  # by a daemon that was killed

    @cached_property
    def _thread(self) -> Worker:
        return self._env.worker("download", patient=True)

    def get(self, request: HttpRequest, asked: History) -> "Deferred[Stream]":
        """
        Begin a download.

        Raises:
            HttpError: 404, there is no tick of the symbol; 503, too many are downloaded at once.
            JournalError: the format needs a package that is not installed.
        """
        symbol = wire_symbol(asked.symbol)
        request.demand("read", TICKS, symbol.decode())
        if self._collector.last_tick(symbol) is None:
            raise HttpError(404, "missing", f"There is no tick of {asked.symbol!r}.")
        if self._running >= CONCURRENT:
            raise HttpError(503, "server", f"{CONCURRENT} downloads run; ask again later.")
        start, stop = (
            None if each is None else read_moment(each) for each in (asked.start, asked.stop)
        )
        chosen = Selection([symbol], start, stop, asked.limit)
        name = f"{quote(asked.symbol, safe='')}.{asked.format}"
        headers = {b"Content-Disposition": f'attachment; filename="{name}"'.encode()}
        self._running += 1
        begun = self._thread(self._pieces, asked.format, chosen)
        return begun.addCallbacks(
            lambda pieces: Stream(
                stream.TYPES[asked.format],
                ThreadedPieces(pieces, self._thread, self._ended),
                headers,
            ),
            self._refused,
        )

    def _pieces(self, name: Format, chosen: Selection) -> Iterator[bytes]:
        stream.check_format(name)
        reader = TickReader(self._path)
        if name == "arrow":
            return stream.arrow_stream(reader, chosen)
        if name == "parquet":
            folder = Path(mkdtemp(prefix=STAGING, dir=self._env.data))
            return stream.parquet_stream(reader, chosen, folder)
        return stream.text(name, reader, chosen)

    def _ended(self) -> None:
        self._running -= 1

    def _refused(self, failure: Any) -> Any:
        self._running -= 1
        return failure


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


def history_route(env: Environment, collector: Collector) -> Route:
    """Return the route of downloads."""
    return Route(
        method="GET",
        path="/v1/ticks/{symbol}",
        handler=TickDownloads(env, collector).get,
        summary="The stored ticks of a symbol: csv, mt5, jsonl, parquet or arrow.",
        params=History,
        right="read:ticks",
        answers={200: Content("text/csv")},
        errors=(404,),
    )
