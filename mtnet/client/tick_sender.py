"""Send ticks to a server, which stores each of them once."""

import re
from collections import deque
from collections.abc import Callable
from decimal import Decimal

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from mtnet.client.core.lines import MAX_LINE
from mtnet.client.core.symbols import wire_symbol
from mtnet.client.failures import why
from mtnet.client.login import Login, check_private
from mtnet.errors import ClientError, WireError, quote
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.reconnect import stay_connected
from mtnet.net.transport import Transport
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

_SYNCED = re.compile(rb"OK: SYNC ([0-9]{1,18})")

Number = Decimal | str | float | int | None


class Batch:
    """
    Ticks that are sent together.

    Attributes:
        number: SEQ of its header.
        text: its records, each ended by LF.
        records: how many.
    """

    def __init__(self, number: int, lines: list[bytes]) -> None:
        self.number, self.records = number, len(lines)
        self.text = b"".join(line + b"\n" for line in lines)


class Batcher:
    """
    Gathers ticks into numbered batches: of `MAX_BATCH`, or of those of `BATCH_INTERVAL`.

    Args:
        complete: takes each batch.
    """

    def __init__(self, clock: IReactorTime, complete: Callable[[Batch], object]) -> None:
        self._clock, self._complete = clock, complete
        self._lines: list[bytes] = []
        self._number = FIRST_NUMBER - int(clock.seconds() * 1_000_000)
        self._timer: IDelayedCall | None = None

    def add(self, line: bytes) -> None:
        """Take a tick."""
        self._lines.append(line)
        if len(self._lines) >= MAX_BATCH:
            self.flush()
        elif self._timer is None:
            self._timer = self._clock.callLater(BATCH_INTERVAL, self._due)

    def flush(self) -> None:
        """Complete the batch, however few its ticks are."""
        self.stop()
        if self._lines:
            self._number += 1
            batch, self._lines = Batch(self._number, self._lines), []
            self._complete(batch)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _due(self) -> None:
        self._timer = None
        self.flush()


class SenderCallbacks(Struct, frozen=True):
    """The callbacks of a `TickSender`."""

    connected: Callable[[], object]
    lost: Callable[[str], object]
    error: Callable[[str], object]


class TickSender:
    """
    Sends ticks in numbered batches until the server confirms that they are on its disk.

    Batches in flight when a connection breaks are sent again; the server stores each once.
    It begins with `startService()` and ends with `stopService()`.

    Args:
        source: its name for the server, `[A-Za-z0-9._-]{1,32}`; no two senders share one.
        clock: the reactor, or whatever else has its `callLater`.
        on_connected: called after each connection.
        on_lost: called with the reason when a connection ends.
        on_error: called with a code such as `denied`, and a sentence, when the server refuses;
            `port` is something else than a tick port.
        login: sent only over TLS or within this machine.

    Attributes:
        sent: ticks that were handed in.
        stored: those that the server has on its disk.
        refused: those that it will not have.
        turned_away: connections that the server closed since the last batch was stored.

    Raises:
        ClientError: `source` is no name of one.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        source: str,
        clock: IReactorTime,
        *,
        on_connected: Callable[[], object] = lambda: None,
        on_lost: Callable[[str], object] = lambda reason: None,
        on_error: Callable[[str], object] = lambda sentence: None,
        login: Login | None = None,
    ) -> None:
        _check_source(source)
        self.source, self.login = source.encode(), login
        self.on = SenderCallbacks(on_connected, on_lost, on_error)
        self._batcher = Batcher(clock, self._take)
        self._batches: deque[Batch] = deque()
        self._protocol: _SenderProtocol | None = None
        self._waiting: list[tuple[int, Deferred[None]]] = []
        self._closed = False
        self.sent = self.stored = self.refused = self.turned_away = 0
        self._service = stay_connected(
            endpoint, _SenderFactory(self), clock, lambda: self.turned_away
        )

    def startService(self) -> None:
        """Begin to connect; ticks that are handed in before wait."""
        self._service.startService()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._service.whenConnected(failAfterFailures)

    def stopService(self) -> "Deferred[None]":
        """Disconnect, whatever waits: await `synced` before, to lose nothing."""
        self._closed = True
        self._batcher.stop()
        waiting, self._waiting = self._waiting, []
        for _, done in waiting:
            done.errback(_stopped())
        return self._service.stopService()

    @property
    def waiting(self) -> int:
        """Ticks that the server has not confirmed."""
        return self.sent - self.stored - self.refused

    def send(
        self,
        symbol: str,
        bid: Number = None,
        ask: Number = None,
        last: Number = None,
        volume: Number = None,
        time: int | None = None,
        flags: int | None = None,
    ) -> None:
        """
        Hand in a tick; the numbers keep the digits that they are given with.

        Args:
            symbol: `UK 100` or, as on the wire, `UK%20100`.
            time: `MqlTick.time_msc`: milliseconds of the terminal's own clock.
            flags: those of MqlTick.

        Raises:
            ClientError: it is no tick, or `MAX_WAITING` ticks wait already.
        """
        fields = [bid, ask, last, volume, time, flags]
        self.send_record(b" ".join([wire_symbol(symbol), *map(_text, fields)]))

    def send_record(self, record: bytes) -> None:
        """
        Hand in a tick as it is on the wire, `SYMBOL BID [ASK [LAST [VOLUME [TIME [FLAGS]]]]]`.

        Raises:
            ClientError: as `send`.
        """
        if self._closed:
            raise ClientError("The sender was stopped and takes no more ticks.")
        if self.waiting >= MAX_WAITING:
            raise ClientError(f"More than {MAX_WAITING} ticks would wait for the server.")
        canonical = _canonical(record)
        self.sent += 1
        self._batcher.add(canonical)

    def synced(self) -> "Deferred[None]":
        """Return a Deferred that fires once every tick so far is stored, or refused for good."""
        self._batcher.flush()
        if not self.waiting:
            return succeed(None)
        if self._closed:
            return fail(_stopped())
        done: Deferred[None] = Deferred()
        self._waiting.append((self.sent, done))
        return done

    def _take(self, batch: Batch) -> None:
        self._batches.append(batch)
        self._push()

    def _push(self) -> None:
        if self._protocol is not None:
            self._protocol.push(self._batches)

    # Events of the connection

    def connected(self, protocol: "_SenderProtocol") -> None:
        """Send the waiting batches, oldest first."""
        self._protocol = protocol
        self.on.connected()
        self._push()

    def lost(self, reason: str) -> None:
        """Note the loss; batches in flight are sent again."""
        self._protocol = None
        self.on.lost(reason)

    def confirm(self, stored: int) -> None:
        """Let go of the oldest batch, of which so many ticks are on the server's disk."""
        batch = self._batches.popleft()
        self.turned_away = 0
        self.stored += stored
        self.refused += batch.records - stored
        done = self.stored + self.refused
        while self._waiting and self._waiting[0][0] <= done:
            self._waiting.pop(0)[1].callback(None)
        self._push()


