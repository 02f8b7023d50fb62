"""
A publisher that confirms each signal once it is on the server's disk.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from enum import Enum, auto
from itertools import count
from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from mtnet.client.core.driver import earliest
from mtnet.client.core.events import (
    Connected,
    Failed,
    Fenced,
    Flattened,
    LeftOut,
    Lost,
    Notice,
    Paused,
    PublisherEvent,
    Refused,
    Stopped,
    Stored,
    Trouble,
)
from mtnet.client.core.numbers import Number, plain_text
from mtnet.client.core.reconciler import Reconciler
from mtnet.client.core.reconciliation import Positions
from mtnet.client.core.session import Session, SessionCore, hand_on
from mtnet.client.core.subscription import RETRYABLE_CODES
from mtnet.errors import ClientError, RefusedError, WireError
from mtnet.services.signals import values
from mtnet.services.signals.values import parse_volume
from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages

RETRY_DELAY = 1.0
"""Seconds until a signal is sent again that the server's disk refused."""
IN_FLIGHT = 100
"""Positions of one symbol whose signals may be unanswered at once: enough for any link."""
STOPPED = "The publisher was stopped; the signal may be stored all the same."

Events = Iterable[PublisherEvent]
Queue = dict[str, "_Signal"]
"""The signals of one symbol that are not done, by id, oldest first."""


class _State(Enum):
    """The state of a signal; a lost connection leads from SENT and RETRYING back to QUEUED."""

    QUEUED = auto()
    SENT = auto()
    RETRYING = auto()


class _Signal:
    """
    One signal that is not stored.

    Attributes:
        counted: it comes from a counting of the account; nobody waits for its answer.
        retry_at: when it is sent again, in RETRYING.
    """

    def __init__(self, asked: requests.Publish, counted: bool) -> None:
        self.asked, self.counted = asked, counted
        self.state, self.retry_at = _State.QUEUED, 0.0


