"""
The same bytes to many at once: the hot path of the daemon.

Where the compiled loop was built, it tells the sockets; this one does the same.
"""

from collections.abc import Hashable, Iterator, Sequence
from socket import socket
from typing import Any, Generic, NamedTuple, TypeVar

from mtnet.net.output.direct import Way
from mtnet.net.output.queue import Backlog

Late = list[tuple[int, int]]
"""Who took less than all, by its place, and how many bytes it took."""
Key = TypeVar("Key", bound=Hashable)


class Order(NamedTuple, Generic[Key]):
    """
    In which order a crowd is told something.

    Attributes:
        keys: those with a socket that takes bytes, those with another way, all others.
        ways: of the first and the second.
        sockets: how many the first are.
    """

    keys: Sequence[Key]
    ways: list[Any]
    sockets: int


class Crowd(Generic[Key]):
    """
    Connections that are told the same.

    What is told to nobody but one costs a look at its backlog; here each costs a look at its
    socket alone, and so it is not noted with each when it was told what.

    Attributes:
        told: the number of what was told last to everybody.
        when: seconds of the clock at which that was.
    """

    def __init__(self) -> None:
        self._members: dict[Key, Backlog] = {}
        self._ways: dict[Key, Way] = {}
        self._order: Order[Key] | None = None
        self.told, self.when = 0, 0.0

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, key: object) -> bool:
        return key in self._members

    def __iter__(self) -> Iterator[Key]:
        return iter(self._members)

    def add(self, key: Key, backlog: Backlog) -> None:
        """Tell it what comes from now on."""
        self._members[key], self._order = backlog, None
        backlog.outbox.enter(self, key)
        self.turned(key, backlog.outbox.way)

    def discard(self, key: Key) -> None:
        """Tell it no more."""
        backlog = self._members.pop(key, None)
        if backlog is not None:
            self._ways.pop(key, None)
            self._order = None
            backlog.outbox.part(self, key)

    def turned(self, key: Key, way: Way | None) -> None:
        """Take note of the straight way to a member; None = something waits there."""
        self._order = None
        if way is None:
            self._ways.pop(key, None)
        else:
            self._ways[key] = way

    def order(self) -> Order[Key]:
        """Return the order of now; it is the same object until something changes."""
        if self._order is None:
            sockets = {key: way for key, way in self._ways.items() if type(way) is socket}
            seals = {key: way for key, way in self._ways.items() if key not in sockets}
            busy = (key for key in self._members if key not in self._ways)
            keys, ways = [*sockets, *seals, *busy], [*sockets.values(), *seals.values()]
            self._order = Order(keys, ways, len(sockets))
        return self._order

    def get(self, key: Key) -> Backlog | None:
        """Return where the frames of a member go; None = it is gone."""
        return self._members.get(key)


class Shout(Generic[Key]):
    """
    Bytes on their way to those of a crowd that were there when it began.

    Args:
        number: what it is counted as.
    """

    def __init__(self, crowd: Crowd[Key], data: bytes, number: int) -> None:
        self._crowd, self._data, self._number = crowd, data, number
        self._order, self._at = crowd.order(), 0

    @property
    def left(self) -> int:
        """How many are not told yet."""
        return len(self._order.keys) - self._at

    def tell(self, most: int, when: float) -> int:
        """Tell at most so many, at `when` of the clock; return how many they were."""
        begin = self._at
        self._at = end = min(begin + most, len(self._order.keys))
        # Since it began somebody may have gone, or have something else to wait for.
        straight = self._go_straight(begin, end) if self._crowd.order() is self._order else begin
        for at in range(straight, end):
            self._write(at, self._data)
        if not self.left:
            self._crowd.told, self._crowd.when = self._number, when
        return end - begin

    def _go_straight(self, begin: int, end: int) -> int:
        """Send to whom there is a way; return who is the next."""
        _, ways, middle = self._order
        last = max(begin, min(end, len(ways)))
        for send, start, stop in ((send_to, begin, middle), (send_each, max(begin, middle), last)):
            for at, sent in send(ways[start : min(stop, end)], self._data):
                self._write(start + at, self._data[sent:])
        return last

    def _write(self, at: int, data: bytes) -> None:
        backlog = self._crowd.get(self._order.keys[at])
        if backlog is not None:
            backlog.write(data)


def send_each(ways: Sequence[Way], data: bytes) -> Late:
    """Send the same to many; return who took less."""
    size, late = len(data), []
    for at, way in enumerate(ways):
        try:
            sent = way.send(data)
        except OSError:
            sent = 0  # it is full or broken; its transport finds out which
        if sent != size:
            late.append((at, sent))
    return late


try:
    from mtnet.net.output._send import send_to
except ImportError:  # there was no compiler where it was installed
    send_to = send_each
LOOP = "interpreted" if send_to is send_each else "compiled"
"""Which of the two it is, for `mtnet status`."""
