"""A follower that loses no signal, and takes none twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Connection, DialectClient, dialect_service
from mtnet.client.login import Login
from mtnet.client.replica import Caught, Replica
from mtnet.client.subscription import RetryingSubscription
from mtnet.errors import ClientError, WireError
from mtnet.services.signals import values, wire
from mtnet.session import messages


class FollowerCallbacks(Struct, frozen=True):
    """The callbacks of a `Follower`."""

    snapshot: Callable[[Sequence[wire.Entry]], object]
    signal: Callable[[wire.Signal], object]
    synced: Callable[[], object]
    blind: Callable[[str], object]
    provider: Callable[[bool, int], object]
    epoch: Callable[[str, str], object]
    unfollowed: Callable[[Sequence[wire.Entry]], object]
    paused: Callable[[values.PauseMode | None], object]
    flattened: Callable[[], object]
    notice: Callable[[str], object]
    error: Callable[[str, str], object]


class Follower(DialectClient):
    """
    Follows a channel: delivers each change once and in order, across lost connections.

    It begins with `startService()` and ends with `stopService()`. To go on after a restart of
    the program, keep `epoch`, `seq`, `h`, `kept_for` and `positions` after each change, and hand
    them in again.

    **A new epoch** means that the server has another journal than before: a wrong data folder, or
    a restored backup. **A history that went back** means that its journal is an older copy. In
    both cases nothing is delivered until `accept()`.

    Args:
        clock: the reactor.
        channel: its name.
        symbols: None = all.
        on_snapshot: called with the complete state: every open position; all else is flat.
        on_signal: called with one change.
        on_synced: called when everything that was missed has been delivered.
        on_blind: called with the reason when contact with the channel is lost, and with "" when
            it is restored.
        on_provider: called with whether the channel has a publisher, and since when in
            milliseconds.
        on_epoch: called with the epoch that was followed, and that of the server; they are equal
            when its history went back.
        on_unfollowed: called by `startService()` with the positions of the earlier run that
            `symbols` or `channel` leaves out now: close them, or give them to a person. No signal
            of theirs follows.
        on_paused: called with the mode of a pause: `close_only` (closings alone) or `frozen`
            (nothing); with None when the channel accepts everything again.
        on_flattened: called when the server's operator has closed every position.
        on_notice: called with a sentence of the server for people.
        on_error: called with a code such as `channel`, and a sentence, when the server refuses
            something. A refused channel is requested again.
        name: shown in the server's status.
        login: sent only over TLS or within this machine.
        epoch, seq, h, kept_for, positions: of an earlier run. Without `kept_for` a snapshot is
            fetched.

    Attributes:
        epoch: of the journal that is followed; None = none yet.
        seq: of the last entry that was delivered, alone or in a snapshot.
        h: 8 hex digits by which the server knows that entry again; empty = not known.
        kept_for: the channel and symbols that `positions` are complete for, as one text.
        held: whether a new epoch waits for `accept()`.
        blind: whether nothing is known of the channel.
        paused: the last mode that `on_paused` got.

    Raises:
        ClientError: `channel` is none, or `symbols` are one text or more than one frame can name.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        channel: str = "main",
        *,
        symbols: Iterable[str] | None = None,
        on_snapshot: Callable[[Sequence[wire.Entry]], object] = noop,
        on_signal: Callable[[wire.Signal], object] = noop,
        on_synced: Callable[[], object] = noop,
        on_blind: Callable[[str], object] = noop,
        on_provider: Callable[[bool, int], object] = noop,
        on_epoch: Callable[[str, str], object] = noop,
        on_unfollowed: Callable[[Sequence[wire.Entry]], object] = noop,
        on_paused: Callable[[values.PauseMode | None], object] = noop,
        on_flattened: Callable[[], object] = noop,
        on_notice: Callable[[str], object] = noop,
        on_error: Callable[[str, str], object] = noop,
        name: str = "",
        login: Login | None = None,
        epoch: str | None = None,
        seq: int = 0,
        h: str = "",
        kept_for: str = "",
        positions: Iterable[wire.Entry] = (),
    ) -> None:
        if isinstance(symbols, str):
            raise ClientError(f"symbols are a list such as [{symbols!r}], not its letters.")
        self.channel, self.name, self.login = channel, name, login
        self._replica = Replica.of(channel, symbols, epoch, seq, h, positions, kept_for)
        self._on = FollowerCallbacks(
            on_snapshot,
            on_signal,
            on_synced,
            on_blind,
            on_provider,
            on_epoch,
            on_unfollowed,
            on_paused,
            on_flattened,
            on_notice,
            on_error,
        )
        self._connection: Connection | None = None
        self._subscription = RetryingSubscription(
            channel, clock, self._subscribe, None if login is None else self._login_again
        )
        self._refusal: tuple[str, str] | None = None
        self.blind = True
        self.paused: values.PauseMode | None = None
        self._pause_unconfirmed = False
        self._service: ClientService = dialect_service(endpoint, self, clock)

    @property
    def epoch(self) -> str | None:
        """The journal that is followed; None = none yet."""
        return self._replica.copy.epoch

    @property
    def seq(self) -> int:
        """The number of the last entry that was delivered, alone or in a snapshot."""
        return self._replica.copy.seq

    @property
    def h(self) -> str:
        """The 8 hex digits by which the server knows that entry again; empty = not known."""
        return self._replica.copy.h

    @property
    def kept_for(self) -> str:
        """The channel and symbols that `positions` are complete for, as one text."""
        return self._replica.kept_for

    @property
    def positions(self) -> Mapping[tuple[str, str], wire.Entry]:
        """The positions: (symbol, ticket) → the entry that set it."""
        return self._replica.positions

    @property
    def held(self) -> bool:
        """Whether a new epoch waits for `accept()`."""
        return self._replica.waiting is not None

    def startService(self) -> None:
        """Begin to connect; positions that are not followed any more are returned first."""
        self.stopped = False
        self._release_unfollowed()
        if not self.stopped:
            self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; nothing is delivered any more, not even of bytes that were read before."""
        self.stopped = True
        self._subscription.end()
        return self._service.stopService()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._service.whenConnected(failAfterFailures)

    def accept(self) -> None:
        """
        Follow the new epoch, or the history that went back.

        Its positions are delivered as a snapshot. If nothing was ever stored in it, nothing is
        known, and every position stays as it is.
        """
        if self.held and not self.stopped:
            if not self._replica.continues_waiting():
                self._disconnect("another history was accepted than was asked for")
            self._replica.accept()
            self._show_snapshot()
            if not self.blind:
                self._call(self._on.synced)

    def acknowledge(
        self,
        seq: int,
        status: values.Status | None = None,
        *,
        price: str | None = None,
        volume: Decimal | None = None,
        reason: str = "",
    ) -> None:
        """
        Report the result of an entry to the provider; lost without a connection.

        Args:
            volume: lots that are really held of its symbol now.

        Raises:
            ClientError: a value can be none.
        """
        try:
            ack = wire.ack(wire.Ack(self.channel, seq, status, price, volume, reason))
        except WireError as error:
            raise ClientError(f"{error}; entry {seq} cannot be acknowledged so.") from error
        if self._connection is not None:
            self._connection.send(ack)

    # Events of the connection

    def welcomed(self, connection: Connection, welcome: messages.Welcome) -> None:
        """Request what is missing."""
        self._connection = connection
        self._replica.drop_snapshot()
        self._subscription.begin()

    def answered(self, answer: wire.Answer) -> None:
        """Handle a message of the server."""
        handle = _HANDLERS.get(type(answer))
        if handle is not None and getattr(answer, "channel", "") in ("", self.channel):
            handle(self, answer)

    def lost(self, reason: str) -> None:
        """Be blind until the next connection has caught up."""
        self._connection = None
        self._subscription.end()
        self._become_blind(reason)

    def _subscribe(self) -> None:
        self._ask(self._replica.claim())

    def _login_again(self) -> None:
        if self._connection is not None:
            self._connection.succeeded()  # the subscription has waited already, ever longer
        self._disconnect("the channel is denied; a new login may be granted it")

    def _ask(self, claim: dict[str, Any]) -> None:
        if self._connection is not None:
            self._connection.send(self._replica.filter.subscribe(claim))

    def _take_refusal(self, refusal: messages.Error) -> None:
        ended = self._subscription.refused(refusal)
        earlier, self._refusal = self._refusal, (refusal.code, refusal.text)
        if not ended or self._refusal != earlier:
            self._call(self._on.error, refusal.code, refusal.text)
        if ended and not self.blind:
            self._become_blind(refusal.text)

    def _take_signal(self, signal: wire.Signal) -> None:
        try:
            followed = self._replica.apply(signal)
        except ClientError as error:
            self._disconnect(str(error))
            return
        if followed:
            self._end_old_pause()
            self._call(self._on.signal, signal)

    def _begin_snapshot(self, head: wire.Snapshot) -> None:
        self._replica.begin_snapshot(head)

    def _take_position(self, position: wire.SnapshotPosition) -> None:
        self._replica.add_position(position)

    def _take_synced(self, synced: wire.Synced) -> None:
        try:
            caught = self._replica.finish(synced)
        except ClientError as error:
            self._disconnect(str(error))
            return
        if caught is Caught.INCOMPLETE:
            self._ask({})
            return
        waiting = self._replica.waiting
        if caught is Caught.REPLACED:
            self._show_snapshot()
        elif caught is Caught.NEW_HISTORY and waiting is not None:
            self._call(self._on.epoch, self.epoch, waiting.epoch)
        self._become_current()

    def _take_status(self, status: wire.ProviderStatus) -> None:
        self._call(self._on.provider, status.publisher == "up", status.since)

    def _take_paused(self, paused: wire.Paused) -> None:
        self._set_paused(paused.mode)

    def _take_resumed(self, _: wire.Resumed) -> None:
        self._set_paused(None)

    def _take_flattened(self, _: wire.Flattened) -> None:
        self._call(self._on.flattened)

    def _take_notice(self, notice: wire.Notice) -> None:
        self._call(self._on.notice, notice.text)

    def _take_channels(self, channels: wire.Channels) -> None:
        self._subscription.offered(channels.channels)

    def _take_heartbeat(self, _: wire.Heartbeat) -> None:
        self._end_old_pause()

    # State

    def _show_snapshot(self) -> None:
        copy = self._replica.copy
        if copy.seq:
            self._call(self._on.snapshot, list(copy.positions.values()))

    def _release_unfollowed(self) -> None:
        """Return the positions that are not followed any more: nothing else would close them."""
        released = self._replica.release_unfollowed()
        if released:
            self._call(self._on.unfollowed, released)

    def _become_current(self) -> None:
        self._subscription.granted()
        if self._connection is not None:
            self._connection.succeeded()
        self._refusal = None
        self._pause_unconfirmed = self.paused is not None
        self.blind = False
        self._call(self._on.blind, "")
        if not self.held:
            self._call(self._on.synced)

    def _become_blind(self, reason: str) -> None:
        self._replica.drop_snapshot()
        self._pause_unconfirmed = False
        self.blind = True
        self._call(self._on.blind, reason)

    def _set_paused(self, mode: values.PauseMode | None) -> None:
        changed, self.paused = mode != self.paused, mode
        self._pause_unconfirmed = False
        if changed:
            self._call(self._on.paused, mode)

    def _end_old_pause(self) -> None:
        # PAUSED follows SYNCED; the end of a pause during a lost connection is not announced.
        if self._pause_unconfirmed:
            self._set_paused(None)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        if not self.stopped:
            callback(*arguments)

    def _disconnect(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)


_HANDLERS: Mapping[type, Callable[[Follower, Any], None]] = {
    messages.Error: Follower._take_refusal,
    wire.Signal: Follower._take_signal,
    wire.Snapshot: Follower._begin_snapshot,
    wire.SnapshotPosition: Follower._take_position,
    wire.Synced: Follower._take_synced,
    wire.ProviderStatus: Follower._take_status,
    wire.Paused: Follower._take_paused,
    wire.Resumed: Follower._take_resumed,
    wire.Flattened: Follower._take_flattened,
    wire.Notice: Follower._take_notice,
    wire.Channels: Follower._take_channels,
    wire.Heartbeat: Follower._take_heartbeat,
}
