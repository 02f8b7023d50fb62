"""Keeps a channel equal to what an account holds: counted after each connection and pause."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mtnet.client.failures import monotonic
from mtnet.client.reconciliation import (
    CONFIRM_AFTER,
    Holdings,
    Key,
    Position,
    Reconciliation,
    Shown,
    apply,
    key_of,
    opens,
)
from mtnet.client.subscription import RetryingSubscription
from mtnet.errors import ClientError, WireError
from mtnet.services.signals import values, wire
from mtnet.services.signals.values import parse_volume
from mtnet.session import messages
from mtnet.session.grammar import parse

Positions = Callable[[], Iterable[Position] | Holdings | None]
"""Returns everything that an account holds; None = that is not known yet."""

RECOUNT_DELAY = CONFIRM_AFTER + 0.5
"""Seconds until the next counting; sums of floats differ."""
NOT_FLAT = (
    "The account has no position, like a terminal that has not loaded: nothing is closed without "
    "Holdings(flat=True)."
)


class Reconciler:
    """
    Publishes the difference between an account and its channel, which it subscribes to.

    Args:
        send: writes a frame on the present connection, or nowhere.
        publish: takes a change.
        pending: returns signals that are published and not stored, oldest first.
        on_error: called with a code and a sentence.
    """

    log = Logger()

    def __init__(
        self,
        channel: str,
        clock: IReactorTime,
        positions: Positions,
        send: Callable[[bytes], object],
        publish: Callable[[wire.Publish], object],
        pending: Callable[[], Iterable[wire.Publish]],
        on_error: Callable[[str, str], object],
    ) -> None:
        self._channel, self._clock, self._positions = channel, clock, positions
        self._publish, self._pending, self._on_error = publish, pending, on_error
        self._subscription = RetryingSubscription(
            channel, clock, lambda: send(wire.subscribe(channel))
        )
        self._reconciliation = Reconciliation()
        self._shown: dict[Key, Shown] | None = None
        self._seq = 0
        self._snapshot: dict[Key, Shown] = {}
        self._mode: values.PauseMode | None = None
        self._recount: IDelayedCall | None = None

    def begin(self) -> None:
        """Ask a new connection what the channel shows."""
        self.end()
        self._subscription.begin()

    def end(self) -> None:
        """Count no more: the connection is gone."""
        self._subscription.end()
        self._cancel()
        self._shown = self._mode = None
        self._seq = 0

    def answered(self, answer: wire.Answer) -> None:
        """Handle a message of the server."""
        handle = _HANDLERS.get(type(answer))
        if handle is not None and getattr(answer, "channel", self._channel) == self._channel:
            handle(self, answer)

    def stored(self, asked: wire.Publish, seq: int) -> None:
        """Note a stored signal; a channel that does not exist yet sends none."""
        if self._shown is None or asked.channel != self._channel:
            return
        if seq > self._seq:
            apply(self._shown, asked)
        else:  # it was stored before this connection, and others may have set it since
            self._count_soon()

    def _take_refusal(self, refusal: messages.Error) -> None:
        first = self._shown is None
        if self._subscription.refused(refusal):
            if refusal.code != "channel":
                self._on_error(refusal.code, refusal.text)
            elif first:  # the first signal makes the channel
                self._shown = {}
                self._begin_counting()

    def _begin_snapshot(self, _: wire.Snapshot) -> None:
        self._snapshot = {}

    def _take_position(self, position: wire.SnapshotPosition) -> None:
        self._snapshot[key_of(position)] = position

    def _take_synced(self, synced: wire.Synced) -> None:
        self._subscription.granted()
        self._seq = synced.seq
        self._shown, self._snapshot = self._snapshot, {}
        self._begin_counting()

    def _take_signal(self, signal: wire.Signal) -> None:
        if self._shown is not None:
            self._seq = signal.seq
            apply(self._shown, signal)

    def _take_paused(self, paused: wire.Paused) -> None:
        before, self._mode = self._mode, paused.mode
        if before == "frozen" and paused.mode == "close_only":
            self._begin_counting()

    def _take_resumed(self, _: wire.Resumed) -> None:
        self._mode = None
        self._begin_counting()

    def _take_channels(self, channels: wire.Channels) -> None:
        self._subscription.offered(channels.channels)

    def _begin_counting(self) -> None:
        self._reconciliation.begin()
        self._count_soon()

    def _count_soon(self) -> None:
        self._cancel()
        # In a turn of its own: PAUSED follows right after SYNCED.
        self._recount = self._clock.callLater(0, self._count)

    def _count(self) -> None:
        self._cancel()
        if self._shown is None or self._mode == "frozen":
            return  # SYNCED, or the end of the freeze, begins again
        # Before the program's callbacks, which may stop this, or fail.
        self._recount = self._clock.callLater(RECOUNT_DELAY, self._count)
        if self._publish_difference():
            self._cancel()

    def _publish_difference(self) -> bool:
        """Return whether the account is known, and nothing waits for another counting."""
        try:
            found = self._held()
            if found is None or self._shown is None:
                return False
            held, account, flat = found
            expected = dict(self._shown)
            for each in self._pending():
                apply(expected, each)
            when = monotonic(self._clock)
            changes = self._reconciliation.compare(held, expected, when, account, flat)
        except ClientError as error:
            self._on_error("positions", str(error))
            return False
        for change in changes:
            if self._mode is None or not opens(change, expected.get(key_of(change))):
                self._publish(change)
        if self._reconciliation.unproven:
            self._on_error("positions", NOT_FLAT)
        return not self._reconciliation.unsure

    def _held(self) -> tuple[list[wire.Publish], str, bool] | None:
        try:
            found = self._positions()
            if found is None:
                return None
            held = found if isinstance(found, Holdings) else Holdings(found)
            return [self._normalized(each) for each in held.positions], held.account, held.flat
        except ClientError:
            raise
        except Exception as error:
            # An error of the program must not end the connection.
            self.log.failure("The positions of the account cannot be counted")
            raise ClientError(
                f"The positions of the account cannot be counted: {error!r}."
            ) from error

    def _normalized(self, position: Position) -> wire.Publish:
        """Return a position as the server would read it, so that equal ones are equal."""
        text = position.volume if isinstance(position.volume, str) else f"{position.volume:f}"
        try:
            asked = wire.Publish(
                "x",
                position.symbol,
                parse_volume(text),
                self._channel,
                position.ticket,
                position.type,
                tuple(position.fields.items()),
            )
            payload = wire.publish(asked)[2:-4]
            return cast(wire.Publish, wire.read_request(parse(payload)))
        except WireError as error:
            raise ClientError(f"{error}; {position} cannot be published.") from error

    def _cancel(self) -> None:
        if self._recount is not None and self._recount.active():
            self._recount.cancel()
        self._recount = None


_HANDLERS: Mapping[type, Callable[[Reconciler, Any], None]] = {
    messages.Error: Reconciler._take_refusal,
    wire.Snapshot: Reconciler._begin_snapshot,
    wire.SnapshotPosition: Reconciler._take_position,
    wire.Synced: Reconciler._take_synced,
    wire.Signal: Reconciler._take_signal,
    wire.Paused: Reconciler._take_paused,
    wire.Resumed: Reconciler._take_resumed,
    wire.Channels: Reconciler._take_channels,
}
