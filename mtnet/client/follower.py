"""A follower that loses no signal, and takes none twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core import events
from mtnet.client.core.events import FollowerEvent
from mtnet.client.core.follower import FollowerCore
from mtnet.client.core.replica import Replica
from mtnet.client.core.session import Session
from mtnet.client.failures import warn
from mtnet.client.feedback import Acknowledging
from mtnet.client.login import Login
from mtnet.services.signals import values
from mtnet.services.signals.wire import answers


class FollowerCallbacks(Struct, frozen=True):
    """The callbacks of a `Follower`."""

    snapshot: Callable[[Sequence[answers.Entry]], object]
    signal: Callable[[answers.Signal], object]
    synced: Callable[[], object]
    blind: Callable[[str], object]
    provider: Callable[[bool, int], object]
    epoch: Callable[[str, str], object]
    unfollowed: Callable[[Sequence[answers.Entry]], object]
    paused: Callable[[values.PauseMode | None], object]
    flattened: Callable[[], object]
    notice: Callable[[str], object]
    error: Callable[[str, str], object]
    unreachable: Callable[[str], object] = warn


class Follower(Acknowledging):
    """
    Follows a channel: delivers each change once and in order, across lost connections.

    It begins with `startService()` and ends with `stopService()`. To go on after a restart of
    the program, keep `epoch`, `seq`, `h`, `kept_for` and `positions` after each change, and hand
    them in again; of a view also `max_age` and `max_slippage`.

    **A new epoch** means that the server has another journal than before: a wrong data folder, or
    a restored backup. **A history that went back** means that its journal is an older copy. In
    both cases nothing is delivered until `accept()`.

    **A callback that raises** ends the connection. Its signal, or snapshot, counts as not
    delivered, and comes again with the next connection.

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
        on_unreachable: called with a sentence when the server cannot be reached, once until it
            is reached again; further attempts follow. By default the sentence is logged.
        name: shown in the server's status.
        login: sent only over TLS or within this machine.
        epoch, seq, h, kept_for, positions: of an earlier run. Without `kept_for` a snapshot is
            fetched.
        max_age, max_slippage: of an earlier run, too: missed entries come before the server says
            them.

    Attributes:
        epoch: of the journal that is followed; None = none yet.
        seq: of the last entry that was delivered, alone or in a snapshot.
        h: 8 hex digits by which the server knows that entry again; empty = not known.
        kept_for: the channel and symbols that `positions` are complete for, as one text.
        held: whether a new epoch waits for `accept()`.
        blind: whether nothing is known of the channel.
        paused: the last mode that `on_paused` got.
        max_age, max_slippage: limits of a view for what is opened, see the properties.
        stopped: nothing is delivered, not even of bytes that were read before.

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
        on_snapshot: Callable[[Sequence[answers.Entry]], object] = noop,
        on_signal: Callable[[answers.Signal], object] = noop,
        on_synced: Callable[[], object] = noop,
        on_blind: Callable[[str], object] = noop,
        on_provider: Callable[[bool, int], object] = noop,
        on_epoch: Callable[[str, str], object] = noop,
        on_unfollowed: Callable[[Sequence[answers.Entry]], object] = noop,
        on_paused: Callable[[values.PauseMode | None], object] = noop,
        on_flattened: Callable[[], object] = noop,
        on_notice: Callable[[str], object] = noop,
        on_error: Callable[[str, str], object] = noop,
        on_unreachable: Callable[[str], object] = warn,
        name: str = "",
        login: Login | None = None,
        epoch: str | None = None,
        seq: int = 0,
        h: str = "",
        kept_for: str = "",
        positions: Iterable[answers.Entry] = (),
        max_age: float | None = None,
        max_slippage: Decimal | None = None,
    ) -> None:
        self.channel, self.name, self.login, self.stopped = channel, name, login, False
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
            on_unreachable,
        )
        replica = Replica.of(channel, symbols, epoch, seq, h, positions, kept_for)
        self._core = FollowerCore(Session(name, login), replica)
        self._core.max_age, self._core.max_slippage = max_age, max_slippage
        self._runner = Runner(endpoint, self._core, clock, self._handle, speaks_http=True)

    @property
    def epoch(self) -> str | None:
        """The journal that is followed; None = none yet."""
        return self._core.replica.copy.epoch

    @property
    def seq(self) -> int:
        """The number of the last entry that was delivered, alone or in a snapshot."""
        return self._core.replica.copy.seq

    @property
    def h(self) -> str:
        """The 8 hex digits by which the server knows that entry again; empty = not known."""
        return self._core.replica.copy.h

    @property
    def kept_for(self) -> str:
        """The channel and symbols that `positions` are complete for, as one text."""
        return self._core.replica.kept_for

    @property
    def positions(self) -> Mapping[tuple[str, str], answers.Entry]:
        """The positions: (symbol, ticket) → the entry that set it."""
        return self._core.replica.positions

    @property
    def held(self) -> bool:
        """Whether a new epoch waits for `accept()`."""
        return self._core.replica.waiting is not None

    @property
    def blind(self) -> bool:
        """Whether nothing is known of the channel."""
        return self._core.blind

    @property
    def paused(self) -> values.PauseMode | None:
        """The mode of the channel's pause; None = it accepts everything."""
        return self._core.paused

    def startService(self) -> None:
        """Begin to connect; positions that are not followed any more are returned first."""
        self.stopped = False
        self._runner.run(self._core.start())
        if not self.stopped:
            self._runner.start()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; nothing is delivered any more, not even of bytes that were read before."""
        self.stopped = True
        self._core.stop()
        return self._runner.stop()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._runner.when_connected(failAfterFailures)

    def accept(self) -> None:
        """
        Follow the new epoch, or the history that went back.

        Its positions are delivered as a snapshot. If nothing was ever stored in it, nothing is
        known, and every position stays as it is.
        """
        if not self.stopped:
            self._runner.run(self._core.accept())

    def _run(self, events: Iterable[FollowerEvent] = ()) -> None:
        self._runner.run(events)

    def _handle(self, event: FollowerEvent) -> None:
        if self.stopped:
            return
        try:
            _CALLBACKS[type(event)](self._on, event)
        except BaseException:
            if isinstance(event, UNDONE):
                self._core.undo()
            raise


UNDONE = (answers.Signal, events.State)
"""Events that come again when the program failed to handle them."""
_CALLBACKS: Mapping[type, Callable[[FollowerCallbacks, Any], object]] = {
    answers.Signal: lambda on, signal: on.signal(signal),
    events.State: lambda on, state: on.snapshot(state.positions),
    events.Synced: lambda on, _: on.synced(),
    events.Blind: lambda on, blind: on.blind(blind.reason),
    events.Provider: lambda on, provider: on.provider(provider.up, provider.since),
    events.OtherHistory: lambda on, other: on.epoch(other.old, other.new),
    events.Unfollowed: lambda on, found: on.unfollowed(found.positions),
    events.Paused: lambda on, paused: on.paused(paused.mode),
    events.Flattened: lambda on, _: on.flattened(),
    events.Notice: lambda on, notice: on.notice(notice.text),
    events.Refused: lambda on, refused: on.error(refused.code, refused.text),
    events.Unreachable: lambda on, found: on.unreachable(found.text),
    events.LeftOut: lambda on, left_out: warn(str(left_out)),
}
