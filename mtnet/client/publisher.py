"""A publisher that confirms each signal once it is on the server's disk."""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum, auto
from itertools import count
from secrets import token_hex

from msgspec import Struct
from msgspec.structs import replace
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IProtocol,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure

from mtnet.client.connection import Connection, DialectClient, dialect_service
from mtnet.client.login import Login
from mtnet.client.reconciler import Positions, Reconciler
from mtnet.client.subscription import RETRYABLE_CODES
from mtnet.errors import ClientError, RefusedError, WireError
from mtnet.services.signals import values, wire
from mtnet.services.signals.values import parse_volume
from mtnet.session import messages

RETRY_DELAY = 1.0
"""Seconds until a signal is sent again that the server's disk refused."""
IN_FLIGHT = 100
"""Positions of one symbol whose signals may be unanswered at once: enough for any link."""

Queue = dict[str, "_Signal"]
"""The signals of one symbol that are not done, by id, oldest first."""


class _State(Enum):
    """The state of a signal; a lost connection leads from SENT and RETRYING back to QUEUED."""

    QUEUED = auto()
    SENT = auto()
    RETRYING = auto()
    DONE = auto()


class _Signal:
    """One signal in flight."""

    def __init__(self, asked: wire.Publish) -> None:
        self.asked = asked
        self.state = _State.QUEUED
        self.retry: IDelayedCall | None = None
        self.done: Deferred[int] = Deferred()

    def enter(self, state: _State) -> None:
        """Change the state, and cancel the retry of the state before."""
        if self.retry is not None and self.retry.active():
            self.retry.cancel()
        self.state, self.retry = state, None


class PublisherCallbacks(Struct, frozen=True):
    """The callbacks of a `Publisher`."""

    connected: Callable[[], object]
    lost: Callable[[str], object]
    trouble: Callable[[str], object]
    fenced: Callable[[str], object]
    paused: Callable[[values.PauseMode | None], object]
    flattened: Callable[[], object]
    notice: Callable[[str], object]
    error: Callable[[str, str], object]


