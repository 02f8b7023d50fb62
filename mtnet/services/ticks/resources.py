"""Ticks by HTTP: records in, symbols and last ticks out (`docs/http.md`)."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred

from mtnet.callbacks import noop
from mtnet.daemon.environment import Environment
from mtnet.errors import HttpError, WireError
from mtnet.net.http.route import BodyLimit, Content, HttpRequest, Route
from mtnet.net.time_slices import TimeSlicer
from mtnet.services.ticks import wire
from mtnet.services.ticks.collector import Collector
from mtnet.services.ticks.ingest import RecordReader, Sender, StreamIngest
from mtnet.services.ticks.subscriber import TICKS

MAX_BODY = 1_048_576
"""Bytes of records in one request: some 30,000 ticks."""
MAX_REFUSED = 20
"""Refused lines that an answer names; a wrong file has a million of them."""
STEP = 100
"""Lines that are taken before other connections have their turn: some 2 ms of refused ones."""


class RefusedLine(Struct):
    """A line that was not taken; the first one is 1."""

    line: int
    error: str


class Taken(Struct):
    """
    The records of one request by what became of them; those that were stored are on disk.

    Attributes:
        records: lines that should be records.
        stored: of them, that are new.
        repeats: that were here before, by the header of their batch.
        dropped: that there was no room for.
        refused: the first lines that were not taken.
    """

    records: int
    stored: int
    repeats: int
    dropped: int
    refused: list[RefusedLine]


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


class Upload:
    """
    The records of one request: takes them step by step, and counts what becomes of them.

    Args:
        now: wall time, milliseconds since the Unix epoch, UTC.
        host: of the sender.

    Raises:
        WireError: `server`; there is no room for ticks.
    """

    def __init__(
        self, reader: RecordReader, now: Callable[[], int], host: str, sender: Sender
    ) -> None:
        if not reader.collector.has_room:
            raise WireError("server", "There is no room for ticks now; send them again later")
        self._stream = StreamIngest(reader, now, host, noop, sender)
        self._reader, self._rights = reader, sender.rights
        self._everything = sender.rights.all("send", TICKS)
        self._records = self._failed = 0
        self._refused: list[RefusedLine] = []

    def take(self, lines: list[bytes]) -> Iterator[None]:
        """Take lines, some at a time; the first one has the number 1."""
        for at in range(0, len(lines), STEP):
            self._take_some(at + 1, lines[at : at + STEP])
            yield None
        self._stream.settle()

    def result(self) -> Taken:
        """
        Return what became of the records.

        Raises:
            WireError: `field`; none was taken, so it was something else.
        """
        if self._records and self._failed == self._records:
            first = self._refused[0]
            raise WireError("field", f"Line {first.line}: {first.error}")
        stream = self._stream
        stored = max(0, stream.kept - stream.repeated - stream.lost)
        dropped = max(0, self._records - self._failed - stored - stream.repeated)
        return Taken(self._records, stored, stream.repeated, dropped, self._refused)

    def _take_some(self, first: int, lines: list[bytes]) -> None:
        text = b"".join(line + b"\n" for line in lines if line)
        if self._everything and wire.split(text, self._reader.spaced) is not None:
            self._records += text.count(b"\n")
            self._stream.take(text)
            return
        for number, line in enumerate(lines, first):
            if line:
                self._take_line(number, line)

    def _take_line(self, number: int, line: bytes) -> None:
        header = line.startswith(b"@@")
        self._records += not header
        try:
            if header:
                self._stream.begin(wire.parse_header(line))
            else:
                self._check(line)
                self._stream.take(line + b"\n")
        except WireError as error:
            self._failed += not header
            self._refuse(number, error)

    def _check(self, line: bytes) -> None:
        if len(line) > wire.MAX_RECORD:
            raise WireError("tick", f"A record has at most {wire.MAX_RECORD} bytes")
        symbol, _ = wire.parse(line, self._reader.spaced, self._reader.codepage)
        if not self._rights.may("send", TICKS, symbol.decode()):
            raise WireError("denied", "There is no right to send", symbol)

    def _refuse(self, number: int, error: WireError) -> None:
        self._stream.refuse()
        if len(self._refused) < MAX_REFUSED:
            self._refused.append(RefusedLine(number, str(error)))


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
        symbol = _symbol(path.symbol)
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
    """Return the routes below `/v1/ticks`."""
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


def _symbol(name: str) -> bytes:
    try:
        return wire.encode_symbol(name)
    except WireError as error:
        raise WireError("field", str(error)) from error
