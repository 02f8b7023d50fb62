"""
A follower that loses no signal, and takes none twice.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from mtnet.client.core.driver import earliest
from mtnet.client.core.events import (
    Blind,
    Flattened,
    FollowerEvent,
    LeftOut,
    Notice,
    OtherHistory,
    Paused,
    Provider,
    Refused,
    State,
    Synced,
    Unfollowed,
)
from mtnet.client.core.replica import Caught, Replica, SnapshotCopy
from mtnet.client.core.session import Session, SessionCore, hand_on
from mtnet.client.core.subscription import RetryingSubscription
from mtnet.errors import ClientError, WireError
from mtnet.services.signals import values
from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages

Events = Iterable[FollowerEvent]


class FollowerCore(SessionCore):
    """
    Follower state machine: delivers each change of a channel once and in order.

    The events of a call are an iterator: what they are about is the state at that moment, and what
    follows happens when the next one is asked for. Run it to its end, or disconnect.

    Args:
        session: of the connections.
        replica: of an earlier run, or an empty one.

    Attributes:
        blind: whether nothing is known of the channel.
        paused: the mode of its pause.
        max_age, max_slippage: of the last SYNCED, see `events.opening_limits`; None = no limit.
    """

    def __init__(self, session: Session, replica: Replica) -> None:
        super().__init__(session)
        self.replica = replica
        self.channel = replica.filter.channel
        self.blind = True
        self.paused: values.PauseMode | None = None
        self.max_age: float | None = None
        self.max_slippage: Decimal | None = None
        self._subscription = RetryingSubscription(self.channel)
        self._snapshot: SnapshotCopy | None = None
        self._refusal: Refused | None = None
        self._pause_unconfirmed = self._failing = False

    # Connections

    def start(self) -> Iterator[FollowerEvent]:
        """Return the positions that are not followed any more: nothing else would close them."""
        released = self.replica.release_unfollowed()
        if released:
            yield Unfollowed(released)

    def receive(self, data: bytes, when: float) -> Iterator[FollowerEvent]:
        """Take what the server has sent."""
        for answer in self.session.receive(data, when):
            handle = _HANDLERS.get(type(answer))
            if handle is not None and getattr(answer, "channel", "") in ("", self.channel):
                yield from handle(self, answer, when)

    def expire(self, when: float) -> Events:
        """Do what is due."""
        self.session.expire(when)
        if self._subscription.due(when):
            self._ask_again()
        return ()

    def lose(self, reason: str) -> Events:
        """Be blind until the next connection has caught up."""
        reason = self.session.lose(reason)
        self._subscription.end()
        return self._become_blind(reason)

    def stop(self) -> Events:
        """Ask for nothing more, and leave."""
        self._subscription.end()
        self.session.leave()
        return ()

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return earliest(self.session.deadline, self._subscription.deadline)

    # Orders

    def accept(self) -> Iterator[FollowerEvent]:
        """Follow the journal that waits, from the state that it shows."""
        if self.replica.waiting is None:
            return
        if not self.replica.continues_waiting():
            self.session.end("another history was accepted than was asked for")
        self.replica.accept()
        yield from self._show_state()
        if not self.blind:
            yield self._synced()

    def acknowledge(self, done: requests.Ack) -> None:
        """
        Report the result of an entry to the provider; lost without a connection.

        Raises:
            ClientError: a value can be none.
        """
        try:
            ack = requests.ack(done)
        except WireError as error:
            raise ClientError(f"{error}; entry {done.seq} cannot be acknowledged so.") from error
        if self.session.connected:
            self.session.send(ack)

    def undo(self) -> None:
        """Take the last signal, or state, as not delivered: it comes again."""
        self._failing = True
        self.replica.undo()
        self.session.end("the program failed")

    # Messages

    def _take_welcome(self, _: messages.Welcome, when: float) -> Events:
        self._snapshot = None
        self._subscription.end()
        self._ask(self.replica.claim())
        return ()

    def _take_refusal(self, refusal: messages.Error, when: float) -> Iterator[FollowerEvent]:
        ended = self._subscription.refused(refusal, when)
        earlier, self._refusal = self._refusal, Refused(refusal.code, refusal.text)
        if not ended or self._refusal != earlier:
            yield self._refusal
        if ended and not self.blind:
            yield from self._become_blind(refusal.text)

    def _take_signal(self, signal: answers.Signal, when: float) -> Iterator[FollowerEvent]:
        try:
            followed = self.replica.apply(signal)
        except ClientError as error:
            self.session.end(str(error))
            return
        if followed:
            yield from self._end_old_pause()
            yield signal
            self._failing = False

    def _begin_snapshot(self, head: answers.Snapshot, when: float) -> Events:
        self._snapshot = SnapshotCopy(head)
        return ()

    def _take_position(self, position: answers.SnapshotPosition, when: float) -> Events:
        if self._snapshot is not None:
            self._snapshot.add(position)
        return ()

    def _take_synced(self, synced: answers.Synced, when: float) -> Iterator[FollowerEvent]:
        try:
            caught = self._finish(synced)
        except ClientError as error:
            self.session.end(str(error))
            return
        if caught is Caught.INCOMPLETE:
            self._ask({})
            return
        self.max_age = synced.max_age
        slippage = synced.max_slippage
        self.max_slippage = None if slippage is None else Decimal(slippage)
        waiting = self.replica.waiting
        if caught is Caught.REPLACED:
            yield from self._show_state()
        elif caught is Caught.NEW_HISTORY and waiting is not None:
            yield OtherHistory(self.replica.copy.epoch or "", waiting.epoch or "")
        yield from self._become_current()

    def _finish(self, synced: answers.Synced) -> Caught:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is None:
            return self.replica.finish(synced)
        return self.replica.replace(snapshot.finish(synced), snapshot.head.diverged)

    def _take_status(self, status: answers.ProviderStatus, when: float) -> Events:
        return (Provider(status.publisher == "up", status.since),)

    def _take_paused(self, paused: answers.Paused, when: float) -> Events:
        return self._set_paused(paused.mode)

    def _take_resumed(self, _: answers.Resumed, when: float) -> Events:
        return self._set_paused(None)

    def _take_flattened(self, _: answers.Flattened, when: float) -> Events:
        return (Flattened(self.channel),)

    def _take_channels(self, channels: answers.Channels, when: float) -> Events:
        if self._subscription.offered(channels.channels):
            self._ask(self.replica.claim())
        return ()

    def _take_heartbeat(self, _: messages.Heartbeat, when: float) -> Events:
        return self._end_old_pause()

    # State

    def _ask(self, claim: dict[str, Any]) -> None:
        if self.session.connected:
            self.session.send(self.replica.filter.subscribe(claim))

    def _ask_again(self) -> None:
        if not self._subscription.denied or self.session.login is None:
            self._ask(self.replica.claim())
            return
        # A right that was granted meanwhile comes with the next login.
        self.session.succeeded()  # the subscription has waited already, ever longer
        self.session.end("the channel is denied; a new login may be granted it")

    def _show_state(self) -> Iterator[FollowerEvent]:
        copy = self.replica.copy
        if copy.seq:
            yield State(list(copy.positions.values()), copy.epoch or "", copy.seq, copy.h)
            self._failing = False

    def _synced(self) -> Synced:
        copy = self.replica.copy
        return Synced(copy.epoch or "", copy.seq, copy.h, self.max_age, self.max_slippage)

    def _become_current(self) -> Iterator[FollowerEvent]:
        self._subscription.granted()
        if not self._failing:
            self.session.succeeded()
        self._refusal = None
        self._pause_unconfirmed = self.paused is not None
        self.blind = False
        yield Blind("")
        if self.replica.waiting is None:
            yield self._synced()

    def _become_blind(self, reason: str) -> Events:
        self._snapshot = None
        self._pause_unconfirmed = False
        self.blind = True
        return (Blind(reason),)

    def _set_paused(self, mode: values.PauseMode | None) -> Events:
        changed, self.paused = mode != self.paused, mode
        self._pause_unconfirmed = False
        return (Paused(self.channel, mode),) if changed else ()

    def _end_old_pause(self) -> Events:
        # PAUSED follows SYNCED; the end of a pause during a lost connection is not announced.
        return self._set_paused(None) if self._pause_unconfirmed else ()


_HANDLERS: Mapping[type, Callable[[FollowerCore, Any, float], Events]] = {
    answers.Welcome: FollowerCore._take_welcome,
    messages.Error: FollowerCore._take_refusal,
    answers.Signal: FollowerCore._take_signal,
    answers.Snapshot: FollowerCore._begin_snapshot,
    answers.SnapshotPosition: FollowerCore._take_position,
    answers.Synced: FollowerCore._take_synced,
    answers.ProviderStatus: FollowerCore._take_status,
    answers.Paused: FollowerCore._take_paused,
    answers.Resumed: FollowerCore._take_resumed,
    answers.Flattened: FollowerCore._take_flattened,
    answers.Channels: FollowerCore._take_channels,
    answers.Heartbeat: FollowerCore._take_heartbeat,
    messages.Heartbeat: FollowerCore._take_heartbeat,
    Notice: hand_on,
    LeftOut: hand_on,
}
