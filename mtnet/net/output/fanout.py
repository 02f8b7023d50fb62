"""Fan-out of messages by topic: one encoding for each form, and slices of time."""

from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from mtnet.net.output.broadcast import Broadcast, BroadcastGroup
from mtnet.net.output.queue import Encoder, FanoutQueue, SendQueue


class Receiver(Hashable, Protocol):
    """A subscription of one session; a later one of the same topic is another receiver."""

    @property
    def queue(self) -> SendQueue: ...


class TopicFanout(FanoutQueue):
    """
    Broadcast groups of topics, by form; a topic is whatever a service calls so.

    Attributes:
        delivered: messages that were written to receivers.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self._groups: dict[Hashable, dict[Encoder | None, BroadcastGroup[Receiver]]] = {}

    def attach(self, topic: Hashable, receiver: Receiver) -> None:
        """Send a receiver each message from now on."""
        groups = self._groups.setdefault(topic, {})
        encoder = receiver.queue.encoder
        groups.setdefault(encoder, BroadcastGroup()).add(receiver, receiver.queue)

    def detach(self, topic: Hashable, receiver: Receiver) -> None:
        """Send it nothing more."""
        groups = self._groups.get(topic, {})
        # Its encoder may be another one than when it came: a new login can change it.
        for encoder, group in [*groups.items()]:
            group.discard(receiver)
            if not group:
                del groups[encoder]
        if not groups:
            self._groups.pop(topic, None)

    def send(self, topic: Hashable, frame: bytes, seq: int) -> None:
        """Send a message to all receivers of a topic."""
        for encoder, group in self._groups.get(topic, {}).items():
            data = frame if encoder is None else encoder(frame)
            self.queue.append(Broadcast(group, data, seq))
        self.deliver()

    def send_to(self, topic: Hashable, receivers: Iterable[Receiver], frame: bytes) -> None:
        """Send a message to some of them, behind those before it."""
        groups = list(self._groups.get(topic, {}).values())
        self.queue.append(_Direct(groups, deque(receivers), frame))
        self.deliver()


class _Direct:
    """A message to some receivers of a topic, as far as they are still there."""

    def __init__(
        self, groups: Sequence[BroadcastGroup[Receiver]], left: deque[Receiver], frame: bytes
    ) -> None:
        self._groups, self.left, self._frame = groups, left, frame

    def send(self, most: int, when: float) -> int:
        """Send to at most so many; return to how many."""
        count = min(most, len(self.left))
        for _ in range(count):
            receiver = self.left.popleft()
            if any(receiver in group for group in self._groups):
                receiver.queue.send(self._frame)
        return count
