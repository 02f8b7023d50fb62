"""A follower that loses no signal, and takes none twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Connection, DialectClient, dialect_service
from mtnet.client.login import Login
from mtnet.client.subscription import RetryingSubscription
from mtnet.errors import ClientError, WireError
from mtnet.services.signals import wire
from mtnet.services.signals.values import PauseMode, Status
from mtnet.services.signals.wire import (
    Answer,
    Channels,
    Entry,
    Flattened,
    Heartbeat,
    Notice,
    Paused,
    ProviderStatus,
    Resumed,
    Signal,
    Snapshot,
    SnapshotPosition,
    Synced,
)
from mtnet.session.fields import MAX_NUMBER, join_list, split_list
from mtnet.session.messages import Error, Welcome

Key = tuple[str, str]
"""Symbol and ticket; no ticket = the net position."""


class _ChannelCopy:
    """
    A copy of a channel.

    Attributes:
        epoch: of the journal that it is of; None = of none yet.
        seq, h: of the last entry that is in it; an empty `h` is not known.
    """

    def __init__(
        self, epoch: str | None, seq: int, h: str, positions: Iterable[Entry] = ()
    ) -> None:
        self.epoch, self.seq, self.h = epoch, seq, h
        self.positions: dict[Key, Entry] = {_key(each): each for each in positions}

    def apply(self, signal: Signal) -> None:
        """Take the next entry."""
        self.seq, self.h = signal.seq, signal.h
        if signal.volume:
            self.positions[_key(signal)] = signal
        else:
            self.positions.pop(_key(signal), None)

    @property
    def claim(self) -> dict[str, Any]:
        """Return what SUBSCRIBE says of it."""
        if self.epoch is None:
            return {}
        return {"epoch": self.epoch, "after": self.seq, "h": self.h or None}


class _Filter:
    """What of a channel is followed; symbols None = all."""

    def __init__(self, channel: str, symbols: Iterable[str] | None) -> None:
        self.channel = channel
        self.symbols = None if symbols is None else frozenset(symbols)

    def __str__(self) -> str:
        names = "" if self.symbols is None else f":{join_list(sorted(self.symbols))}"
        return self.channel + names

    @classmethod
    def read(cls, text: str) -> "_Filter":
        """Undo `str`."""
        channel, colon, names = text.partition(":")
        return cls(channel, split_list(names) if colon else None)

    def covers(self, other: "_Filter") -> bool:
        """Return whether all that `other` follows is followed here too."""
        if self.channel != other.channel:
            return False
        return self.symbols is None or (other.symbols is not None and other.symbols <= self.symbols)

    def has(self, entry: Entry) -> bool:
        """Return whether an entry is followed."""
        if entry.channel != self.channel:
            return False
        return self.symbols is None or entry.symbol in self.symbols


class Follower(DialectClient):
    """
    Follows a channel: hands out each change once and in order, whatever connections break.

    It begins with `startService()` and ends with `stopService()`. To go on after a restart of
    the program, keep `epoch`, `seq`, `h`, `kept_for` and `positions` after each change, and hand
    them in again.

    **A new epoch** means that the server has another journal than the one that was followed: a
    wrong data folder, or a restored backup. **A history that went back** means that its journal
    is an older copy of that one. Either way nothing is handed out from then on until `accept()`.

    Args:
        clock: the reactor.
        channel: what is followed.
        symbols: None = all.
        on_snapshot: is told the whole truth: every position that there is; all else is flat.
        on_signal: is told one change.
        on_synced: is called when all that was missed was handed out.
        on_blind: is told a reason when the server is not heard any more, and "" when it is.
        on_provider: is told whether the channel has a publisher, and since when in milliseconds.
        on_epoch: is told the epoch that was followed, and the one that the server has; both are
            the same when its history went back.
        on_unfollowed: is told, by `startService()`, which positions of the earlier run `symbols`
            or `channel` leaves out now: close them, or hand them to a person. They are told
            nothing more of.
        on_paused: is told that the channel takes closings alone (`close_only`) or nothing
            (`frozen`), and None when it takes everything again.
        on_flattened: is called when whoever runs the server has closed every position.
        on_notice: is told a sentence of the server's for people.
        on_error: is told what the server refused: a code such as `channel`, and a sentence. A
            channel that is refused is asked for again.
        name: what the server's status calls it.
        login: who asks; sent over TLS or within this machine alone.
        epoch, seq, h, kept_for, positions: of an earlier run. Without `kept_for` it is not known
            what they are complete for, and a snapshot is fetched.

    Attributes:
        epoch: of the journal that is followed; None = none yet.
        seq: of the last entry that was handed out, or belongs to what was.
        h: 8 hex digits by which the server knows that entry again; empty = not known.
        kept_for: the channel and symbols that `positions` are complete for, as one text.
        held: whether a new epoch waits for `accept()`.
        blind: whether nothing is known of the channel.
        paused: as `on_paused` was told last.

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
        on_snapshot: Callable[[Sequence[Entry]], object] = noop,
        on_signal: Callable[[Signal], object] = noop,
        on_synced: Callable[[], object] = noop,
        on_blind: Callable[[str], object] = noop,
        on_provider: Callable[[bool, int], object] = noop,
        on_epoch: Callable[[str, str], object] = noop,
        on_unfollowed: Callable[[Sequence[Entry]], object] = noop,
        on_paused: Callable[[PauseMode | None], object] = noop,
        on_flattened: Callable[[], object] = noop,
        on_notice: Callable[[str], object] = noop,
        on_error: Callable[[str, str], object] = noop,
        name: str = "",
        login: Login | None = None,
        epoch: str | None = None,
        seq: int = 0,
        h: str = "",
        kept_for: str = "",
        positions: Iterable[Entry] = (),
    ) -> None:
        if isinstance(symbols, str):
            raise ClientError(f"symbols are a list such as [{symbols!r}], not its letters.")
        self.channel, self.name, self.login = channel, name, login
        self._filter = _Filter(channel, symbols)
        _check(self._filter)
        self._on_snapshot, self._on_signal, self._on_synced = on_snapshot, on_signal, on_synced
        self._on_blind, self._on_provider = on_blind, on_provider
        self._on_epoch, self._on_unfollowed = on_epoch, on_unfollowed
        self._on_paused, self._on_flattened = on_paused, on_flattened
        self._on_notice, self._on_error = on_notice, on_error
        self._copy, self.kept_for = _ChannelCopy(epoch, seq, h, positions), kept_for
        self._waiting: _ChannelCopy | None = None
        # What the present connection continues: the copy that was claimed, or one that waits.
        self._continued = self._copy
        self._connection: Connection | None = None
        self._snapshot: tuple[Snapshot, list[Entry]] | None = None
        self._subscription = RetryingSubscription(
            channel, clock, self._subscribe, None if login is None else self._login_again
        )
        self._refusal: tuple[str, str] | None = None
        self.blind = True
        self.paused: PauseMode | None = None
        self._pause_unconfirmed = False
        self._service: ClientService = dialect_service(endpoint, self, clock)

    @property
    def epoch(self) -> str | None:
        """The journal that is followed; None = none yet."""
        return self._copy.epoch

    @property
    def seq(self) -> int:
        """The number of the last entry that was handed out, or belongs to what was."""
        return self._copy.seq

    @property
    def h(self) -> str:
        """The 8 hex digits by which the server knows that entry again; empty = not known."""
        return self._copy.h

    @property
    def positions(self) -> Mapping[Key, Entry]:
        """What was handed out: (symbol, ticket) → the entry that set it."""
        return MappingProxyType(self._copy.positions)

    @property
    def held(self) -> bool:
        """Whether a new epoch waits for `accept()`."""
        return self._waiting is not None

    def startService(self) -> None:
        """Begin to connect; what is followed no more is given back before."""
        self.stopped = False
        self._release_unfollowed()
        if not self.stopped:
            self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; nothing is handed out any more, also of what was read already."""
        self.stopped = True
        self._subscription.end()
        return self._service.stopService()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._service.whenConnected(failAfterFailures)

    def accept(self) -> None:
        """
        Follow the new epoch, or the history that went back.

        Its positions are handed out as a snapshot. Where nothing was ever stored in it, nothing
        is known: every position stays as it is.
        """
        if self._waiting is not None and not self.stopped:
            copy, self._waiting = self._waiting, None
            if self._continued is not copy:
                self._disconnect("another history was accepted than was asked for")
            self._adopt(copy)
            if not self.blind:
                self._call(self._on_synced)

    def acknowledge(
        self,
        seq: int,
        status: Status | None = None,
        *,
        price: str | None = None,
        volume: Decimal | None = None,
        reason: str = "",
    ) -> None:
        """
        Tell the provider what became of an entry; lost when there is no connection.

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

    # Told by the connection

    def welcomed(self, connection: Connection, welcome: Welcome) -> None:
        """Ask for what is missing."""
        self._connection, self._snapshot = connection, None
        self._subscription.begin()

    def answered(self, answer: Answer) -> None:
        """Take what the server says."""
        handle = _HANDLERS.get(type(answer))
        if handle is not None and getattr(answer, "channel", "") in ("", self.channel):
            handle(self, answer)

    def lost(self, reason: str) -> None:
        """Be blind until the next connection has caught up."""
        self._connection = None
        self._subscription.end()
        self._become_blind(reason)

    def _subscribe(self) -> None:
        self._continued = self._copy
        self._ask(self._copy.claim)

    def _login_again(self) -> None:
        if self._connection is not None:
            self._connection.succeeded()  # the subscription has waited already, ever longer
        self._disconnect("the channel is denied; a new login may be granted it")

    def _ask(self, claim: dict[str, Any]) -> None:
        if self._connection is not None:
            frame = wire.subscribe(self.channel, self._filter.symbols, **claim)
            self._connection.send(frame)

    def _take_refusal(self, refusal: Error) -> None:
        ended = self._subscription.refused(refusal)
        told, self._refusal = self._refusal, (refusal.code, refusal.text)
        if not ended or self._refusal != told:
            self._call(self._on_error, refusal.code, refusal.text)
        if ended and not self.blind:
            self._become_blind(refusal.text)

    def _take_signal(self, signal: Signal) -> None:
        copy = self._continued
        if signal.seq <= copy.seq:
            return
        before = signal.seq - 1 if signal.prev is None else signal.prev
        if before != copy.seq or copy.epoch is None:
            self._disconnect(f"entry {signal.seq} came behind {copy.seq}")
            return
        copy.apply(signal)
        if copy is self._copy:
            self._waiting = None  # it is the journal that was followed, after all
            self._end_old_pause()
            self._call(self._on_signal, signal)

    def _begin_snapshot(self, head: Snapshot) -> None:
        self._snapshot = head, []

    def _take_position(self, position: SnapshotPosition) -> None:
        if self._snapshot is not None:
            self._snapshot[1].append(position)

    def _take_synced(self, synced: Synced) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            head, found = snapshot
            if len(found) != head.count:
                self._disconnect(f"a snapshot of {head.count} had {len(found)}")
                return
            h = synced.h if synced.seq == head.seq else ""
            self._take_snapshot(head, _ChannelCopy(head.epoch, head.seq, h, found))
        elif not self._ends_replay(synced):
            self._disconnect(
                f"entry {synced.seq} of the journal {synced.epoch} was to be the last that was "
                f"missed, and {self.seq} of {self.epoch} came"
            )
            return
        else:
            self._waiting = None
            self._copy.seq, self._copy.h = synced.seq, synced.h
            if self._incomplete:
                self._ask({})
                return
        self._become_current()

    def _take_snapshot(self, head: Snapshot, copy: _ChannelCopy) -> None:
        went_back = head.diverged or head.seq < self.seq
        if self.epoch is None or (head.epoch == self.epoch and not went_back):
            self._waiting = None
            self._adopt(copy)
            return
        known = self._waiting is not None and self._waiting.epoch == head.epoch
        self._waiting = self._continued = copy
        if not known:
            self._call(self._on_epoch, self.epoch, head.epoch)

    def _take_status(self, status: ProviderStatus) -> None:
        self._call(self._on_provider, status.publisher == "up", status.since)

    def _take_paused(self, paused: Paused) -> None:
        self._set_paused(paused.mode)

    def _take_resumed(self, _: Resumed) -> None:
        self._set_paused(None)

    def _take_flattened(self, _: Flattened) -> None:
        self._call(self._on_flattened)

    def _take_notice(self, notice: Notice) -> None:
        self._call(self._on_notice, notice.text)

    def _take_channels(self, channels: Channels) -> None:
        self._subscription.offered(channels.channels)

    def _take_heartbeat(self, _: Heartbeat) -> None:
        self._end_old_pause()

    # What follows from it

    def _ends_replay(self, synced: Synced) -> bool:
        """Return whether nothing is missing before SYNCED; a filter leaves out what it may."""
        if synced.epoch != self.epoch or synced.seq < self.seq:
            return False
        return synced.seq == self.seq or self._filter.symbols is not None

    @property
    def _incomplete(self) -> bool:
        """Whether some of what is followed was not followed when the copy was made."""
        return self.epoch is not None and not _Filter.read(self.kept_for).covers(self._filter)

    def _adopt(self, copy: _ChannelCopy) -> None:
        if copy.seq == 0:  # nothing is known, and nothing must change
            copy.positions = self._copy.positions
        self._copy = self._continued = copy
        self.kept_for = str(self._filter)
        if copy.seq:
            self._call(self._on_snapshot, list(copy.positions.values()))

    def _release_unfollowed(self) -> None:
        """Part from the positions that are followed no more: nobody else would close them."""
        before, positions = _Filter.read(self.kept_for), self._copy.positions
        if self.kept_for and before.channel != self.channel:
            given, self._copy = list(positions.values()), _ChannelCopy(None, 0, "")
        else:
            given = [each for each in positions.values() if not self._filter.has(each)]
            for each in given:
                del positions[_key(each)]
        # What was given back is not followed again without a snapshot.
        self.kept_for = str(self._filter) if before.covers(self._filter) else ""
        if given:
            self._call(self._on_unfollowed, given)

    def _become_current(self) -> None:
        self._subscription.granted()
        if self._connection is not None:
            self._connection.succeeded()
        self._refusal = None
        self._pause_unconfirmed = self.paused is not None
        self.blind = False
        self._call(self._on_blind, "")
        if not self.held:
            self._call(self._on_synced)

    def _become_blind(self, reason: str) -> None:
        self._snapshot = None
        self._pause_unconfirmed = False
        self.blind = True
        self._call(self._on_blind, reason)

    def _set_paused(self, mode: PauseMode | None) -> None:
        changed, self.paused = mode != self.paused, mode
        self._pause_unconfirmed = False
        if changed:
            self._call(self._on_paused, mode)

    def _end_old_pause(self) -> None:
        # A pause is told behind SYNCED; one that ended while nothing was heard is not told of.
        if self._pause_unconfirmed:
            self._set_paused(None)

    def _call(self, callback: Callable[..., object], *arguments: object) -> None:
        if not self.stopped:
            callback(*arguments)

    def _disconnect(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)


_HANDLERS: Mapping[type, Callable[[Follower, Any], None]] = {
    Error: Follower._take_refusal,
    Signal: Follower._take_signal,
    Snapshot: Follower._begin_snapshot,
    SnapshotPosition: Follower._take_position,
    Synced: Follower._take_synced,
    ProviderStatus: Follower._take_status,
    Paused: Follower._take_paused,
    Resumed: Follower._take_resumed,
    Flattened: Follower._take_flattened,
    Notice: Follower._take_notice,
    Channels: Follower._take_channels,
    Heartbeat: Follower._take_heartbeat,
}


def _key(entry: Entry) -> Key:
    return entry.symbol, entry.ticket


def _check(filter: _Filter) -> None:
    """Refuse here what could never be asked for."""
    try:
        wire.subscribe(filter.channel, filter.symbols, "0" * 16, MAX_NUMBER - 1, "0" * 8)
    except WireError as error:
        raise ClientError(f"{error}; {filter} cannot be followed.") from error
