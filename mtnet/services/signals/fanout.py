"""Fan-out of stored entries to followers, and its order."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import cached_property
from operator import methodcaller
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from mtnet.net.output.broadcast import Broadcast, BroadcastGroup
from mtnet.net.output.queue import Delivery, Encoder, FanoutQueue, SendQueue
from mtnet.services.signals.book import Change
from mtnet.services.signals.model import Entry
from mtnet.services.signals.wire import answers

_log = Logger()
T = TypeVar("T")


class Batch:
    """
    The entries of one channel in one commit, or other news of it; what followers share is made
    once.

    Args:
        frames: of the entries, where they are known.

    Attributes:
        entries: in their order.
        changes: of net positions, for those who follow these alone.
    """

    def __init__(
        self,
        entries: list[Entry],
        frames: list[bytes] | None = None,
        changes: Sequence[Change] = (),
    ) -> None:
        self.entries, self.changes = entries, changes
        if frames is not None:
            self.frames = frames

    @cached_property
    def frames(self) -> list[bytes]:
        """The SIGNAL of each entry."""
        return list(map(answers.signal, self.entries))

    def behind(self, seq: int) -> "Batch":
        """Return the entries behind `seq`; all of them where that is the one before the first."""
        skipped = seq + 1 - self.entries[0].seq if self.entries else 0
        return self if not skipped else Batch(self.entries[skipped:], self.frames[skipped:])

    @cached_property
    def text(self) -> bytes:
        """All frames at once."""
        return b"".join(self.frames)

    def encoded(self, encoder: Encoder | None) -> bytes:
        """Return all frames as some followers are sent them, encoded once for all of these."""
        if encoder is None:
            return self.text
        if encoder not in self._encoded:
            self._encoded[encoder] = encoder(self.text)
        return self._encoded[encoder]

    def each(self, make: Callable[[Entry], T]) -> list[T]:
        """Return what is made of each entry, once for all followers that need it."""
        if make not in self._made:
            self._made[make] = list(map(make, self.entries))
        return self._made[make]

    @cached_property
    def _made(self) -> dict[Callable[[Entry], Any], list[Any]]:
        return {}

    @cached_property
    def _encoded(self) -> dict[Encoder, bytes]:
        return {}


class ISubscriber(Interface):
    """Follower of the net positions of a channel; it gets each change once it is on disk."""

    def changed(change: Change) -> None:
        """Take one change; must neither block nor raise."""

    def recheck() -> None:
        """End, if the channel is not the one any more that it shall follow, or is damaged."""


class ITail(Interface):
    """Follower of the entries of a channel; it gets each one once it is on disk."""

    shared: SendQueue | None = Attribute(
        "Where frames go as they are, without `committed` being called; None = nowhere."
    )

    def committed(batch: Batch) -> None:
        """Take the entries of one commit, in their order; must neither block nor raise."""

    def announced(news: Batch) -> None:
        """Send what is said of the channel besides: who publishes there, and how it is paused."""


class Progress(Protocol):
    """The last entry that all of some followers were sent."""

    sequence: int


class SymbolIndex:
    """
    Inverted index of the followers of a channel that are sent to one by one: by symbol.

    Attributes:
        members: all of them.
        sequence: the last entry that each of them was sent, or that it leaves out.
    """

    def __init__(self) -> None:
        self.members: dict[ITail, frozenset[str] | None] = {}
        self._wants_all: dict[ITail, None] = {}
        self._wanting: dict[str, dict[ITail, None]] = {}
        self.sequence = 0

    def add(self, tail: ITail, symbols: frozenset[str] | None) -> None:
        """Add a follower of some symbols; None = of all."""
        self.discard(tail)
        self.members[tail] = symbols
        if symbols is None:
            self._wants_all[tail] = None
        for symbol in symbols or ():
            self._wanting.setdefault(symbol, {})[tail] = None

    def discard(self, tail: ITail) -> None:
        """Remove a follower, if it is there."""
        for symbol in self.members.pop(tail, None) or ():
            wanting = self._wanting[symbol]
            del wanting[tail]
            if not wanting:
                del self._wanting[symbol]
        self._wants_all.pop(tail, None)

    def wanting(self, entries: Iterable[Entry]) -> "deque[ITail]":
        """Return those who want any of some entries."""
        found = dict(self._wants_all)
        for symbol in dict.fromkeys(entry.symbol for entry in entries):
            found.update(self._wanting.get(symbol, ()))
        return deque(found)

    def deliveries(self, batch: Batch) -> "Iterator[Delivery]":
        """Yield what tells them of the entries of a commit, and the mark behind it."""
        wanting = self.wanting(batch.entries)
        if wanting:
            yield _Delivery(self.members, wanting, methodcaller("committed", batch))
        yield _Sent(self, batch.entries[-1].seq)


class Tails:
    """The followers of the entries of one channel: groups that are sent the same, and others."""

    def __init__(self) -> None:
        self._groups: dict[Encoder | None, BroadcastGroup[ITail]] = {}
        self._alone = SymbolIndex()

    def attach(self, tail: ITail, symbols: frozenset[str] | None) -> Progress:
        """Add a follower, as `Fanout.attach`."""
        if tail.shared is None:
            self._alone.add(tail, symbols)
            return self._alone
        group = self._groups.setdefault(tail.shared.encoder, BroadcastGroup())
        group.add(tail, tail.shared)
        return group

    def detach(self, tail: ITail) -> None:
        """Remove a follower, if it is there."""
        self._alone.discard(tail)
        for encoder, group in list(self._groups.items()):
            group.discard(tail)
            if not group:
                del self._groups[encoder]

    def each(self) -> Iterator[Collection[ITail]]:
        """Yield all of them, in parts."""
        yield from self._groups.values()
        if self._alone.members:
            yield self._alone.members

    def queue(self, batch: Batch, queue: "deque[Delivery]") -> None:
        """Queue the entries of a commit, for each."""
        for encoder, group in self._groups.items():
            queue.append(Broadcast(group, batch.encoded(encoder), batch.entries[-1].seq))
        if self._alone.members:
            queue += self._alone.deliveries(batch)


class Fanout(FanoutQueue):
    """
    The followers of every channel.

    Fan-out: those who follow every entry come before those who follow net positions, and each
    is sent everything that was stored since it came, in order. A long broadcast is cut in slices.

    Attributes:
        delivered: how often something was written to a follower: its signals of one commit, a net
            position, or news of the channel.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._subscribers: dict[str, dict[ISubscriber, None]] = {}
        self._tails: dict[str, Tails] = {}

    def subscribe(self, channel: str, follower: ISubscriber) -> None:
        """Tell `follower` each change of a net position from now on."""
        self._subscribers.setdefault(channel, {})[follower] = None

    def unsubscribe(self, channel: str, follower: ISubscriber) -> None:
        """Send it nothing more."""
        self._subscribers.get(channel, {}).pop(follower, None)

    def recheck(self) -> None:
        """Let followers of net positions end that may not go on."""
        for followers in list(self._subscribers.values()):
            for follower in list(followers):
                follower.recheck()

    def attach(self, channel: str, tail: ITail, symbols: frozenset[str] | None = None) -> Progress:
        """
        Send `tail` each entry that is stored from now on.

        Args:
            symbols: entries of others are left out, unless the follower shares what it is sent.

        Returns:
            What knows the last entry that was sent.
        """
        return self._tails.setdefault(channel, Tails()).attach(tail, symbols)

    def detach(self, channel: str, tail: ITail) -> None:
        """Send it nothing more."""
        if channel in self._tails:
            self._tails[channel].detach(tail)

    def count(self, channel: str | None = None) -> int:
        """Return how many followers a channel has, or all of them together."""
        if channel is None:
            return sum(map(self.count, self.channels()))
        return sum(map(len, (self._subscribers.get(channel, ()), *self._following(channel))))

    def channels(self) -> set[str]:
        """Return the channels that have or had followers."""
        return {*self._subscribers, *self._tails}

    def send(self, channel: str, batch: Batch) -> None:
        """Send what was stored just now; a follower that comes later reads it from the disk."""
        tails = self._tails.get(channel)
        if tails is not None:
            tails.queue(batch, self.queue)
        subscribers = self._subscribers.get(channel)
        if subscribers:
            for change in batch.changes:
                call = methodcaller("changed", change)
                self.queue.append(_Delivery(subscribers, deque(subscribers), call))
        self.deliver()

    def announce(self, channel: str, frame: bytes) -> None:
        """Send other news of a channel to those who follow every entry."""
        news = methodcaller("announced", Batch([], [frame]))
        for followers in self._following(channel):
            self.queue.append(_Delivery(followers, deque(followers), news))
        self.deliver()

    def _following(self, channel: str) -> Iterable[Collection[ITail]]:
        """Return those who follow every entry of a channel, in parts."""
        return self._tails[channel].each() if channel in self._tails else ()


class _Delivery(NamedTuple):
    """
    A call to each of some followers.

    Attributes:
        present: the followers that are there now.
        left: those who were there when it was stored, and were not called yet.
    """

    present: Collection[Any]
    left: deque[Any]
    call: Callable[[Any], object]

    def send(self, most: int, when: float) -> int:
        """Call at most so many; return how many they were."""
        for count in range(most):
            if not self.left:
                return count
            follower = self.left.popleft()
            if follower in self.present:
                # One follower that cannot take it must not keep it from the others.
                with _log.failuresHandled("A follower failed at {what}.", what=self.call):
                    self.call(follower)
        return most


class _Sent:
    """Marks where in the queue all followers of an index were sent an entry that they want."""

    left: ClassVar = ()

    def __init__(self, index: SymbolIndex, seq: int) -> None:
        self._index, self._seq = index, seq

    def send(self, most: int, when: float) -> int:
        """Note it; nobody is called."""
        self._index.sequence = self._seq
        return 0
