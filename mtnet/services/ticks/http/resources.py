"""Ticks by HTTP: records in, symbols and last ticks out (`docs/http.md`)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError
from mtnet.net.http.route import BodyLimit, Content, HttpRequest, Route
from mtnet.net.time_slices import TimeSlicer
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.http.history import history_routes, wire_symbol
from mtnet.services.ticks.http.upload import Taken, Upload
from mtnet.services.ticks.ingest import RecordReader

MAX_BODY = 1_048_576
"""Bytes of records in one request: some 30,000 ticks."""


class Symbols(Struct):
    """The symbols of which there are ticks."""

    symbols: list[str]


class SymbolPath(Struct):
    """The symbol in a path; `/` is `%2F`."""

    symbol: str


class LastTick(Struct, omit_defaults=True):
    """
    The last tick of a symbol; what was not sent is absent.

    Attributes:
        received: when the server took it, milliseconds since the Unix epoch, UTC.
        time: `MqlTick.time_msc`, milliseconds of the terminal's own clock.
        flags: those of MqlTick.
    """

    symbol: str
    received: int
    bid: str | None = None
    ask: str | None = None
    last: str | None = None
    volume: str | None = None
    time: int | None = None
    flags: int | None = None


class TickUploads:
    """
    Takes records, in time slices, and answers once they are on disk.

    Args:
        reader: returns what reads records; it is made at the first request.
    """

    def __init__(
        self, env: Environment, collector: Collector, reader: Callable[[], RecordReader]
    ) -> None:
        self._now, self._collector, self._reader = env.now, collector, reader
        self._slicer = TimeSlicer(env.clock, env.section.turn)

    def post(self, request: HttpRequest, body: bytes) -> "Deferred[Taken]":
        """Take the records of a body, of which LF, CRLF and NUL end each."""
        upload = Upload(self._reader(), self._now, request.peer.host, request)
        lines = body.replace(b"\0", b"\n").replace(b"\r\n", b"\n").split(b"\n")
        return self._taken(upload.take(lines)).addCallback(lambda _: upload.result())

    def _taken(self, steps: Iterator[None]) -> "Deferred[Any]":
        done: Deferred[Any] = Deferred()

        def work() -> Iterator[None]:
            yield from steps
            done.callback(None)

        self._slicer.run(work(), done.errback)
        return done.addCallback(lambda _: self._collector.sync())


class TickReading:
    """Tells symbols and last ticks."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def symbols(self, request: HttpRequest) -> Symbols:
        """Return the symbols that the client may read."""
        found: Iterable[bytes] = self._collector.symbols()
        may = request.rights.may
        names = [wire.plain_symbol(each) for each in found if may("read", TICKS, each.decode())]
        return Symbols(sorted(names))

    def last(self, request: HttpRequest, path: SymbolPath) -> LastTick:
        """Return the last tick of a symbol."""
        symbol = wire_symbol(path.symbol)
        request.demand("read", TICKS, symbol.decode())
        found = self._collector.last_tick(symbol)
        if found is None:
            raise HttpError(404, "missing", f"There is no tick of {path.symbol!r}.")
        rest, received = found
        sent = [None if each == wire.ABSENT else each.decode() for each in wire.pad(rest)]
        *prices, time, flags = sent
        numbers = [None if each is None else int(each) for each in (time, flags)]
        return LastTick(wire.plain_symbol(symbol), received, *prices, *numbers)  # type: ignore[arg-type]


def tick_routes(
    env: Environment, collector: Collector, reader: Callable[[], RecordReader]
) -> list[Route]:
    """Return the routes of ticks and bars."""
    uploads, reading = TickUploads(env, collector, reader), TickReading(collector)
    return [
        Route(
            method="POST",
            path="/v1/ticks",
            handler=uploads.post,
            summary="Take records such as `EURUSD 1.09876`, one a line, onto the disk.",
            body=Content("text/plain"),
            body_limit=BodyLimit(MAX_BODY, f"this path takes {MAX_BODY}"),
            right="send:ticks",
            answers={200: Taken},
        ),
        Route(
            method="GET",
            path="/v1/ticks",
            handler=reading.symbols,
            summary="The symbols of which there are ticks.",
            right="read:ticks",
            answers={200: Symbols},
        ),
        *history_routes(env, collector),
        Route(
            method="GET",
            path="/v1/ticks/{symbol}/last",
            handler=reading.last,
            summary="The last tick of a symbol.",
            params=SymbolPath,
            right="read:ticks",
            answers={200: LastTick},
            errors=(404,),
        ),
    ]
