"""A publisher that knows of each signal whether it is on the server's disk."""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum, auto
from secrets import token_hex

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)

from mtnet.client.dialect import Connection, Peer, service
from mtnet.client.login import Login
from mtnet.errors import ClientError, WireError
from mtnet.signals import requests
from mtnet.signals.answers import Answer, Refusal, Stored, Welcome
from mtnet.signals.fields import Kind
from mtnet.signals.requests import Publish
from mtnet.signals.wire import parse_volume

AGAIN = 1.0
"""Seconds until a signal is sent again that the server's disk refused."""
IN_FLIGHT = 100
"""Positions of one symbol whose signals may be unanswered at once: enough for any link."""

Queue = dict[str, "_Signal"]
"""The signals of one symbol that are not done, by id, oldest first."""


class _State(Enum):
    """Where a signal is; `lost` leads from SENT and RETRYING back to QUEUED."""

    QUEUED = auto()
    SENT = auto()
    RETRYING = auto()
    DONE = auto()


class _Signal:
    """One signal on its way."""

    def __init__(self, asked: Publish) -> None:
        self.asked = asked
        self.state = _State.QUEUED
        self.retry: IDelayedCall | None = None
        self.done: Deferred[int] = Deferred()

    def enter(self, state: _State) -> None:
        """Change the state; a retry that waits belongs to the state that it was made in."""
        if self.retry is not None and self.retry.active():
            self.retry.cancel()
        self.state, self.retry = state, None


