"""
Ticks that are sent in numbered batches until the server has them on its disk.

Pure. `when` is seconds of a clock that is never set.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from mtnet.client.core.events import Connected, Lost, Refused, Unreachable
from mtnet.client.core.lines import LineCodec, LineCore, log_in, reject
from mtnet.client.core.login import Login
from mtnet.client.core.prices.symbols import wire_symbol
from mtnet.errors import ClientError, WireError
from mtnet.services.ticks.wire import ABSENT, is_source, parse

BATCH_INTERVAL = 0.2
"""Seconds for which ticks are gathered into one batch."""
MAX_BATCH = 500
"""Ticks of a batch: one that does not arrive is sent again as a whole."""
WINDOW = 16
"""Batches under way: the server forgets numbers that lie more than 1,024 behind."""
FIRST_NUMBER = 2**53
"""Batches are numbered from here, less the microseconds of the Unix epoch: far below those of an
earlier sender of the same name. So the server notices the restart, and takes no batch for one of
the earlier sender."""
MAX_WAITING = 1_000_000
"""Ticks that wait for the server, about 100 MB: an hour of busy markets without a network."""
FATAL = frozenset({"login", "banned", "server"})
"""Codes of refusals that end the connection: what waits is sent again on the next one."""

_SYNCED = re.compile(rb"OK: SYNC ([0-9]{1,18})")

Number = Decimal | str | float | int | None


class Stored(Struct, frozen=True):
    """
    The server has a batch on its disk, or will not have it.

    Attributes:
        ticks: those that it has.
    """

    ticks: int


SendEvent = Stored | Connected | Lost | Refused | Unreachable
"""Events of a sender; `Connected` = there is a connection, and nothing was answered yet."""
Events = Iterable[SendEvent]


class Batch:
    """
    Ticks that are sent together.

    Attributes:
        text: its header, its records and the question whether they are stored.
        records: how many.
    """

    def __init__(self, source: bytes, number: int, lines: list[bytes]) -> None:
        self.records = len(lines)
        self.text = b"\n".join([b"@@%b %d" % (source, number), *lines, b"SYNC:"])


class SendCore(LineCore):
    """
    Sender state machine: ticks are gathered into batches, and a batch stays until it is confirmed.

    Args:
        source: its name for the server, `[A-Za-z0-9._-]{1,32}`; no two senders share one.
        epoch: seconds since the Unix epoch; a later sender of the name has a greater one.
        login: sent only over TLS or within this machine.

    Attributes:
        sent: ticks that were handed in.
        stored: those that the server has on its disk.
        refused: those that it will not have.

    Raises:
        ClientError: `source` is no name of one.
    """

    def __init__(self, source: str, epoch: float, login: Login | None) -> None:
        super().__init__()
        self._source, self._login = _checked(source), login
        self._number = FIRST_NUMBER - int(epoch * 1_000_000)
        self._lines: list[bytes] = []
        self._batches: deque[Batch] = deque()
        self._in_flight = self._confirmed = 0
        self._is_refused = self._is_denied = False
        self.sent = self.stored = self.refused = 0

    @property
    def waiting(self) -> int:
        """Ticks that the server has not confirmed."""
        return self.sent - self.stored - self.refused

    def send_record(self, record: bytes, when: float) -> None:
        """
        Take a tick as it is on the wire, `SYMBOL BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]`.

        Raises:
            ClientError: it is no tick, or `MAX_WAITING` ticks wait already.
        """
        _check_room(self.waiting)
        self._lines.append(_canonical(record))
        self.sent += 1
        if len(self._lines) >= MAX_BATCH:
            self.flush()
        elif self.due is None:
            self.due = when + BATCH_INTERVAL

    def flush(self) -> None:
        """Complete the batch, however few its ticks are."""
        self.due = None
        if self._lines:
            self._number += 1
            self._batches.append(Batch(self._source, self._number, self._lines))
            self._lines = []
            self._push()

    def begin(self, framing: LineCodec, when: float, clear_peer: str = "") -> Events:
        """Log in on a new connection, and send the waiting batches, oldest first."""
        self.connected(framing)
        self._in_flight = self._confirmed = 0
        self._is_refused = self._is_denied = False
        refused = log_in(self.session, self._login, clear_peer)
        if refused:
            return refused
        self.flush()
        self._push()
        return (Connected(),)

    def expire(self, when: float) -> Events:
        """Do what is due."""
        if self.due is not None and self.due <= when:
            self.flush()
        return ()

    def _push(self) -> None:
        """Send batches up to the window."""
        while not self.session.ending and self._in_flight < min(WINDOW, len(self._batches)):
            self.session.send(self._batches[self._in_flight].text)
            self._in_flight += 1

    def read(self, line: bytes) -> Iterator[SendEvent]:
        """Take a line."""
        found = _SYNCED.fullmatch(line)
        if found and self._in_flight:
            yield from self._synced(int(found[1]))
        elif line.startswith(b"ERR: "):
            yield self._error(line[5:].decode("utf-8", "replace"))
        elif not line.startswith(b"OK: "):
            yield reject(self.session, line, self._login)

    def unreadable(self, error: Exception) -> Events:
        """End a connection with what is no tick port."""
        return (reject(self.session, str(error).encode(), None),)

    def _synced(self, kept: int) -> Iterator[SendEvent]:
        batch = self._batches[0]
        stored, self._confirmed = min(max(0, kept - self._confirmed), batch.records), kept
        if stored < batch.records and not self._is_refused:
            # The server counted what it stored, and the rest is sent again.
            text = "The server has no room for ticks now; they will be sent again"
            self.session.end(text)
            yield Refused("server", text)
            return
        self._batches.popleft()
        self._in_flight -= 1
        if not self._in_flight:
            self._is_refused = self._is_denied
        self.stored += stored
        self.refused += batch.records - stored
        self.session.succeeded()
        self._push()
        yield Stored(stored)

    def _error(self, sentence: str) -> Refused:
        code, _, text = sentence.partition(" ")
        if code in FATAL:
            self.session.end(text)
        else:
            # The server does not name the batch, so every batch in flight counts as refused.
            # It sends this at most once a second; rights last as long as the connection.
            self._is_refused = True
            self._is_denied = self._is_denied or code == "denied"
        return Refused(code, text)


def record(symbol: str, *fields: Number) -> bytes:
    """Return a tick as it is on the wire; the numbers keep the digits that they are given with."""
    return b" ".join([wire_symbol(symbol), *map(_text, fields)])


def _checked(source: str) -> bytes:
    if not is_source(source):
        raise ClientError(f"Invalid source {source!r}: expected 1 to 32 of A-Z a-z 0-9 . _ -.")
    return source.encode()


def _check_room(waiting: int) -> None:
    if waiting >= MAX_WAITING:
        raise ClientError(f"More than {MAX_WAITING} ticks would wait for the server.")


def _canonical(record: bytes) -> bytes:
    """
    Return a tick as the server stores it.

    Raises:
        ClientError: it is none.
    """
    try:
        symbol, rest = parse(record, {})
    except WireError as error:
        raise ClientError(f"{error}.") from error
    return symbol + b" " + rest


def _text(value: Number) -> bytes:
    if value is None:
        return ABSENT
    # Nothing at all would let the next field take its place.
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.strip().encode("utf-8", "replace") or b'""'
