"""
Broadcast: the same bytes to many sockets, the hot path of the daemon.

The compiled loop sends where it was built; the one in Python does the same.
"""

from collections.abc import Hashable, Iterator, Sequence
from socket import socket
from typing import Any, Generic, NamedTuple, TypeVar

from mtnet.net.output.direct import DirectWriter
from mtnet.net.output.queue import SendQueue

ShortWrites = list[tuple[int, int]]
"""Index of each socket that took less than all, and how many bytes it took."""
Key = TypeVar("Key", bound=Hashable)


class SendPlan(NamedTuple, Generic[Key]):
    """
    The order in which a broadcast is sent.

    Attributes:
        keys: members with a plain socket, members with another direct writer, all others.
        writers: of the first and the second.
        sockets: how many the first are.
    """

    keys: Sequence[Key]
    writers: list[Any]
    sockets: int


class BroadcastGroup(Generic[Key]):
    """
    Broadcast group: connections that are sent the same.

    Members share one sequence number and one time of the last broadcast, instead of keeping
    both for each.

    Attributes:
        members: the send queue of each.
        current: the plan of now; None = it changed since one was made.
        sequence: the number of the last broadcast that every member was sent.
        sent_at: seconds of the clock at which that was.
    """

    def __init__(self) -> None:
        self.members: dict[Key, SendQueue] = {}
        self.current: SendPlan[Key] | None = None
        self.sequence, self.sent_at = 0, 0.0

    def __len__(self) -> int:
        return len(self.members)

    def __contains__(self, key: object) -> bool:
        return key in self.members

    def __iter__(self) -> Iterator[Key]:
        return iter(self.members)

    def add(self, key: Key, send_queue: SendQueue) -> None:
        """Send a member what is broadcast from now on."""
        self.members[key], self.current = send_queue, None
        send_queue.output.join_group(self)

    def discard(self, key: Key) -> None:
        """Send a member nothing more."""
        send_queue = self.members.pop(key, None)
        if send_queue is not None:
            self.current = None
            send_queue.output.leave_group(self)

    def writer_changed(self) -> None:
        """The direct writer of a member has come, or gone: the plan is another one."""
        self.current = None

    def plan(self) -> SendPlan[Key]:
        """Return the plan of now; it is the same object until something changes."""
        if self.current is None:
            keys: list[Key] = []
            writers: list[DirectWriter] = []
            sealed: list[tuple[Key, DirectWriter]] = []
            busy: list[Key] = []
            for key, send_queue in self.members.items():
                writer = send_queue.output.writer
                if type(writer) is socket:
                    keys.append(key)
                    writers.append(writer)
                elif writer is not None:
                    sealed.append((key, writer))
                else:
                    busy.append(key)
            count = len(keys)
            keys += [*(key for key, _ in sealed), *busy]
            self.current = SendPlan(keys, writers + [writer for _, writer in sealed], count)
        return self.current


class Broadcast(Generic[Key]):
    """
    One broadcast in progress, to the members of a group at its beginning.

    Args:
        number: its sequence number.
    """

    def __init__(self, group: BroadcastGroup[Key], data: bytes, number: int) -> None:
        self._group, self._data, self._number = group, data, number
        self._plan, self._at = group.plan(), 0

    @property
    def left(self) -> int:
        """How many members it was not sent to yet."""
        return len(self._plan.keys) - self._at

    def send(self, most: int, when: float) -> int:
        """Send to at most `most` members, at `when` of the clock; return to how many."""
        begin = self._at
        self._at = end = min(begin + most, len(self._plan.keys))
        # Since it began a member may have gone, or may have something buffered.
        sent = self._send_directly(begin, end) if self._group.current is self._plan else begin
        for at in range(sent, end):
            send_queue = self._member(at)
            if send_queue is not None:
                send_queue.write(self._data)  # behind everything that is queued
        if end == len(self._plan.keys):
            self._group.sequence, self._group.sent_at = self._number, when
        return end - begin

    def _send_directly(self, begin: int, end: int) -> int:
        """Send by direct writers; return the index of the next member."""
        _, writers, middle = self._plan
        last = max(begin, min(end, len(writers)))
        for send, start, stop in ((send_to, begin, middle), (send_each, max(begin, middle), last)):
            for at, sent in send(writers[start : min(stop, end)], self._data):
                send_queue = self._member(start + at)
                if send_queue is not None:
                    # Before everything that is queued or posted: that would cut a frame in two.
                    send_queue.output.write(self._data[sent:])
        return last

    def _member(self, at: int) -> SendQueue | None:
        """Return the queue of a member; None = it has gone."""
        return self._group.members.get(self._plan.keys[at])


def send_each(writers: Sequence[DirectWriter], data: bytes) -> ShortWrites:
    """Send the same to many; return those that took less."""
    size, late = len(data), []
    for at, writer in enumerate(writers):
        try:
            sent = writer.send(data)
        except OSError:
            sent = 0  # full or broken; its transport finds out which
        if sent != size:
            late.append((at, sent))
    return late


try:
    from mtnet.net.output._send import send_to
except ImportError:  # there was no compiler where it was installed
    send_to = send_each
LOOP = "interpreted" if send_to is send_each else "compiled"
"""Which of the two loops is in use, for `mtnet status`."""
