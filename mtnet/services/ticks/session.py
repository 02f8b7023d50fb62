"""The records and commands of one connection to the tick port, and the ticks that it gets."""

from collections.abc import Callable, Iterator
from typing import cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from mtnet.access.accounts.cred import Password
from mtnet.daemon.environment import Environment
from mtnet.errors import JournalError, WireError
from mtnet.services.ticks import wire
from mtnet.services.ticks.connection import TickConnection
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.fanout.subscriber import ConflatingSubscriber, demand_readable
from mtnet.services.ticks.ingest import RecordReader, StreamIngest
from mtnet.services.ticks.wire import EVERYTHING

ERROR_INTERVAL = 1.0
"""Seconds between two errors that are sent to a sender of bad records."""
NOT_SYNCED = "The ticks are not on the disk yet; send SYNC: again"

Words = list[bytes]
Work = Iterator["Deferred[None] | None"]
"""Steps of work; a Deferred pauses it until it fires."""


class TickSession:
    """Carries out the lines of one connection: records, headers and commands."""

    def __init__(self, env: Environment, connection: TickConnection, reader: RecordReader) -> None:
        self._clock = env.clock
        self._collector, self._codepage = reader.collector, reader.codepage
        self._connection, self._peer = connection, connection.peer
        self._stream = StreamIngest(
            reader, env.now, connection.host, self._report_error, self._peer
        )
        self._subscriber = ConflatingSubscriber(connection.output, self._peer)
        self._error_sent = -ERROR_INTERVAL
        self._commands: dict[str, Callable[[Words], Deferred[None] | None]] = {
            "LOGIN": self._login,
            "SUBSCRIBE": self._subscribe,
            "UNSUBSCRIBE": self._unsubscribe,
            "PING": self._ping,
            "SYNC": self._sync,
        }

    @property
    def is_subscribed(self) -> bool:
        """Whether the connection gets ticks."""
        return self._subscriber in self._collector.feed.subscribers

    def carry_out(self, text: bytes) -> Work:
        """Carry out lines, each ended by LF."""
        for records, line in wire.sections(text):
            if records:
                self._records(records)
                pause = self._connection.slow_down(records.count(b"\n"))
                if pause is not None:
                    yield pause
            if line.startswith(b"@@"):
                self._header(line)
            elif line:
                yield self._command(line)

    def flush(self) -> None:
        """Send the ticks that waited for the peer."""
        self._subscriber.flush()

    def refuse(self) -> None:
        """Count a line that cannot be a record."""
        self._stream.refuse()

    def settle(self) -> None:
        """The peer has sent everything."""
        self._stream.settle()

    def cut(self) -> None:
        """The connection broke; the peer sends again what was held."""
        self._stream.cut()

    def stop(self) -> None:
        """Send no more ticks."""
        self._collector.feed.leave(self._subscriber)

    # Records

    def _records(self, text: bytes) -> None:
        if self._peer.rights.any("send", TICKS):
            self._connection.mark_active()
            self._stream.take(text)
        else:
            self._collector.count_denied(text.count(b"\n"))
            self._report_error(WireError("denied", "This connection may not send ticks"))

    def _header(self, line: bytes) -> None:
        if not self._peer.rights.any("send", TICKS):
            return  # the records behind it are denied
        try:
            self._stream.begin(wire.parse_header(line))
        except WireError as error:
            self._stream.refuse()
            self._report_error(error)

    def _report_error(self, error: WireError) -> None:
        when = self._clock.seconds()
        if when - self._error_sent >= ERROR_INTERVAL:
            self._error_sent = when
            self._send_error(error)
        self._connection.warn(f"sent what is refused: {error}", error.code)

    # Commands

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
            self._send_error(error)
        return None

    def _send_error(self, error: WireError) -> None:
        self._connection.send(f"ERR: {error.code} {error}")

    def _login(self, words: Words) -> "Deferred[None]":
        if len(words) != 2:
            raise WireError("login", "LOGIN takes a name and a password, with a blank between")
        login = self._peer.login(Password.decode(*words))
        return login.addCallbacks(self._welcome, self._login_failed)

    def _welcome(self, _: object) -> None:
        self._connection.mark_active()
        self._connection.send("OK: LOGIN")

    def _login_failed(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return  # it is gone
        failure.trap(WireError)
        error = cast(WireError, failure.value)
        self._send_error(error)
        if error.code == "banned":
            self._connection.close()

    def _subscribe(self, words: Words) -> None:
        words = self._canonical(words)
        demand_readable(self._peer.rights, words)
        self._connection.mark_active()
        feed, most = self._collector.feed, self._collector.max_symbols
        if len({*words, *feed.subscribers.get(self._subscriber, ())}) > most:
            raise WireError("symbol", f"A connection may ask for {most} symbols")
        if not words:
            raise WireError("symbol", "Name symbols, or * for all")
        self._connection.send(f"OK: SUBSCRIBED {b' '.join(words).decode()}".rstrip())
        feed.subscribe(self._subscriber, words, self._collector.symbols())

    def _canonical(self, words: Words) -> Words:
        page = self._codepage
        return [each if each == EVERYTHING else wire.canonical_symbol(each, page) for each in words]

    def _unsubscribe(self, words: Words) -> None:
        words = self._canonical(words)
        self._collector.feed.unsubscribe(self._subscriber, words)
        self._subscriber.keep(self._collector.feed.subscribers.get(self._subscriber, ()))
        self._connection.send(f"OK: UNSUBSCRIBED {b' '.join(words).decode()}".rstrip())

    def _ping(self, words: Words) -> None:
        self._connection.send("OK: PONG")

    def _sync(self, words: Words) -> "Deferred[None]":
        kept = self._stream.kept
        return self._collector.sync().addCallbacks(
            lambda _: self._synced(kept),
            lambda failure: self._connection.send(_not_synced(failure)),
        )

    def _synced(self, kept: int) -> None:
        lost = self._stream.lost
        if lost:
            self._connection.send(
                f"ERR: tick {lost} of the records were taken, and the store will not have them"
            )
        self._connection.send(f"OK: SYNC {max(0, kept - lost)}")


def _not_synced(failure: Failure) -> str:
    failure.trap(JournalError)  # names files, and is in the log
    return f"ERR: server {NOT_SYNCED}"