class Publisher(DialectClient):
    """
    Publishes signals, and sends each again until the server has it on its disk.

    It begins with `startService()` and ends with `stopService()`. Of one position the next signal
    is sent when the one before it is stored, so that none overtakes another.

    With `positions` it also publishes **the whole state** of its channel: after each connection,
    and when a pause of the channel ends, it counts what the account holds and publishes what the
    channel shows otherwise, closes first. A position that the account lacks is closed when two
    countings 10 s apart lack it, and an account without a position closes none unless it is
    `Holdings.flat`. Without `positions` it closes nothing by itself.

    Args:
        clock: the reactor.
        channel: of signals that name none.
        positions: returns everything that the account holds in `channel`, as it is at that
            moment: an iterable of `Position`, or `Holdings`, or None while that is not known. A
            signal is published after `positions` tells of the change.
        take: `free` takes the channel when nobody else publishes there; `1` takes it over from its
            holder, which a person decides, and only until the first signal is stored; `0`
            publishes without being the channel's publisher.
        on_connected: called after each connection.
        on_lost: called with the reason when a connection ends.
        on_trouble: called with the reason when the server's disk refuses a signal, which is sent
            again.
        on_fenced: called with the channel that another publisher holds; everything that waited
            fails, and nothing is published until the program is restarted.
        on_paused: called, on each connection, with the mode of a pause of `channel`: `close_only`
            (closings alone) or `frozen` (nothing); with None when it accepts everything again.
        on_flattened: called when the server's operator has closed every position of it.
        on_notice: called with a sentence of the server for people.
        on_error: called with a code and a sentence when something without a Deferred is refused.
        name: shown in the server's status. The server takes a publisher of the same name and
            login for the same one, and `free` takes the channel over from it.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: `take` is `0`, and `positions` would close what another publisher holds.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        channel: str = "main",
        *,
        positions: Positions | None = None,
        take: values.Take = "free",
        on_connected: Callable[[], object] = lambda: None,
        on_lost: Callable[[str], object] = lambda reason: None,
        on_trouble: Callable[[str], object] = lambda reason: None,
        on_fenced: Callable[[str], object] = lambda channel: None,
        on_paused: Callable[[values.PauseMode | None], object] = lambda mode: None,
        on_flattened: Callable[[], object] = lambda: None,
        on_notice: Callable[[str], object] = lambda text: None,
        on_error: Callable[[str, str], object] = lambda code, text: None,
        name: str = "",
        login: Login | None = None,
    ) -> None:
        if positions is not None and take == "0":
            raise ClientError(
                "A publisher with positions closes what they lack, also what another publisher "
                f"holds in {channel}: take is 'free' or '1', not '0'."
            )
        self._channel, self.name, self.login = channel, name, login
        self._on = PublisherCallbacks(
            on_connected,
            on_lost,
            on_trouble,
            on_fenced,
            on_paused,
            on_flattened,
            on_notice,
            on_error,
        )
        self._clock, self._take_over = clock, take
        self._taken: set[str] = set()
        self._reconciler = None if positions is None else self._reconcile(positions)
        self._ids = map(f"{token_hex(8)}-{{}}".format, count(1))
        self._queues: dict[tuple[str, str], Queue] = {}
        self._signals: Queue = {}
        self._connection: Connection | None = None
        self._why_stopped = ""
        self._service: ClientService = dialect_service(endpoint, self, clock)

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return len(self._signals)

    def _reconcile(self, positions: Positions) -> Reconciler:
        return Reconciler(
            self._channel,
            self._clock,
            positions,
            self._write,
            self._publish_change,
            lambda: [each.asked for each in self._signals.values() if self._is_here(each.asked)],
            lambda code, text: self._call(self._on.error, code, text),
        )

    def startService(self) -> None:
        """
        Begin to connect; signals that are published before wait.

        Raises:
            ClientError: it was stopped, or another publisher holds the channel.
        """
        if self._why_stopped:
            raise ClientError(self._why_stopped)
        self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; signals without an answer fail, although some may have been stored."""
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
        type: values.Kind = "position",
        id: str = "",
        **fields: str,
    ) -> "Deferred[int]":
        """
        Set a position, whole; fires with the seq of its entry once that is on disk.

        Args:
            volume: lots, kept exact; positive = bought, negative = sold, 0 = closed.
            ticket: of one position among several of the symbol; empty = the net position.
            id: unique in the channel; a repeated id is never applied twice. Empty = a new one.
            fields: `price`, `sl`, `tp`, `magic`, `comment`, `ptime` (your clock, milliseconds).

        Raises, or fails with:
            RefusedError: the server refuses it; see `code` and `closed`.
            ClientError: it is invalid, or another publisher holds the channel.
        """
        if self._why_stopped:
            raise ClientError(self._why_stopped)
        text = volume if isinstance(volume, str) else f"{volume:f}"
        try:
            asked = wire.Publish(
                id or next(self._ids),
                symbol,
                parse_volume(text),
                channel or self._channel,
                ticket,
                type,
                tuple(sorted(fields.items())),
            )
            wire.publish(asked)
        except WireError as error:
            raise ClientError(f"{error}; {symbol!r} {text!r} is refused.") from error
        if asked.id in self._signals:
            raise ClientError(f"The signal {asked.id} is in flight already.")
        signal = self._signals[asked.id] = _Signal(asked)
        queue = self._queues.setdefault((asked.channel, asked.symbol), {})
        queue[asked.id] = signal
        self._send_next(queue)
        return signal.done

    # Events of the connection

    def welcomed(self, connection: Connection, welcome: messages.Welcome) -> None:
        """Send what is not stored."""
        self._connection = connection
        self._on.connected()
        for queue in list(self._queues.values()):
            self._send_next(queue)
        if self._reconciler is not None and not self.stopped:
            self._reconciler.begin()

    def answered(self, answer: wire.Answer) -> None:
        """Handle a message of the server."""
        if isinstance(answer, wire.Stored):
            self._take_stored(answer)
        elif isinstance(answer, messages.Error):
            self._refused(answer)
        elif isinstance(answer, wire.Notice):
            self._on.notice(answer.text)
        elif getattr(answer, "channel", "") == self._channel:
            self._take_pause(answer)
        if self._reconciler is not None and not self.stopped:
            self._reconciler.answered(answer)

    def lost(self, reason: str) -> None:
        """Queue signals without an answer again."""
        self._connection = None
        if self._reconciler is not None:
            self._reconciler.end()
        for signal in self._signals.values():
            signal.enter(_State.QUEUED)
        self._call(self._on.lost, reason)

    def _take_pause(self, answer: wire.Answer) -> None:
        if isinstance(answer, wire.Paused):
            self._on.paused(answer.mode)
        elif isinstance(answer, wire.Resumed):
            self._on.paused(None)
        elif isinstance(answer, wire.Flattened):
            self._on.flattened()

    def _take_stored(self, answer: wire.Stored) -> None:
        signal = self._signals.get(answer.id)
        # A late STORED is still true, but it is not about a signal that was never sent.
        if signal is None or signal.state is _State.QUEUED:
            return
        if self._connection is not None:
            self._connection.succeeded()
        self._taken.add(signal.asked.channel)
        if self._reconciler is not None:
            self._reconciler.stored(signal.asked, answer.seq)
        self._finish(signal)
        signal.done.callback(answer.seq)

    def _refused(self, answer: messages.Error) -> None:
        signal = self._signals.get(answer.id)
        if answer.code == "fenced":
            self._stop(f"Another publisher holds {answer.channel}; this one has stopped.")
            self._on.fenced(answer.channel)
        elif signal is not None and signal.state is _State.SENT:
            self._refuse(signal, answer)
        elif answer.id:
            return  # it is done
        elif answer.code == "login" or (answer.code == "expired" and self._connection is None):
            self._stop(answer.text)
        elif answer.code not in RETRYABLE_CODES:  # those are about SUBSCRIBE
            self._call(self._on.error, answer.code, answer.text)

    def _refuse(self, signal: _Signal, answer: messages.Error) -> None:
        if answer.code == "server":  # it is certainly not stored
            signal.enter(_State.RETRYING)
            signal.retry = self._clock.callLater(RETRY_DELAY, self._send, signal)
            self._on.trouble(answer.text)
            return
        self._finish(signal)
        signal.done.errback(RefusedError(answer.code, answer.text, answer.closed))

    def _finish(self, signal: _Signal) -> None:
        """Remove a signal, and send the next; the caller fires its Deferred."""
        signal.enter(_State.DONE)
        key = signal.asked.channel, signal.asked.symbol
        queue = self._queues[key]
        del self._signals[signal.asked.id], queue[signal.asked.id]
        if queue:
            self._send_next(queue)
        else:
            del self._queues[key]

    def _send_next(self, queue: Queue) -> None:
        """Send the signals that need not wait; one without a ticket affects every ticket."""
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
            # A channel is taken over once: a publisher that lost it does not take it back.
            over = self._take_over == "1" and signal.asked.channel in self._taken
            take: values.Take = "free" if over else self._take_over
            self._write(wire.publish(replace(signal.asked, take=take)))

    def _publish_change(self, change: wire.Publish) -> None:
        fields = dict(change.fields)
        done = self.publish(
            change.symbol, change.volume, ticket=change.ticket, type=change.type, **fields
        )
        done.addErrback(self._report_refusal)

    def _report_refusal(self, failure: Failure) -> None:
        failure.trap(ClientError)
        if isinstance(failure.value, RefusedError):
            self._call(self._on.error, failure.value.code, str(failure.value))

    def _is_here(self, asked: wire.Publish) -> bool:
        return asked.channel == self._channel

    def _write(self, frame: bytes) -> None:
        if self._connection is not None:
            self._connection.send(frame)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        if not self.stopped:
            callback(*arguments)

    def _stop(self, why: str) -> "Deferred[None]":
        """Stop for good: a publisher that was replaced never returns by itself."""
        self._why_stopped = self._why_stopped or why
        self.stopped = True
        self._write(messages.bye())
        if self._reconciler is not None:
            self._reconciler.end()
        signals, self._signals, self._queues = self._signals, {}, {}
        stopping = self._service.stopService()
        for signal in signals.values():
            signal.enter(_State.DONE)
            signal.done.errback(ClientError(why))
        return stopping
