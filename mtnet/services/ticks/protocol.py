"""
The tick port for streams: records in, and out to whoever subscribed.

Bytes are worked off in slices, in turn with the other connections, so that a flood on one of
them delays neither the others nor signals.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocolFactory,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.access.accounts.cred import Identity, Password
from mtnet.access.bans.policy import Offence
from mtnet.access.throttle import TokenBucket
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.interfaces import IListenerAware
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.first_bytes import HTTP_METHODS, can_become, describe, starts_with
from mtnet.net.keepalive import configure_keepalive
from mtnet.net.output.buffer import OutputBuffer
from mtnet.net.peer import ListenerAccess, Peer
from mtnet.net.time_slices import TimeSlicer
from mtnet.net.transport import Transport
from mtnet.services.ticks import wire
from mtnet.services.ticks.feed import BUDGET, EVERYTHING, Conflation
from mtnet.services.ticks.ingest import StreamIngest

TICKS = "ticks"
"""What rights call the things of this service."""
SLICE = 4_096
"""Bytes that are worked off before others have their turn: 6 ms of the worst records."""
ERROR_INTERVAL = 1.0
"""Seconds between two errors that a sender of bad records is told."""
FOREIGN = (*HTTP_METHODS, b"<<", b"\x16\x03")
"""First bytes of what does not belong here: a web page's request, a position, a ClientHello."""

Words = list[bytes]
Work = Iterator["Deferred[None] | None"]


class ConflatingSubscriber:
    """Tells one connection the ticks that it asked for."""

    def __init__(self, output: OutputBuffer, peer: Peer) -> None:
        self._output, self._peer = output, peer
        self._behind = Conflation()
        self._lines: list[bytes] = []
        self._size = 0

    def on_tick(self, symbol: bytes, line: bytes, rest: bytes, when: int) -> None:
        """Take a tick; it waits when the peer is behind."""
        rights = self._peer.rights
        if not (rights.all("read", TICKS) or rights.may("read", TICKS, symbol.decode())):
            return
        if self._output.ready and not self._behind and self._size < BUDGET:
            self._lines.append(line)
            self._size += len(line)
        else:
            self._behind.offer(symbol, rest, when)

    def flush(self) -> None:
        """Write what was taken."""
        if self._lines:
            self._output.write(b"".join(self._lines))
            self._lines, self._size = [], 0
        while self._behind and self._output.ready:
            self._output.write(self._behind.take(BUDGET))


