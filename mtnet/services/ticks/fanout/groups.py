"""
Groups of subscribers who are sent the same.

Pure.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from mtnet.access.rights import Rights
from mtnet.net.output.flush_delay import CoalescingReceiver
from mtnet.services.ticks.fanout.chunks import Chunk, Encode, Extract, Tick
from mtnet.services.ticks.wire import EVERYTHING

TICKS = "ticks"
"""The name of this service in rights."""


class Subscriber(CoalescingReceiver, Protocol):
    """
    A receiver of ticks; its methods must not raise.

    Attributes:
        encode: the form in which it is sent them.
        next: the number of the first chunk that it was not sent; the feed's own.
    """

    encode: Encode
    next: int

    @property
    def rights(self) -> Rights:
        """Its rights now."""

    @property
    def ready(self) -> bool:
        """Whether it takes each tick; else it takes the newest of each symbol."""

    def write(self, data: bytes) -> None:
        """Take the bytes of some ticks: it is ready."""

    def offer(self, ticks: Iterable[Tick]) -> None:
        """Take ticks that older ones of their symbols may be replaced by: it lags."""

    def on_last(self, symbol: bytes, rest: bytes, when: int) -> None:
        """Take the last tick of a symbol that was just subscribed."""

    def flush(self) -> None:
        """Send what waits, if it is ready."""


class Audience(NamedTuple):
    """
    Description of a group: its members are sent the same.

    Attributes:
        encode: the form.
        symbols: None = all.
        rights: None = they may read all symbols.
    """

    encode: Encode
    symbols: frozenset[bytes] | None
    rights: Rights | None


class Group:
    """
    Group of subscribers that are sent the same.

    Attributes:
        audience: what they have in common.
        members: who they are.
    """

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
        self.members: dict[Subscriber, None] = {}

    def send(self, subscriber: Subscriber, chunks: Iterable[Chunk]) -> None:
        """Send a member those chunks that it was not sent yet."""
        for chunk in chunks:
            if chunk.number >= subscriber.next:
                subscriber.next = chunk.number + 1
                extract = chunk.extracts.get(self) or self._extract(chunk)
                if not subscriber.ready:
                    subscriber.offer(extract.newest)
                elif extract.data:
                    subscriber.write(extract.data)
        subscriber.flush()

    def _extract(self, chunk: Chunk) -> Extract:
        extract = Extract(chunk, self.audience.encode, self._places(chunk))
        chunk.extracts[self] = extract
        return extract

    def _places(self, chunk: Chunk) -> Sequence[int]:
        _, symbols, rights = self.audience
        if symbols is None and rights is None:
            return range(len(chunk.ticks))
        index = chunk.index
        found: Collection[bytes] = index if symbols is None else index.keys() & symbols
        if rights is not None:
            found = [each for each in found if rights.may("read", TICKS, each.decode())]
        return sorted(at for symbol in found for at in index[symbol])


class Groups:
    """
    The groups of all subscribers, and an index of them by symbol.

    Attributes:
        of: the group of each subscriber.
    """

    def __init__(self) -> None:
        self.of: dict[Subscriber, Group] = {}
        self._by_audience: dict[Audience, Group] = {}
        self._by_symbol: dict[bytes, dict[Group, None]] = {}

    def put(self, subscriber: Subscriber, audience: Audience) -> Group:
        """Put a subscriber into the group of an audience; return that."""
        self.discard(subscriber)
        group = self._by_audience.get(audience)
        if group is None:
            group = self._by_audience[audience] = Group(audience)
            for symbol in _symbols(audience):
                self._by_symbol.setdefault(symbol, {})[group] = None
        group.members[subscriber] = None
        self.of[subscriber] = group
        return group

    def discard(self, subscriber: Subscriber) -> None:
        """Take a subscriber out of its group, if it has one."""
        group = self.of.pop(subscriber, None)
        if group is not None:
            del group.members[subscriber]
            if not group.members:
                self._remove(group)

    def concerned(self, chunks: Iterable[Chunk]) -> list[Group]:
        """Return the groups that want ticks of these chunks."""
        found = dict(self._by_symbol.get(EVERYTHING, {}))
        if len(found) < len(self._by_audience):
            for symbol in {symbol for chunk in chunks for symbol in chunk.index}:
                found |= self._by_symbol.get(symbol, {})
        return list(found)

    def _remove(self, group: Group) -> None:
        del self._by_audience[group.audience]
        for symbol in _symbols(group.audience):
            groups = self._by_symbol[symbol]
            del groups[group]
            if not groups:
                del self._by_symbol[symbol]


def _symbols(audience: Audience) -> Iterable[bytes]:
    return (EVERYTHING,) if audience.symbols is None else audience.symbols
