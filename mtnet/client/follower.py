"""A follower that loses no signal, and takes none twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType

from twisted.application.internet import ClientService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint

from mtnet.client.dialect import Connection, Peer, service
from mtnet.client.login import Login
from mtnet.signals import requests
from mtnet.signals.answers import (
    Answer,
    Entry,
    ProviderStatus,
    Refusal,
    Signal,
    Snapshot,
    SnapshotPosition,
    Synced,
    Welcome,
)
from mtnet.signals.fields import Status

Key = tuple[str, str]
"""Symbol and ticket; no ticket = the net position."""


def _nothing(*_: object) -> None:
    pass


class Follower(Peer):
    """
    Follows a channel: hands out each change once and in order, whatever connections break.

    It begins with `startService()` and ends with `stopService()`. To go on after a restart of
    the program, keep `epoch`, `seq` and `positions` after each change, and hand them in again.

    **A new epoch** means that the server has another journal than the one that was followed: a
    wrong data folder, or a restored backup. Nothing is handed out from then on until `accept()`.

    Args:
        clock: the reactor.
        channel: what is followed.
        symbols: None = all.
        on_snapshot: is told the whole truth: every position that there is; all else is flat.
        on_signal: is told one change.
        on_synced: is called when all that was missed was handed out.
        on_blind: is told a reason when the server is not heard any more, and "" when it is.
        on_provider: is told whether the channel has a publisher, and since when in milliseconds.
        on_epoch: is told the epoch that was followed, and the one that the server has.
        on_error: is told what the server refused: a code such as `channel`, and a sentence.
        name: what the server's status calls it.
        login: who asks; sent over TLS or within this machine alone.
        epoch, seq, positions: of an earlier run.

    Attributes:
        epoch: of the journal that is followed; None = none yet.
        seq: of the last entry that was handed out, or belongs to what was.
        held: whether a new epoch waits for `accept()`.
        blind: whether nothing is known of the server.
    """

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        clock: IReactorTime,
        channel: str = "main",
        *,
        symbols: Iterable[str] | None = None,
        on_snapshot: Callable[[Sequence[Entry]], object] = _nothing,
        on_signal: Callable[[Signal], object] = _nothing,
        on_synced: Callable[[], object] = _nothing,
        on_blind: Callable[[str], object] = _nothing,
        on_provider: Callable[[bool, int], object] = _nothing,
        on_epoch: Callable[[str, str], object] = _nothing,
        on_error: Callable[[str, str], object] = _nothing,
        name: str = "",
        login: Login | None = None,
        epoch: str | None = None,
        seq: int = 0,
        positions: Iterable[Entry] = (),
    ) -> None:
        self.channel, self.name, self.login = channel, name, login
        self._symbols = None if symbols is None else sorted(symbols)
        self._on_snapshot, self._on_signal, self._on_synced = on_snapshot, on_signal, on_synced
        self._on_blind, self._on_provider = on_blind, on_provider
        self._on_epoch, self._on_error = on_epoch, on_error
        self.epoch, self.seq = epoch, seq
        self._positions: dict[Key, Entry] = {_key(each): each for each in positions}
        self._connection: Connection | None = None
        self._snapshot: tuple[Snapshot, list[Entry]] | None = None
        self._waiting: tuple[str, int, dict[Key, Entry]] | None = None
        self.blind = True
        self._service: ClientService = service(endpoint, self, clock)

    @property
    def positions(self) -> Mapping[Key, Entry]:
        """A live view of what was handed out: (symbol, ticket) → the entry that set it."""
        return MappingProxyType(self._positions)

    @property
    def held(self) -> bool:
        """Whether a new epoch waits for `accept()`."""
        return self._waiting is not None

    def startService(self) -> None:
        """Begin to connect."""
        self._service.startService()

    def stopService(self) -> "Deferred[None]":
        """Disconnect; nothing is handed out any more."""
        return self._service.stopService()

    def whenConnected(self, failAfterFailures: int | None = None) -> "Deferred[IProtocol]":
        """As that of `ClientService`."""
        return self._service.whenConnected(failAfterFailures)

    def accept(self) -> None:
        """Follow the new epoch: its positions are handed out as a snapshot."""
        if self._waiting is not None:
            (self.epoch, self.seq, self._positions), self._waiting = self._waiting, None
            self._on_snapshot(list(self._positions.values()))

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
        """
        if self._connection is not None:
            ack = requests.Ack(self.channel, seq, status, price, volume, reason)
            self._connection.send(requests.ack(ack))

    # Told by the connection

    def welcomed(self, connection: Connection, welcome: Welcome) -> None:
        """Ask for what is missing."""
        self._connection, self._snapshot = connection, None
        epoch, seq = self._waiting[:2] if self._waiting is not None else (self.epoch, self.seq)
        known = {} if epoch is None else {"epoch": epoch, "after": seq}
        connection.send(requests.subscribe(self.channel, self._symbols, **known))  # type: ignore[arg-type]

    def told(self, answer: Answer) -> None:
        """Take what the server says."""
        if isinstance(answer, Refusal):
            self._on_error(answer.code, answer.text)
        elif getattr(answer, "channel", self.channel) != self.channel:
            return
        elif isinstance(answer, Signal):
            self._signal(answer)
        elif isinstance(answer, Snapshot):
            self._snapshot = answer, []
        elif isinstance(answer, SnapshotPosition) and self._snapshot is not None:
            self._snapshot[1].append(answer)
        elif isinstance(answer, Synced):
            self._synced(answer)
        elif isinstance(answer, ProviderStatus):
            self._on_provider(answer.publisher == "up", answer.since)

    def lost(self, reason: str) -> None:
        """Be blind until the next connection has caught up."""
        self._connection = self._snapshot = None
        self.blind = True
        self._on_blind(reason)

    def _signal(self, signal: Signal) -> None:
        epoch, seq, positions = self._waiting or (self.epoch, self.seq, self._positions)
        if signal.seq <= seq:
            return
        before = signal.seq - 1 if signal.prev is None else signal.prev
        if before != seq or epoch is None:
            self._break_off(f"entry {signal.seq} came behind {seq}")
            return
        _apply(positions, signal)
        if self._waiting is not None:
            self._waiting = self._waiting[0], signal.seq, positions
            return
        self.seq = signal.seq
        self._on_signal(signal)

    def _synced(self, synced: Synced) -> None:
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            if len(snapshot[1]) != snapshot[0].count:
                self._break_off(f"a snapshot of {snapshot[0].count} had {len(snapshot[1])}")
                return
            self._take(*snapshot)
        elif synced.epoch != (self.epoch if self._waiting is None else self._waiting[0]):
            self._break_off(f"entries of the journal {synced.epoch} came without its positions")
            return
        elif self._waiting is not None:
            self._waiting = self._waiting[0], synced.seq, self._waiting[2]
        else:
            # Of a filtered channel, what was left out counts as known.
            self.seq = max(self.seq, synced.seq)
        self.blind = False
        self._on_blind("")
        self._on_synced()

    def _take(self, head: Snapshot, found: list[Entry]) -> None:
        positions = {_key(each): each for each in found}
        if self.epoch is not None and head.epoch != self.epoch:
            known = self._waiting is not None and self._waiting[0] == head.epoch
            self._waiting = head.epoch, head.seq, positions
            if not known:
                self._on_epoch(self.epoch, head.epoch)
            return
        self._waiting = None
        self.epoch, self.seq = head.epoch, head.seq
        if head.seq:  # else nothing is known, and nothing must change
            self._positions = positions
            self._on_snapshot(found)

    def _break_off(self, reason: str) -> None:
        if self._connection is not None:
            self._connection.end(reason)


def _key(entry: Entry) -> Key:
    return entry.symbol, entry.ticket


def _apply(positions: dict[Key, Entry], entry: Entry) -> None:
    if entry.volume:
        positions[_key(entry)] = entry
    else:
        positions.pop(_key(entry), None)
