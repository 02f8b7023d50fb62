"""The same bytes to many at once: the hot path of the daemon."""

from collections.abc import Hashable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from mtnet.net.backlog import Backlog
from mtnet.net.straight import Send

Key = TypeVar("Key", bound=Hashable)


class Order(NamedTuple, Generic[Key]):
    """
    In which order a crowd is told something.

    Attributes:
        keys: those whose socket takes bytes, and then all others.
        sends: the straight way to each of the first.
    """

    keys: Sequence[Key]
    sends: Sequence[Send]


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
        self._idle: dict[Key, Send] = {}
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
        self.turned(key, backlog.outbox.send)

    def discard(self, key: Key) -> None:
        """Tell it no more."""
        backlog = self._members.pop(key, None)
        if backlog is not None:
            self._idle.pop(key, None)
            self._order = None
            backlog.outbox.part(self, key)

    def turned(self, key: Key, send: Send | None) -> None:
        """Take note of the straight way to a member; None = something waits there."""
        self._order = None
        if send is None:
            self._idle.pop(key, None)
        else:
            self._idle[key] = send

    def order(self) -> Order[Key]:
        """Return the order of now; it is the same object until something changes."""
        if self._order is None:
            busy = (key for key in self._members if key not in self._idle)
            self._order = Order([*self._idle, *busy], list(self._idle.values()))
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
        unchanged = self._crowd.order() is self._order
        straight = max(begin, min(end, len(self._order.sends))) if unchanged else begin
        late = send_to(self._order.sends[begin:straight], self._data)
        for at, sent in late:
            self._write(begin + at, self._data[sent:])
        for at in range(straight, end):
            self._write(at, self._data)
        if not self.left:
            self._crowd.told, self._crowd.when = self._number, when
        return end - begin

    def _write(self, at: int, data: bytes) -> None:
        backlog = self._crowd.get(self._order.keys[at])
        if backlog is not None:
            backlog.write(data)


def send_to(sends: Sequence[Send], data: bytes) -> list[tuple[int, int]]:
    """Send the same to many; return who took less, by its place, and how many bytes it took."""
    size, late = len(data), []
    for at, send in enumerate(sends):
        try:
            sent = send(data)
        except OSError:
            sent = 0  # it is full or broken; its transport finds out which
        if sent != size:
            late.append((at, sent))
    return late