class PublisherCore(SessionCore):
    """
    Publisher state machine: sends each signal again until the server has it on its disk.

    The events of a call are an iterator, as of `FollowerCore`.

    Args:
        session: of the connections.
        channel: of signals that name none.
        take: whether a channel is taken over, as of `Publisher`.
        positions: returns what the account holds, to publish the whole state; None = nothing is
            closed by itself.

    Attributes:
        why_stopped: a sentence; empty = it publishes.

    Raises:
        ClientError: `take` is `0`, and `positions` would close what another publisher holds.
    """

    def __init__(
        self, session: Session, channel: str, take: values.Take, positions: Positions | None
    ) -> None:
        if positions is not None and take == "0":
            raise ClientError(
                "A publisher with positions closes what they lack, also what another publisher "
                f"holds in {channel}: take is 'free' or '1', not '0'."
            )
        super().__init__(session)
        self.channel = channel
        self.why_stopped = ""
        self._take, self._taken = take, set[str]()
        self._reconciler = None if positions is None else Reconciler(session, channel, positions)
        self._ids = map(f"{token_hex(8)}-{{}}".format, count(1))
        self._queues: dict[tuple[str, str], Queue] = {}
        self._signals: Queue = {}

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return len(self._signals)

    # Connections

    def receive(self, data: bytes, when: float) -> Iterator[PublisherEvent]:
        """Take what the server has sent."""
        for answer in self.session.receive(data, when):
            handle = _HANDLERS.get(type(answer))
            if handle is not None:
                yield from handle(self, answer, when)
            if self._reconciler is not None and not self.why_stopped:
                yield from self._reconciler.answered(answer, when)
            if self.why_stopped:
                return

    def expire(self, when: float) -> Iterator[PublisherEvent]:
        """Do what is due."""
        self.session.expire(when)
        for signal in self._signals.values():
            if signal.state is _State.RETRYING and signal.retry_at <= when:
                self._send(signal)
        if self._reconciler is not None:
            for found in self._reconciler.expire(when, self._pending):
                if self.why_stopped:
                    return
                if isinstance(found, requests.Publish):
                    self._publish(replace(found, id=next(self._ids)), counted=True)
                else:
                    yield found

    def lose(self, reason: str) -> Events:
        """Queue signals without an answer again."""
        reason = self.session.lose(reason)
        if self._reconciler is not None:
            self._reconciler.end()
        for signal in self._signals.values():
            signal.state = _State.QUEUED
        return () if self.why_stopped else (Lost(reason),)

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        retries = [
            each.retry_at for each in self._signals.values() if each.state is _State.RETRYING
        ]
        counting = None if self._reconciler is None else self._reconciler.deadline
        return earliest(self.session.deadline, counting, *retries)

    # Orders

    def publish(
        self,
        symbol: str,
        volume: Number,
        channel: str | None = None,
        ticket: str = "",
        type: values.Kind = "position",
        id: str = "",
        fields: Mapping[str, Number] | None = None,
    ) -> str:
        """
        Set a position, whole; return the id of the signal, which `Stored` and `Failed` name.

        Raises:
            ClientError: it is invalid, or another publisher holds the channel.
        """
        if self.why_stopped:
            raise ClientError(self.why_stopped)
        text = plain_text(volume)
        try:
            asked = requests.Publish(
                id or next(self._ids),
                symbol,
                parse_volume(text),
                channel or self.channel,
                ticket,
                type,
                tuple((key, plain_text(value)) for key, value in sorted((fields or {}).items())),
            )
            requests.publish(asked)
        except WireError as error:
            raise ClientError(f"{error}; {symbol!r} {text!r} is refused.") from error
        if asked.id in self._signals:
            raise ClientError(f"The signal {asked.id} is in flight already.")
        self._publish(asked)
        return asked.id

    def stop(self, why: str = STOPPED) -> Iterator[PublisherEvent]:
        """Stop for good: a publisher that was replaced never returns by itself."""
        self.why_stopped = self.why_stopped or why
        self.session.bye()
        if self._reconciler is not None:
            self._reconciler.end()
        signals, self._signals, self._queues = self._signals, {}, {}
        yield Stopped(why)
        for identity, signal in signals.items():
            if not signal.counted:
                yield Failed(identity, ClientError(why))

    # Messages

    def _take_welcome(self, _: messages.Welcome, when: float) -> Iterator[PublisherEvent]:
        yield Connected()
        for queue in list(self._queues.values()):
            self._send_next(queue)
        if self._reconciler is not None and not self.why_stopped:
            self._reconciler.begin()

    def _take_paused(self, paused: answers.Paused, when: float) -> Events:
        return (Paused(self.channel, paused.mode),) if paused.channel == self.channel else ()

    def _take_resumed(self, resumed: answers.Resumed, when: float) -> Events:
        return (Paused(self.channel, None),) if resumed.channel == self.channel else ()

    def _take_flattened(self, flattened: answers.Flattened, when: float) -> Events:
        return (Flattened(self.channel),) if flattened.channel == self.channel else ()

    def _take_stored(self, answer: answers.Stored, when: float) -> Events:
        signal = self._signals.get(answer.id)
        # A late STORED is still true, but it is not about a signal that was never sent.
        if signal is None or signal.state is _State.QUEUED:
            return ()
        self.session.succeeded()
        self._taken.add(signal.asked.channel)
        if self._reconciler is not None:
            self._reconciler.stored(signal.asked, answer.seq, when)
        self._finish(signal)
        return () if signal.counted else (Stored(answer.id, answer.seq),)

    def _take_refusal(self, answer: messages.Error, when: float) -> Iterator[PublisherEvent]:
        signal = self._signals.get(answer.id)
        if answer.code == "fenced":
            fenced = Fenced(answer.channel)
            yield from self.stop(str(fenced))
            yield fenced
        elif signal is not None and signal.state is _State.SENT:
            yield from self._refuse(signal, answer, when)
        elif answer.id:
            return  # it is done
        elif answer.code == "login" or (answer.code == "expired" and not self.session.connected):
            yield from self.stop(answer.text)
        elif answer.code not in RETRYABLE_CODES:  # those are about SUBSCRIBE
            yield Refused(answer.code, answer.text)

    def _refuse(self, signal: _Signal, answer: messages.Error, when: float) -> Events:
        if answer.code == "server":  # it is certainly not stored
            signal.state, signal.retry_at = _State.RETRYING, when + RETRY_DELAY
            return (Trouble(answer.text),)
        self._finish(signal)
        error = RefusedError(answer.code, answer.text, answer.closed)
        if signal.counted:
            return (Refused(answer.code, str(error)),)
        return (Failed(answer.id, error),)

    # The queue

    def _publish(self, asked: requests.Publish, counted: bool = False) -> None:
        signal = self._signals[asked.id] = _Signal(asked, counted)
        queue = self._queues.setdefault((asked.channel, asked.symbol), {})
        queue[asked.id] = signal
        self._send_next(queue)

    def _finish(self, signal: _Signal) -> None:
        """Remove a signal, and send the next."""
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
        if self.session.connected:
            signal.state = _State.SENT
            # A channel is taken over once: a publisher that lost it does not take it back.
            over = self._take == "1" and signal.asked.channel in self._taken
            take: values.Take = "free" if over else self._take
            self.session.send(requests.publish(replace(signal.asked, take=take)))

    def _pending(self) -> list[requests.Publish]:
        asked = [each.asked for each in self._signals.values()]
        return [each for each in asked if each.channel == self.channel]


_HANDLERS: Mapping[type, Callable[[PublisherCore, Any, float], Events]] = {
    answers.Welcome: PublisherCore._take_welcome,
    answers.Stored: PublisherCore._take_stored,
    messages.Error: PublisherCore._take_refusal,
    Notice: hand_on,
    answers.Paused: PublisherCore._take_paused,
    answers.Resumed: PublisherCore._take_resumed,
    answers.Flattened: PublisherCore._take_flattened,
    LeftOut: hand_on,
}
