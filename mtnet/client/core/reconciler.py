"""
Keeps a channel equal to what an account holds: counted after each connection and pause.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any

from mtnet.client.core.driver import earliest
from mtnet.client.core.events import Refused
from mtnet.client.core.reconciliation import (
    CONFIRM_AFTER,
    Key,
    Positions,
    Reconciliation,
    Shown,
    apply,
    count,
    key_of,
    opens,
)
from mtnet.client.core.session import Session
from mtnet.client.core.subscription import RetryingSubscription
from mtnet.errors import ClientError
from mtnet.services.signals import values
from mtnet.services.signals.wire import answers, requests
from mtnet.session import messages

RECOUNT_DELAY = CONFIRM_AFTER + 0.5
"""Seconds until the next counting; sums of floats differ."""
NOT_FLAT = (
    "The account has no position, like a terminal that has not loaded: nothing is closed without "
    "Holdings(flat=True)."
)

Refusals = Iterable[Refused]
Pending = Callable[[], Iterable[requests.Publish]]


class Reconciler:
    """
    Finds the difference between an account and its channel, which it subscribes to.

    Args:
        session: of the connections.
        positions: counts the account; it is called within `expire`.
    """

    def __init__(self, session: Session, channel: str, positions: Positions) -> None:
        self._session, self._channel, self._positions = session, channel, positions
        self._subscription = RetryingSubscription(channel)
        self._reconciliation = Reconciliation()
        self._shown: dict[Key, Shown] | None = None
        self._seq = 0
        self._snapshot: dict[Key, Shown] = {}
        self._mode: values.PauseMode | None = None
        self._recount_at: float | None = None

    @property
    def deadline(self) -> float | None:
        """When `expire` is due."""
        return earliest(self._subscription.deadline, self._recount_at)

    def begin(self) -> None:
        """Ask a new connection what the channel shows."""
        self.end()
        self._ask()

    def end(self) -> None:
        """Count no more: the connection is gone."""
        self._subscription.end()
        self._recount_at = self._shown = self._mode = None
        self._seq = 0

    def answered(self, answer: object, when: float) -> Refusals:
        """Handle a message of the server."""
        handle = _HANDLERS.get(type(answer))
        if handle is None or getattr(answer, "channel", self._channel) != self._channel:
            return ()
        return handle(self, answer, when)

    def stored(self, asked: requests.Publish, seq: int, when: float) -> None:
        """Note a stored signal; a channel that does not exist yet sends none."""
        if self._shown is None or asked.channel != self._channel:
            return
        if seq > self._seq:
            apply(self._shown, asked)
        else:  # it was stored before this connection, and others may have set it since
            self._recount_at = when

    def expire(self, when: float, pending: Pending) -> Iterator[requests.Publish | Refused]:
        """
        Do what is due; yield the signals to publish, without an id.

        Args:
            pending: returns the signals of the channel that are published and not stored, oldest
                first.
        """
        if self._subscription.due(when):
            self._ask()
        if self._recount_at is None or self._recount_at > when:
            return
        self._recount_at = None
        if self._shown is None or self._mode == "frozen":
            return  # SYNCED, or the end of the freeze, begins again
        # Before the program's callbacks, which may stop this, or fail.
        self._recount_at = when + RECOUNT_DELAY
        if (yield from self._differences(when, pending)):
            self._recount_at = None

    def _ask(self) -> None:
        self._session.send(requests.subscribe(self._channel))

    def _take_refusal(self, refusal: messages.Error, when: float) -> Refusals:
        first = self._shown is None
        if not self._subscription.refused(refusal, when):
            return ()
        if refusal.code != "channel":
            return (Refused(refusal.code, refusal.text),)
        if first:  # the first signal makes the channel
            self._shown = {}
            self._begin_counting(when)
        return ()

    def _begin_snapshot(self, _: answers.Snapshot, when: float) -> Refusals:
        self._snapshot = {}
        return ()

    def _take_position(self, position: answers.SnapshotPosition, when: float) -> Refusals:
        self._snapshot[key_of(position)] = position
        return ()

    def _take_synced(self, synced: answers.Synced, when: float) -> Refusals:
        self._subscription.granted()
        self._seq = synced.seq
        self._shown, self._snapshot = self._snapshot, {}
        self._begin_counting(when)
        return ()

    def _take_signal(self, signal: answers.Signal, when: float) -> Refusals:
        if self._shown is not None:
            self._seq = signal.seq
            apply(self._shown, signal)
        return ()

    def _take_paused(self, paused: answers.Paused, when: float) -> Refusals:
        before, self._mode = self._mode, paused.mode
        if before == "frozen" and paused.mode == "close_only":
            self._begin_counting(when)
        return ()

    def _take_resumed(self, _: answers.Resumed, when: float) -> Refusals:
        self._mode = None
        self._begin_counting(when)
        return ()

    def _take_channels(self, channels: answers.Channels, when: float) -> Refusals:
        if self._subscription.offered(channels.channels):
            self._ask()
        return ()

    def _begin_counting(self, when: float) -> None:
        self._reconciliation.begin()
        # At once, but not before what was received together: PAUSED follows right after SYNCED.
        self._recount_at = when

    def _differences(
        self, when: float, pending: Pending
    ) -> Generator[requests.Publish | Refused, None, bool]:
        """Yield the differences; return whether nothing waits for another counting."""
        try:
            counted = count(self._positions, self._channel)
            if counted is None or self._shown is None:
                return False
            expected = dict(self._shown)
            for each in pending():
                apply(expected, each)
            changes = self._reconciliation.compare(counted, expected, when)
        except ClientError as error:
            yield Refused("positions", str(error))
            return False
        for change in changes:
            if self._mode is None or not opens(change, expected.get(key_of(change))):
                yield change
        if self._reconciliation.unproven:
            yield Refused("positions", NOT_FLAT)
        return not self._reconciliation.unsure


_HANDLERS: Mapping[type, Callable[[Reconciler, Any, float], Refusals]] = {
    messages.Error: Reconciler._take_refusal,
    answers.Snapshot: Reconciler._begin_snapshot,
    answers.SnapshotPosition: Reconciler._take_position,
    answers.Synced: Reconciler._take_synced,
    answers.Signal: Reconciler._take_signal,
    answers.Paused: Reconciler._take_paused,
    answers.Resumed: Reconciler._take_resumed,
    answers.Channels: Reconciler._take_channels,
}
