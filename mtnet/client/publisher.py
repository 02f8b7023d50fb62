"""A publisher that knows of each signal whether it is on the server's disk."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
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

Key = tuple[str, str, str]


class _Signal:
    """One signal on its way."""

    def __init__(self, frame: bytes, asked: Publish) -> None:
        self.frame, self.asked = frame, asked
        self.done: Deferred[int] = Deferred()

    @property
    def key(self) -> Key:
        return self.asked.channel, self.asked.symbol, self.asked.ticket


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
        self._queues: dict[Key, deque[_Signal]] = {}
        self._sent: dict[str, _Signal] = {}
        self._connection: Connection | None = None
        self._retries: set[IDelayedCall] = set()
        self._stopped = ""
        self._service: ClientService = service(endpoint, self, clock)

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return sum(map(len, self._queues.values()))

    def startService(self) -> None:
        """Begin to connect; what is published before waits."""
        self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; what is not stored fails, and may be stored all the same."""
        self._stop("The publisher was stopped; the signal may be stored all the same.")
        return self._service.stopService()

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
        if self._stopped:
            raise ClientError(self._stopped)
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
            signal = _Signal(requests.publish(asked), asked)
        except WireError as error:
            raise ClientError(f"{error}; {symbol!r} {text!r} is refused.") from error
        if any(each.asked.id == asked.id for queue in self._queues.values() for each in queue):
            raise ClientError(f"The signal {asked.id} is on its way already.")
        queue = self._queues.setdefault(signal.key, deque())
        queue.append(signal)
        if len(queue) == 1:
            self._send(signal)
        return signal.done

    # Told by the connection

    def welcomed(self, connection: Connection, welcome: Welcome) -> None:
        """Send what is not stored."""
        self._connection = connection
        self._on_connected()
        self._sent.clear()
        for queue in list(self._queues.values()):
            self._send(queue[0])

    def told(self, answer: Answer) -> None:
        """Take what the server says."""
        if isinstance(answer, Stored):
            signal = self._sent.pop(answer.id, None)
            if signal is not None:
                self._next(signal)
                signal.done.callback(answer.seq)
        elif isinstance(answer, Refusal):
            self._refused(answer)

    def lost(self, reason: str) -> None:
        """What is not stored is sent again."""
        self._connection = None
        self._on_lost(reason)

    def _refused(self, answer: Refusal) -> None:
        if answer.code == "fenced":
            self._stop(f"A newer publisher sets {answer.channel}; this one has stopped.")
            self._on_fenced(answer.channel)
            self._service.stopService()
            return
        signal = self._sent.pop(answer.id, None)
        if signal is None:
            if answer.code == "login":
                self._stop(answer.text)
                self._service.stopService()
            return
        if answer.code == "server":  # it is certainly not stored
            self._on_trouble(answer.text)
            call = self._clock.callLater(AGAIN, lambda: self._again(call, signal))
            self._retries.add(call)
            return
        self._next(signal)
        signal.done.errback(ClientError(f"{answer.text} ({answer.code})."))

    def _again(self, call: IDelayedCall, signal: _Signal) -> None:
        self._retries.discard(call)
        if signal.asked.id not in self._sent:
            self._send(signal)

    def _next(self, signal: _Signal) -> None:
        queue = self._queues[signal.key]
        queue.popleft()
        if queue:
            self._send(queue[0])
        else:
            del self._queues[signal.key]

    def _send(self, signal: _Signal) -> None:
        if self._connection is not None:
            self._sent[signal.asked.id] = signal
            self._connection.send(signal.frame)

    def _stop(self, why: str) -> None:
        if self._stopped:
            return
        self._stopped = why
        for call in self._retries:
            call.cancel()
        queues, self._queues = self._queues, {}
        self._sent.clear()
        for queue in queues.values():
            for signal in queue:
                signal.done.errback(ClientError(why))