@implementer(IHalfCloseableProtocol)
class TicksProtocol(Protocol):
    """One connection to the tick port."""

    log = Logger()
    transport: Transport  # type: ignore[assignment]

    def __init__(self, env: Environment, peer: Peer, slicer: TimeSlicer) -> None:
        self._env, self._peer, self._slicer = env, peer, slicer
        self._settings = env.config.ticks
        self._budget = TokenBucket(self._settings.records, env.clock.seconds())
        self._decoder = wire.LineDecoder()
        self._chunks: deque[bytes] = deque()
        self._head: bytes | None = b""
        self._working = False
        self._finished = self._gone = self._ended = False
        self._error_sent = -ERROR_INTERVAL
        self._room: Deferred[None] | None = None
        self._commands: dict[str, Callable[[Words], Deferred[None] | None]] = {
            "LOGIN": self._login,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "PING": self._ping,
            "SYNC": self._sync,
        }

    def connectionMade(self) -> None:
        configure_keepalive(self.transport)
        clock, peer = self._env.clock, self._peer
        peer.connected(self.transport, self._evicted)
        self._stream = StreamIngest(
            self._env, host_of(self.transport.getPeer()), self._report_error, peer
        )
        self._output = OutputBuffer(self.transport, clock, BUDGET, self._drained)
        self._subscriber = ConflatingSubscriber(self._output, peer)
        self._idle_timeout = self._settings.idle
        if not (peer.rights.any("send", TICKS) or peer.rights.any("read", TICKS)):
            self._idle_timeout = self._env.config.access.login
        self._idle: IDelayedCall | None = clock.callLater(self._idle_timeout, self._timed_out)
        self._stall: IDelayedCall | None = clock.callLater(
            self._settings.stalled, self._check_stall
        )
        peer.mark_unauthenticated()  # it may have to go at once

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
        self._gone, self._finished = True, self._finished or bool(reason.check(ConnectionDone))
        self._stop()
        if self._ended or not self._finished:
            self._peer.disconnected()
        self._work()

    def end(self, why: str) -> None:
        """Reset the connection, with one line in the log; what it says is not heard any more."""
        if not self._ended:
            self._ended = True
            self._stop()
            self._warn(why, "end")
            (self._peer.disconnected if self._gone else self.transport.abortConnection)()

    # What comes in

    def _work(self) -> None:
        if not self._working:
            self._working = True
            if not self._gone:
                self.transport.pauseProducing()
            self._slicer.run(self._process(), self._failed)

    def _process(self) -> Work:
        while self._chunks and not self._ended:
            data = self._chunks.popleft()
            for at in range(0, len(data), SLICE):
                yield self._wait_for_room()
                yield from self._take(data[at : at + SLICE])
        yield from self._close_up()
        self._working = False
        if self._gone:
            self._peer.disconnected()  # not before: a login may have stood before the last records
        elif not (self._chunks or self._finished or self._ended):
            self.transport.resumeProducing()

    def _failed(self, failure: Failure) -> None:
        self.log.failure("A connection to ticks failed", failure)
        self._peer.report_abuse(Offence.ERROR, failure.value)
        self.end("is closed")
        if self._gone:
            self._peer.disconnected()

    def _take(self, data: bytes) -> Work:
        if self._ended:
            return
        if self._head is not None:
            self._head += data
            if starts_with(self._head, FOREIGN):
                self._peer.report_abuse(Offence.FRAME)
                self.end(f"sent what is neither tick nor command: {describe(self._head)}")
                return
            if can_become(self._head, FOREIGN):
                return
            data, self._head = self._head, None
        yield from self._lines(self._decoder.feed(data))
        if self._decoder.overlong:
            self._stream.refuse()
            self._peer.report_abuse(Offence.FRAME)
            self.end(f"sent a record of more than {wire.MAX_RECORD} bytes")

    def _lines(self, text: bytes) -> Work:
        for records, line in wire.sections(text):
            if records:
                self._records(records)
                pause = self._slow_down(records.count(b"\n"))
                if pause is not None:
                    yield pause
            if line.startswith(b"@@"):
                self._header(line)
            elif line:
                yield self._command(line)

    def _records(self, text: bytes) -> None:
        if self._peer.rights.any("send", TICKS):
            self._busy()
            self._stream.take(text)
        else:
            self._env.collector.count_denied(text.count(b"\n"))
            self._report_error(WireError("denied", "This connection may not send ticks"))

    def _header(self, line: bytes) -> None:
        if not self._peer.rights.any("send", TICKS):
            return  # the records behind it are denied
        try:
            self._stream.begin(wire.parse_header(line))
        except WireError as error:
            self._stream.refuse()
            self._report_error(error)

    def _slow_down(self, count: int) -> "Deferred[None] | None":
        """Return what fires once the budget of records allows more; None = it does."""
        delay = self._budget.spend(count, self._env.clock.seconds())
        return deferLater(self._env.clock, delay) if delay and not self._peer.trusted else None

    def _command(self, line: bytes) -> "Deferred[None] | None":
        try:
            if line.startswith(b"LOGIN"):
                self._peer.check_private()
            verb, words = wire.parse_command(line)
            command = self._commands.get(verb)
            if command is None:
                known = ", ".join(self._commands)
                raise WireError("command", f"There are {known}, not", verb.encode("latin-1"))
            return command(words)
        except WireError as error:
            self._send_line(f"ERR: {error.code} {error}")
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
                self._refuse(f"sent a record of more than {wire.MAX_RECORD} bytes")
            self._stream.settle()
        else:
            # Behind a cut, EURUSD 1.09 may be the beginning of 1.09876.
            if rest:
                self._refuse("is cut off within a record, which may be half a number")
            self._stream.cut()
        if not self._gone and self._subscriber not in self._env.collector.feed.subscribers:
            self._output.close()
            self.transport.loseConnection()

    def _refuse(self, why: str) -> None:
        self._stream.refuse()
        self._warn(why, "record")

    # Commands

    def _login(self, words: Words) -> "Deferred[None]":
        if len(words) != 2:
            raise WireError("login", "LOGIN takes a name and a password, with a blank between")
        login = self._peer.login(Password.decode(*words))
        return login.addCallbacks(self._welcome, self._login_failed)

    def _welcome(self, _: Identity) -> None:
        self._busy()
        self._send_line("OK: LOGIN")

    def _login_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return  # it is gone
        failure.trap(WireError)
        error = cast(WireError, failure.value)
        self._send_line(f"ERR: {error.code} {error}")
        if error.code == "banned":
            self.transport.loseConnection()

    def _subscribe(self, words: Words) -> None:
        words = self._canonical(words)
        self._check_readable(words)
        self._busy()
        feed, known = self._env.collector.feed, self._env.collector.symbols()
        most = self._settings.max_symbols
        if len({*words, *feed.subscribers.get(self._subscriber, ())}) > most:
            raise WireError("symbol", f"A connection may ask for {most} symbols")
        if not words:
            raise WireError("symbol", "Name symbols, or * for all")
        self._send_line(f"OK: SUBSCRIBED {b' '.join(words).decode()}".rstrip())
        feed.subscribe(self._subscriber, words, known)

    def _canonical(self, words: Words) -> Words:
        codepage = self._env.config.signals.codepage
        return [
            each if each == EVERYTHING else wire.canonical_symbol(each, codepage) for each in words
        ]

    def _check_readable(self, words: Words) -> None:
        rights = self._peer.rights
        if not rights.any("read", TICKS):
            raise WireError("denied", "This connection may not read ticks")
        for word in words:  # `*` is whatever may be read
            if word != EVERYTHING and not rights.may("read", TICKS, word.decode()):
                raise WireError("denied", "This connection may not read", word)

    def _unsubscribe(self, words: Words) -> None:
        words = self._canonical(words)
        self._env.collector.feed.unsubscribe(self._subscriber, words)
        self._send_line(f"OK: UNSUBSCRIBED {b' '.join(words).decode()}".rstrip())

    def _ping(self, words: Words) -> None:
        self._send_line("OK: PONG")

    def _sync(self, words: Words) -> "Deferred[None]":
        kept = self._stream.kept
        return self._env.collector.sync().addCallbacks(
            lambda _: self._synced(kept),
            lambda failure: self._send_line(f"ERR: server {failure.getErrorMessage()}"),
        )

    def _synced(self, kept: int) -> None:
        lost = self._stream.lost
        if lost:
            self._send_line(
                f"ERR: tick {lost} of the records were taken, and the store will not have them"
            )
        self._send_line(f"OK: SYNC {max(0, kept - lost)}")

    # What goes out

    def _send_line(self, line: str) -> None:
        if not self._gone and not self._ended:
            self._output.write(line.encode() + b"\r\n")

    def _report_error(self, error: WireError) -> None:
        when = self._env.clock.seconds()
        if when - self._error_sent >= ERROR_INTERVAL:
            self._error_sent = when
            self._send_line(f"ERR: {error.code} {error}")
        self._warn(f"sent what is refused: {error}", error.code)

    def _wait_for_room(self) -> "Deferred[None] | None":
        """Return what fires once the peer has read our answers; None = it has."""
        if self._output.ready or self._gone or self._ended:
            return None
        self._room = Deferred()
        return self._room

    def _drained(self) -> None:
        self._subscriber.flush()
        self._resume_input()

    def _resume_input(self) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(None)

    # How it ends

    def _timed_out(self) -> None:
        self._idle = None
        if self._peer.login_pending:  # it waits for us
            self._idle = self._env.clock.callLater(self._idle_timeout, self._timed_out)
            return
        self._peer.report_abuse(Offence.DEADLINE)
        self.end(f"said nothing that it may for {self._idle_timeout:g} s")

    def _evicted(self) -> None:
        """Go because others need the place, or because the account may do less now."""
        if not self._ended:
            self._ended = True
            self._stop()
            self.transport.abortConnection()

    def _check_stall(self) -> None:
        self._stall = self._env.clock.callLater(self._settings.stalled, self._check_stall)
        waited = self._env.clock.seconds() - self._output.since
        if not self._output.ready and waited >= self._settings.stalled:
            self.end(f"took no byte for {self._settings.stalled:g} s")

    def _busy(self) -> None:
        """This connection does what it may: it may be silent for ever from now on."""
        self._peer.mark_active()
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _stop(self) -> None:
        self._busy()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._env.collector.feed.unsubscribe(self._subscriber, [EVERYTHING])
        self._output.close()
        self._resume_input()

    def _warn(self, what: str, kind: str) -> None:
        peer, when = self.transport.getPeer(), self._env.clock.seconds()
        if self._env.log.admits(host_of(peer), when, f"ticks {kind}"):
            self.log.warn("ticks: {peer} {what}", peer=show(peer), what=what)


@implementer(IProtocolFactory, IListenerAware)
class TicksFactory(Factory):
    """Builds the connections of one listener; the environment holds what they share."""

    noisy = False

    def __init__(
        self, env: Environment, listener: Listener, slicer: TimeSlicer | None = None
    ) -> None:
        self._env = env
        self._access = ListenerAccess(env, listener)
        self._slicer = slicer or TimeSlicer(env.clock, env.config.ticks.turn)

    def at(self, listener: Listener) -> "TicksFactory":
        """Return the factory for the connections of `listener`."""
        return TicksFactory(self._env, listener, self._slicer)

    def buildProtocol(self, addr: IAddress | None) -> TicksProtocol | None:
        peer = self._access.admit(addr)
        if peer is None:
            return None
        protocol = TicksProtocol(self._env, peer, self._slicer)
        protocol.factory = self
        return protocol
