"""Fan-out of stored entries to followers, and its order."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from operator import methodcaller
from typing import Any, NamedTuple, TypeVar

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from mtnet.net.output.broadcast import Broadcast, BroadcastGroup
from mtnet.net.output.queue import Encoder, SendQueue
from mtnet.services.signals import wire
from mtnet.services.signals.book import Change
from mtnet.services.signals.model import Entry

_log = Logger()
T = TypeVar("T")

SLICE = 5_000
"""Deliveries to followers in one slice, before other connections are served: about 20 ms."""


class Batch:
    """
    The entries of one channel in one commit, or other news of it; what followers share is made
    once.

    Attributes:
        entries: in their order.

    Args:
        frames: theirs, where they are known.
    """

    def __init__(self, entries: list[Entry], frames: list[bytes] | None = None) -> None:
        self.entries = entries
        if frames is not None:
            self.frames = frames

    @cached_property
    def frames(self) -> list[bytes]:
        """The SIGNAL of each entry."""
        return list(map(wire.signal, self.entries))

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


class Fanout:
    """
    The followers of every channel.

    Fan-out: those who follow every entry come before those who follow net positions, and each
    is sent everything that was stored since it came, in order. A long broadcast is cut in slices.

    Attributes:
        delivered: how often something was written to a follower: its signals of one commit, a net
            position, or news of the channel.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._subscribers: dict[str, dict[ISubscriber, None]] = {}
        self._tails: dict[str, dict[ITail, None]] = {}
        self._groups: dict[str, dict[Encoder | None, BroadcastGroup[ITail]]] = {}
        self._queue: deque[_Delivery | Broadcast[ITail]] = deque()
        self._timer: IDelayedCall | None = None
        self.delivered = 0

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

    def attach(self, channel: str, tail: ITail) -> BroadcastGroup[ITail] | None:
        """
        Send `tail` each entry that is stored from now on.

        Returns:
            The group that gets the same bytes; None = it is sent to alone.
        """
        if tail.shared is None:
            self._tails.setdefault(channel, {})[tail] = None
            return None
        encoder = tail.shared.encoder
        group = self._groups.setdefault(channel, {}).setdefault(encoder, BroadcastGroup())
        group.add(tail, tail.shared)
        return group

    def detach(self, channel: str, tail: ITail) -> None:
        """Send it nothing more."""
        self._tails.get(channel, {}).pop(tail, None)
        for group in self._groups.get(channel, {}).values():
            group.discard(tail)

    def count(self, channel: str | None = None) -> int:
        """Return how many followers a channel has, or all of them together."""
        if channel is None:
            return sum(map(self.count, self.channels()))
        kinds = self._subscribers.get(channel, ()), self._tails.get(channel, ())
        return sum(map(len, (*kinds, *self._groups.get(channel, {}).values())))

    def channels(self) -> set[str]:
        """Return the channels that have or had followers."""
        return {*self._subscribers, *self._tails, *self._groups}

    def send(self, channel: str, batch: Batch, changes: Iterable[Change]) -> None:
        """Send what was stored just now; a follower that comes later reads it from the disk."""
        for encoder, group in self._groups.get(channel, {}).items():
            if group:
                data = batch.encoded(encoder)
                self._queue.append(Broadcast(group, data, batch.entries[-1].seq))
        tails = self._tails.get(channel)
        if tails:
            self._add(tails, methodcaller("committed", batch))
        subscribers = self._subscribers.get(channel)
        if subscribers:
            for change in changes:
                call = methodcaller("changed", change)
                self._queue.append(_Delivery(subscribers, deque(subscribers), call))
        if self._timer is None and self._queue:
            self._deliver()

    def announce(self, channel: str, frame: bytes) -> None:
        """Send other news of a channel to those who follow every entry."""
        news = methodcaller("announced", Batch([], [frame]))
        for followers in (*self._groups.get(channel, {}).values(), self._tails.get(channel)):
            self._add(followers, news)
        if self._timer is None and self._queue:
            self._deliver()

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()

    def _add(self, present: Collection[Any] | None, call: Callable[[Any], object]) -> None:
        if present:
            self._queue.append(_Delivery(present, deque(present), call))

    def _deliver(self) -> None:
        """Deliver a slice of what is queued."""
        count, self._timer = 0, None
        while self._queue and count < SLICE:
            delivery = self._queue[0]
            count += delivery.send(SLICE - count, self._clock.seconds())
            if not delivery.left:
                self._queue.popleft()
        self.delivered += count
        if self._queue:
            self._timer = self._clock.callLater(0, self._deliver)


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