class Publisher(Peer):
    """
    Publishes signals, and sends each again until the server has it on its disk.

    It begins with `startService()` and ends with `stopService()`. Of one position the next signal
    is sent when the one before it is stored, so that none overtakes another.

    Args:
        clock: the reactor.
        channel: of signals that name none.
        on_connected: is called after each connection.
        on_lost: is told why a connection ended.
        on_trouble: is told why the server's disk refuses a signal, which is sent again.
        on_fenced: is told the channel that a newer publisher has taken over; everything that
            waited fails, and nothing more is published.
        name: what the server's status calls it.
        login: who publishes; sent over TLS or within this machine alone.

    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        channel: str = "main",
        *,
        on_connected: Callable[[], object] = lambda: None,
        on_lost: Callable[[str], object] = lambda reason: None,
        on_trouble: Callable[[str], object] = lambda reason: None,
        on_fenced: Callable[[str], object] = lambda channel: None,
        name: str = "",
        login: Login | None = None,
    ) -> None:
        self._channel, self.name, self.login = channel, name, login
        self._on_connected, self._on_lost = on_connected, on_lost
        self._on_trouble, self._on_fenced = on_trouble, on_fenced
        self._clock = clock
        self._run, self._count = token_hex(8), 0
        self._queues: dict[tuple[str, str], Queue] = {}
        self._signals: Queue = {}
        self._connection: Connection | None = None
        self._why_stopped = ""
        self._service: ClientService = service(endpoint, self, clock)

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return len(self._signals)

    def startService(self) -> None:
        """Begin to connect; what is published before waits."""
        self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; what is not stored fails, and may be stored all the same."""
        return self._stop("The publisher was stopped; the signal may be stored all the same.")

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._service.whenConnected(failAfterFailures)

    def publish(
        self,
        symbol: str,
        volume: Decimal | str,
        *,
        channel: str | None = None,
        ticket: str = "",
        type: Kind = "position",
        id: str = "",
        **fields: str,
    ) -> "Deferred[int]":
        """
        Set a position, whole; fires with the seq of its entry once that is on disk.

        Args:
            volume: lots, kept exact; positive = bought, negative = sold, 0 = closed.
            ticket: of one position among several of the symbol; empty = the net position.
            id: names the signal for ever; the same id again is never applied twice. Empty = a
                new one.
            fields: `price`, `sl`, `tp`, `magic`, `comment`, `ptime` (your clock, milliseconds).

        Raises, or fails with:
            ClientError: it can be none, the server refuses it, or a newer publisher is there.
        """
        if self._why_stopped:
            raise ClientError(self._why_stopped)
        self._count += 1
        text = volume if isinstance(volume, str) else f"{volume:f}"
        try:
            asked = Publish(
                id or f"{self._run}-{self._count}",
                symbol,
                parse_volume(text),
                channel or self._channel,
                ticket,
                type,
                tuple(sorted(fields.items())),
            )
            requests.publish(asked)
        except WireError as error:
            raise ClientError(f"{error}; {symbol!r} {text!r} is refused.") from error
        if asked.id in self._signals:
            raise ClientError(f"The signal {asked.id} is on its way already.")
        signal = self._signals[asked.id] = _Signal(asked)
        queue = self._queues.setdefault((asked.channel, asked.symbol), {})
        queue[asked.id] = signal
        self._send_next(queue)
        return signal.done

    # Told by the connection

    def welcomed(self, connection: Connection, welcome: Welcome) -> None:
        """Send what is not stored."""
        self._connection = connection
        self._on_connected()
        for queue in list(self._queues.values()):
            self._send_next(queue)

    def told(self, answer: Answer) -> None:
        """Take what the server says."""
        if isinstance(answer, Stored):
            signal = self._signals.get(answer.id)
            # STORED is true whenever it comes; a signal that never left is not what it is about.
            if signal is not None and signal.state is not _State.QUEUED:
                self._finish(signal)
                signal.done.callback(answer.seq)
        elif isinstance(answer, Refusal):
            self._refused(answer)

    def lost(self, reason: str) -> None:
        """What is not stored is sent again."""
        self._connection = None
        for signal in self._signals.values():
            signal.enter(_State.QUEUED)
        if not self.stopped:
            self._on_lost(reason)

    def _refused(self, answer: Refusal) -> None:
        signal = self._signals.get(answer.id)
        if answer.code == "fenced":
            self._stop(f"A newer publisher sets {answer.channel}; this one has stopped.")
            self._on_fenced(answer.channel)
        elif signal is not None and signal.state is _State.SENT:
            self._refuse(signal, answer)
        elif not answer.id and answer.code == "login":
            self._stop(answer.text)

    def _refuse(self, signal: _Signal, answer: Refusal) -> None:
        if answer.code == "server":  # it is certainly not stored
            signal.enter(_State.RETRYING)
            signal.retry = self._clock.callLater(AGAIN, self._send, signal)
            self._on_trouble(answer.text)
            return
        self._finish(signal)
        signal.done.errback(ClientError(f"{answer.text} ({answer.code})."))

    def _finish(self, signal: _Signal) -> None:
        """Take a signal out, and send what waited for it; its Deferred is the caller's to fire."""
        signal.enter(_State.DONE)
        key = signal.asked.channel, signal.asked.symbol
        queue = self._queues[key]
        del self._signals[signal.asked.id], queue[signal.asked.id]
        if queue:
            self._send_next(queue)
        else:
            del self._queues[key]

    def _send_next(self, queue: Queue) -> None:
        """Send what waits for nothing before it; without a ticket, a signal is of all tickets."""
        before: set[str] = set()
        for signal in queue.values():
            ticket = signal.asked.ticket
            if before and not ticket:
                return
            if ticket not in before and signal.state is _State.QUEUED:
                self._send(signal)
            before.add(ticket)
            if not ticket or len(before) == IN_FLIGHT:
                return

    def _send(self, signal: _Signal) -> None:
        if self._connection is not None:
            signal.enter(_State.SENT)
            self._connection.send(requests.publish(signal.asked))

    def _stop(self, why: str) -> "Deferred[None]":
        """End, whoever wants it; a publisher that was replaced never comes back by itself."""
        self._why_stopped = self._why_stopped or why
        self.stopped = True
        if self._connection is not None:
            self._connection.send(requests.bye())
        signals, self._signals, self._queues = self._signals, {}, {}
        stopping = self._service.stopService()
        for signal in signals.values():
            signal.enter(_State.DONE)
            signal.done.errback(ClientError(why))
        return stopping
