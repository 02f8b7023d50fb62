"""
The tick port for streams: records in, and out to whoever subscribed.

Bytes are worked off in slices, in turn with the other connections, so that a flood on one of
them delays neither the others nor signals.
"""

from collections import deque
from collections.abc import Callable, Iterator

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import WireError, quote
from mtnet.hub import Hub
from mtnet.imtnet import IListenerAware
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.gate import HTTP_METHODS, Gate, can_become, starts_with
from mtnet.net.hold import hold
from mtnet.net.outbox import Outbox
from mtnet.net.transport import Transport
from mtnet.net.turns import Turns
from mtnet.ticks import wire
from mtnet.ticks.feed import BUDGET, EVERYTHING, Conflation
from mtnet.ticks.stream import Stream

SLICE = 4_096
"""Bytes that are worked off before others have their turn: 6 ms of the worst records."""
COMPLAINT = 1.0
"""Seconds between two errors that a sender of bad records is told."""
FOREIGN = (*HTTP_METHODS, b"<<", b"\x16\x03")
"""First bytes of what does not belong here: a web page's request, a position, a ClientHello."""

Words = list[bytes]
Work = Iterator["Deferred[None] | None"]


class TicksSubscriber:
    """Tells one connection the ticks that it asked for."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._behind = Conflation()
        self._lines: list[bytes] = []
        self._size = 0

    def told(self, symbol: bytes, line: bytes, rest: bytes, when: int) -> None:
        """Take a tick; it waits when the peer is behind."""
        if self._outbox.ready and not self._behind and self._size < BUDGET:
            self._lines.append(line)
            self._size += len(line)
        else:
            self._behind.offer(symbol, rest, when)

    def flush(self) -> None:
        """Write what was taken."""
        if self._lines:
            self._outbox.write(b"".join(self._lines))
            self._lines, self._size = [], 0
        while self._behind and self._outbox.ready:
            self._outbox.write(self._behind.take(BUDGET))


@implementer(IHalfCloseableProtocol)
class TicksProtocol(Protocol):
    """One connection to the tick port."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(self, hub: Hub, gate: Gate, turns: Turns) -> None:
        self._hub, self._gate, self._turns = hub, gate, turns
        self._settings = hub.config.ticks
        self._decoder = wire.LineDecoder()
        self._chunks: deque[bytes] = deque()
        self._head: bytes | None = b""
        self._working = False
        self._finished = self._gone = self._ended = False
        self._complained = -COMPLAINT
        self._room: Deferred[None] | None = None
        self._commands: dict[str, Callable[[Words], Deferred[None] | None]] = {
            "LOGIN": self._login,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "PING": self._ping,
            "SYNC": self._sync,
        }

    def connectionMade(self) -> None:
        hold(self.transport)
        clock = self._hub.clock
        self._stream = Stream(self._hub, host_of(self.transport.getPeer()), self._complain)
        self._outbox = Outbox(self.transport, clock, BUDGET, self._drained)
        self._subscriber = TicksSubscriber(self._outbox)
        self._idle: IDelayedCall | None = clock.callLater(self._settings.idle, self._silent)
        self._stall: IDelayedCall | None = clock.callLater(self._settings.stalled, self._look)

    def dataReceived(self, data: bytes) -> None:
        if not self._ended:
            self._chunks.append(data)
            self._work()

    def readConnectionLost(self) -> None:
        """The peer has said all, and may still be waiting for answers."""
        self._finished = True
        self._work()

    def writeConnectionLost(self) -> None:
        """Never asked for."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Under TLS a clean end is told here alone. What was read before is still worked off.
        self._finished = self._finished or reason.check(ConnectionDone) is not None
        self._gone = True
        self._stop()
        self._work()

    def end(self, why: str) -> None:
        """Reset the connection, with one line in the log; what it says is not heard any more."""
        if not self._ended:
            self._ended = True
            self._stop()
            self._warn(why, "end")
            if not self._gone:
                self.transport.abortConnection()

    # What comes in

    def _work(self) -> None:
        if not self._working:
            self._working = True
            if not self._gone:
                self.transport.pauseProducing()
            self._turns.run(self._process(), self._failed)

    def _process(self) -> Work:
        while self._chunks and not self._ended:
            data = self._chunks.popleft()
            for at in range(0, len(data), SLICE):
                yield self._peer_reads()
                yield from self._take(data[at : at + SLICE])
        yield from self._close_up()
        self._working = False
        if self._chunks or self._finished or self._gone:
            return
        if not self._ended:
            self.transport.resumeProducing()

    def _failed(self, failure: Failure) -> None:
        self.log.failure("A connection to ticks failed", failure)
        self.end("is closed")

    def _take(self, data: bytes) -> Work:
        if self._ended:
            return
        if self._head is not None:
            self._head += data
            if starts_with(self._head, FOREIGN):
                self.end(f"sent what is neither tick nor command: {quote(self._head)}")
                return
            if can_become(self._head, FOREIGN):
                return
            data, self._head = self._head, None
        yield from self._lines(self._decoder.feed(data))
        if self._decoder.overlong:
            self._stream.refuse()
            self.end(f"sent a record of more than {wire.MAX_RECORD} bytes")

    def _lines(self, text: bytes) -> Work:
        for records, line in wire.sections(text):
            if records:
                self._records(records)
            if line.startswith(b"@"):
                self._header(line)
            elif line:
                yield self._command(line)

    def _records(self, text: bytes) -> None:
        self._busy()
        if "send" in self._rights():
            self._stream.take(text)
        else:
            self._hub.collector.deny(text.count(b"\n"))
            self._complain(WireError("denied", "This connection may not send ticks"))

    def _header(self, line: bytes) -> None:
        if "send" not in self._rights():
            return  # the records behind it are denied
        try:
            self._stream.begin(wire.parse_header(line))
        except WireError as error:
            self._stream.refuse()
            self._complain(error)

    def _command(self, line: bytes) -> "Deferred[None] | None":
        verb, words = wire.parse_command(line)
        command = self._commands.get(verb)
        try:
            if command is None:
                known = ", ".join(self._commands)
                raise WireError("command", f"There are {known}, not", verb.encode("latin-1"))
            return command(words)
        except WireError as error:
            self._say(f"ERR: {error.code} {error}")
        return None

    def _close_up(self) -> Work:
        """When the peer has said all, take what it did not end with a separator."""
        if self._ended:
            self._stream.cut()
        if self._ended or not (self._finished or self._gone):
            return
        rest = (self._head or b"") + self._decoder.rest
        self._head, self._decoder = None, wire.LineDecoder()
        if self._finished:
            if rest:
                yield from self._lines(self._decoder.feed(rest + b"\n"))
            if self._decoder.overlong:
                self._stream.refuse()
            self._stream.settle()
        else:
            # Behind a cut, EURUSD 1.09 may be the beginning of 1.09876.
            if rest:
                self._stream.refuse()
            self._stream.cut()
        if not self._gone and self._subscriber not in self._hub.collector.feed.subscribers:
            self._outbox.close()
            self.transport.loseConnection()

    # Commands

    def _login(self, words: Words) -> None:
        raise WireError("login", "There are no accounts here; nothing needs a login")

    def _subscribe(self, words: Words) -> None:
        self._busy()
        if "read" not in self._rights():
            raise WireError("denied", "This connection may not read ticks")
        for word in words:
            if word != EVERYTHING and wire.spell(word.decode("latin-1")) != word:
                raise WireError("symbol", "This is no symbol", word)
        feed, known = self._hub.collector.feed, self._hub.collector.symbols()
        most = self._settings.max_symbols
        if len({*words, *feed.subscribers.get(self._subscriber, ())}) > most:
            raise WireError("symbol", f"A connection may ask for {most} symbols")
        if not words:
            raise WireError("symbol", "Name symbols, or * for all")
        self._say(f"OK: SUBSCRIBED {b' '.join(words).decode()}".rstrip())
        feed.subscribe(self._subscriber, words, known)

    def _unsubscribe(self, words: Words) -> None:
        self._hub.collector.feed.unsubscribe(self._subscriber, words)
        self._say(f"OK: UNSUBSCRIBED {b' '.join(words).decode('latin-1')}".rstrip())

    def _ping(self, words: Words) -> None:
        self._say("OK: PONG")

    def _sync(self, words: Words) -> "Deferred[None]":
        kept = self._stream.kept
        return self._hub.collector.sync().addCallbacks(
            lambda _: self._say(f"OK: SYNC {kept}"),
            lambda failure: self._say(f"ERR: server {failure.getErrorMessage()}"),
        )

    # What goes out

    def _say(self, line: str) -> None:
        if not self._gone and not self._ended:
            self._outbox.write(line.encode() + b"\r\n")

    def _complain(self, error: WireError) -> None:
        when = self._hub.clock.seconds()
        if when - self._complained >= COMPLAINT:
            self._complained = when
            self._say(f"ERR: {error.code} {error}")
        self._warn(f"sent what is refused: {error}", error.code)

    def _peer_reads(self) -> "Deferred[None] | None":
        """Return what fires once the peer has read our answers; None = it has."""
        if self._outbox.ready or self._gone or self._ended:
            return None
        self._room = Deferred()
        return self._room

    def _drained(self) -> None:
        self._subscriber.flush()
        self._go_on()

    def _go_on(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    # How it ends

    def _silent(self) -> None:
        self._idle = None
        self.end(f"said nothing for {self._settings.idle:g} s")

    def _look(self) -> None:
        self._stall = self._hub.clock.callLater(self._settings.stalled, self._look)
        waited = self._hub.clock.seconds() - self._outbox.since
        if not self._outbox.ready and waited >= self._settings.stalled:
            self.end(f"took no byte for {self._settings.stalled:g} s")

    def _busy(self) -> None:
        """This connection does something: it may be silent for ever from now on."""
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _stop(self) -> None:
        self._busy()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._hub.collector.feed.unsubscribe(self._subscriber, [EVERYTHING])
        self._outbox.close()
        self._go_on()

    def _rights(self) -> frozenset[str]:
        return self._gate.rights(self.transport.getHost())

    def _warn(self, what: str, kind: str) -> None:
        peer, when = self.transport.getPeer(), self._hub.clock.seconds()
        if self._hub.log_limit.admits(host_of(peer), when, f"ticks {kind}"):
            self.log.warn("ticks: {peer} {what}", peer=show(peer), what=what)


@implementer(IProtocolFactory, IListenerAware)
class TicksFactory(Factory):
    """Builds the connections of one listener; everything that they share lies in the hub."""

    noisy = False

    def __init__(self, hub: Hub, listener: Listener, turns: Turns | None = None) -> None:
        self._hub = hub
        self._gate = Gate(hub.access, listener)
        self._turns = turns or Turns(hub.clock, hub.config.ticks.turn)

    def at(self, listener: Listener) -> "TicksFactory":
        """Return the factory for the connections of `listener`."""
        return TicksFactory(self._hub, listener, self._turns)

    def buildProtocol(self, addr: object) -> TicksProtocol:
        protocol = TicksProtocol(self._hub, self._gate, self._turns)
        protocol.factory = self
        return protocol
