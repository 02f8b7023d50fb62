"""Everybody who is told what was stored, and in what order."""

from collections import deque
from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from operator import methodcaller
from typing import Any, NamedTuple

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from zope.interface import Attribute, Interface

from mtnet.net.output.broadcast import Broadcast, BroadcastGroup
from mtnet.net.output.queue import SendQueue
from mtnet.services.signals import wire
from mtnet.services.signals.book import Change
from mtnet.services.signals.model import Entry

_log = Logger()

SLICE = 5_000
"""Deliveries to followers before other connections have their turn: about 20 ms."""


class Batch:
    """
    The entries of one channel in one commit; what followers share is made once.

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
        return [wire.signal(entry) for entry in self.entries]

    def behind(self, seq: int) -> "Batch":
        """Return the entries behind `seq`; all of them where that is the one before the first."""
        skipped = seq + 1 - self.entries[0].seq if self.entries else 0
        return self if not skipped else Batch(self.entries[skipped:], self.frames[skipped:])

    @cached_property
    def text(self) -> bytes:
        """All frames at once."""
        return b"".join(self.frames)


class ISubscriber(Interface):
    """Somebody who is told each change of a channel's net positions once it is on disk."""

    def changed(change: Change) -> None:
        """Take one change; must neither block nor raise."""


class ITail(Interface):
    """Somebody who is told every entry of a channel once it is on disk."""

    shared: SendQueue | None = Attribute(
        "Where frames go as they are, without `committed` being called; None = nowhere."
    )

    def committed(batch: Batch) -> None:
        """Take the entries of one commit, in their order; must neither block nor raise."""

    def announced(frame: bytes) -> None:
        """Send what is said of the channel besides: who publishes there, and how it is paused."""


class Fanout:
    """
    The followers of every channel.

    Those who follow every entry are told before those who follow net positions, and each is
    told everything that was stored since it came, in order. A long telling is cut in slices.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._subscribers: dict[str, dict[ISubscriber, None]] = {}
        self._tails: dict[str, dict[ITail, None]] = {}
        self._groups: dict[str, BroadcastGroup[ITail]] = {}
        self._untold: deque[_Delivery | Broadcast[ITail]] = deque()
        self._telling: IDelayedCall | None = None

    def subscribe(self, channel: str, follower: ISubscriber) -> None:
        """Tell `follower` each change of a net position from now on."""
        self._subscribers.setdefault(channel, {})[follower] = None

    def unsubscribe(self, channel: str, follower: ISubscriber) -> None:
        """Tell it no more."""
        self._subscribers.get(channel, {}).pop(follower, None)

    def attach(self, channel: str, tail: ITail) -> BroadcastGroup[ITail] | None:
        """
        Tell `tail` each entry that is stored from now on.

        Returns:
            Who is told with it, all the same; None = it is told by itself.
        """
        if tail.shared is None:
            self._tails.setdefault(channel, {})[tail] = None
            return None
        group = self._groups.setdefault(channel, BroadcastGroup())
        group.add(tail, tail.shared)
        return group

    def detach(self, channel: str, tail: ITail) -> None:
        """Tell it no more."""
        self._tails.get(channel, {}).pop(tail, None)
        if channel in self._groups:
            self._groups[channel].discard(tail)

    def count(self, channel: str | None = None) -> int:
        """Return how many followers a channel has, or all of them together."""
        if channel is None:
            return sum(map(self.count, self.channels()))
        kinds = self._subscribers, self._tails, self._groups
        return sum(len(followers.get(channel, ())) for followers in kinds)

    def channels(self) -> set[str]:
        """Return the channels that somebody follows or followed."""
        return {*self._subscribers, *self._tails, *self._groups}

    def tell(self, channel: str, batch: Batch, changes: Iterable[Change]) -> None:
        """Tell what was stored just now; who comes later reads it from where it is stored."""
        group = self._groups.get(channel)
        if group:
            self._untold.append(Broadcast(group, batch.text, batch.entries[-1].seq))
        self._add(self._tails.get(channel, {}), methodcaller("committed", batch))
        for change in changes:
            self._add(self._subscribers.get(channel, {}), methodcaller("changed", change))
        self._begin()

    def announce(self, channel: str, frame: bytes) -> None:
        """Tell those who follow every entry what else there is to say of the channel."""
        for followers in (self._groups, self._tails):
            self._add(followers.get(channel, ()), methodcaller("announced", frame))
        self._begin()

    def close(self) -> None:
        """Tell nothing more."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._untold.clear()

    def _add(self, present: Collection[Any], say: Callable[[Any], object]) -> None:
        if present:
            self._untold.append(_Delivery(present, deque(present), say))

    def _begin(self) -> None:
        if self._telling is None:
            self._tell_some()

    def _tell_some(self) -> None:
        told, self._telling = 0, None
        while self._untold and told < SLICE:
            telling = self._untold[0]
            told += telling.send(SLICE - told, self._clock.seconds())
            if not telling.left:
                self._untold.popleft()
        if self._untold:
            self._telling = self._clock.callLater(0, self._tell_some)


class _Delivery(NamedTuple):
    """
    One thing that some followers are told.

    Attributes:
        present: the followers that are there now.
        left: those who were there when it was stored, and are not told yet.
    """

    present: Collection[Any]
    left: deque[Any]
    say: Callable[[Any], object]

    def send(self, most: int, when: float) -> int:
        """Tell it to at most so many; return how many they were."""
        for told in range(most):
            if not self.left:
                return told
            follower = self.left.popleft()
            if follower in self.present:
                # One follower that cannot take it must not keep it from the others.
                with _log.failuresHandled("A follower failed at {what}.", what=self.say):
                    self.say(follower)
        return most
