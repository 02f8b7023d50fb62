"""The records of one request: taken step by step, and counted by what becomes of them."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from mtnet.callbacks import noop
from mtnet.errors import WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.ingest import RecordReader, Sender, StreamIngest

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