class _SenderProtocol(LineReceiver):
    """One connection: batches go out, each is confirmed by the answer to its `SYNC:`."""

    transport: Transport  # type: ignore[assignment]
    MAX_LENGTH = MAX_LINE

    def __init__(self, sender: TickSender) -> None:
        self._sender = sender
        self._in_flight: deque[Batch] = deque()
        self._confirmed = 0
        self._refused = self._denied = False

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        login = self._sender.login
        try:
            if login is not None:
                check_private(self.transport)
                self.sendLine(login.line)
        except ClientError as error:
            self._end(f"login {error}")
            return
        self._sender.connected(self)

    def push(self, batches: "deque[Batch]") -> None:
        """Send batches up to the window."""
        while len(self._in_flight) < min(WINDOW, len(batches)):
            batch = batches[len(self._in_flight)]
            self._in_flight.append(batch)
            header = b"@@%b %d\n" % (self._sender.source, batch.number)
            self.transport.write(header + batch.text + b"SYNC:\n")

    def lineReceived(self, line: bytes) -> None:
        found = _SYNCED.fullmatch(line)
        if found and self._in_flight:
            self._synced(int(found[1]))
        elif line.startswith(b"ERR: "):
            self._error(line[5:].decode("utf-8", "replace"))
        elif not line.startswith(b"OK: "):
            self._reject_server(line)

    def lineLengthExceeded(self, line: bytes) -> None:
        """Disconnect; called by Twisted."""
        self._reject_server(line)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._sender.lost(why(reason.value))

    def _synced(self, kept: int) -> None:
        batch = self._in_flight[0]
        stored, self._confirmed = min(max(0, kept - self._confirmed), batch.records), kept
        if stored < batch.records and not self._refused:
            # The server had no room: it counted what it stored, and the rest is sent again.
            self._end("server The server has no room for ticks now; they will be sent again")
            return
        self._in_flight.popleft()
        if not self._in_flight:
            self._refused = self._denied
        self._sender.confirm(stored)

    def _error(self, sentence: str) -> None:
        code = sentence.partition(" ")[0]
        if code in ("login", "banned", "server"):
            self._sender.turned_away += 1
            self._end(sentence)
        else:
            # The server does not name the batch, so every batch in flight counts as refused.
            # It sends this at most once a second; rights last as long as the connection.
            self._refused = True
            self._denied = self._denied or code == "denied"
            self._sender.on.error(sentence)

    def _reject_server(self, line: bytes) -> None:
        # A server that echoes its input would be quoted with the password.
        quoted = quote(line) if self._sender.login is None else "not quoted"
        self._end(f"port The server is not a tick port: {quoted}")

    def _end(self, sentence: str) -> None:
        self._sender.on.error(sentence)
        self.clearLineBuffer()
        self.transport.abortConnection()


class _SenderFactory(Factory):
    noisy = False

    def __init__(self, sender: TickSender) -> None:
        self._sender = sender

    def buildProtocol(self, addr: object) -> _SenderProtocol:
        return _SenderProtocol(self._sender)


def _check_source(source: str) -> None:
    if not is_source(source):
        raise ClientError(f"Invalid source {source!r}: expected 1 to 32 of A-Z a-z 0-9 . _ -.")


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


def _stopped() -> ClientError:
    return ClientError("The sender was stopped before the server had all ticks.")


def _text(value: Number) -> bytes:
    if value is None:
        return ABSENT
    # Nothing at all would let the next field take its place.
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text.strip().encode("utf-8", "replace") or b'""'
