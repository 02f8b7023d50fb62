"""
Publish and subscribe: ticks go to subscribers soon after they came.

Ticks that come wait until `deliver` is run, so that those of one turn of the reactor are sent
together. A subscriber that reads gets each tick. One that lags gets the newest tick of each
symbol, and the number of those that it did not get: ticks are conflated, never silently.

Pure.
"""

from collections.abc import Callable, Iterable, Iterator

from mtnet.access.rights import Rights
from mtnet.net.output.flush_delay import shared_flush_delay
from mtnet.services.ticks.fanout.chunks import Chunk, Waiting, cut
from mtnet.services.ticks.fanout.groups import TICKS, Audience, Group, Groups, Subscriber
from mtnet.services.ticks.wire import EVERYTHING, Record


class Feed:
    """
    Publisher of ticks to the subscribers of each symbol.

    Args:
        newest: returns the last tick of a symbol, without the symbol, and when it came.

    Attributes:
        subscribers: each with the symbols it asked for.
    """

    def __init__(self, newest: Callable[[bytes], tuple[bytes, int] | None]) -> None:
        self._newest = newest
        self.subscribers: dict[Subscriber, dict[bytes, None]] = {}
        self._groups = Groups()
        self._ungrouped: dict[Subscriber, None] = {}
        self._waiting = Waiting()
        self._chunks: list[Chunk] = []
        self._next = 0

    @property
    def has_waiting(self) -> bool:
        """Whether ticks wait for `deliver`."""
        return bool(self._waiting or self._chunks)

    def flush_delay(self) -> float:
        """Return the seconds for which ticks may wait: every subscriber would keep them as long."""
        return shared_flush_delay(self.subscribers)

    def publish(self, records: list[Record], when: int) -> None:
        """Take ticks that came at `when`, for those who are subscribers now."""
        if self.subscribers:
            self._waiting.add(records, when)

    def deliver(self) -> Iterator[None]:
        """
        Send the ticks that wait now, to one subscriber with each step.

        Ticks that come meanwhile wait for the next call.
        """
        self._close_chunk()
        chunks = self._chunks
        for subscriber in list(self._ungrouped):
            self._group(subscriber)
            yield
        for group in self._groups.concerned(chunks):
            for subscriber in list(group.members):
                if self._groups.of.get(subscriber) is group:  # not gone meanwhile
                    self._send(subscriber, chunks)
                    yield
        self._chunks = [each for each in self._chunks if each not in chunks]

    def subscribe(
        self, subscriber: Subscriber, symbols: Iterable[bytes], known: Iterable[bytes]
    ) -> None:
        """
        Send the last tick of each of `symbols`, and every one from now on.

        Args:
            known: the symbols that `EVERYTHING` stands for now.
        """
        self._prepare_change(subscriber)
        own = self.subscribers.setdefault(subscriber, {})
        self._ungrouped[subscriber] = None
        for symbol in symbols:
            if symbol in own:
                continue
            own[symbol] = None
            for each in list(known) if symbol == EVERYTHING else [symbol]:
                self._send_last(subscriber, each)
        subscriber.flush()

    def unsubscribe(self, subscriber: Subscriber, symbols: Iterable[bytes]) -> None:
        """
        Send the ticks that wait, and no more of `symbols`; `EVERYTHING` means all that were
        subscribed.
        """
        if subscriber not in self.subscribers:
            return
        self._prepare_change(subscriber)
        own = self.subscribers[subscriber]
        self._ungrouped[subscriber] = None
        for symbol in list(symbols):
            for each in list(own) if symbol == EVERYTHING else [symbol]:
                own.pop(each, None)
        if not own:
            self.leave(subscriber)

    def leave(self, subscriber: Subscriber) -> None:
        """Send a subscriber nothing more, not even what waits."""
        self._groups.discard(subscriber)
        self._ungrouped.pop(subscriber, None)
        self.subscribers.pop(subscriber, None)

    def _prepare_change(self, subscriber: Subscriber) -> None:
        """Send a subscriber what came before the change of what it asks for."""
        self._close_chunk()
        if subscriber in self.subscribers and subscriber.next < self._next:
            self._send(subscriber, self._chunks)
        subscriber.next = self._next
        self._groups.discard(subscriber)

    def _close_chunk(self) -> None:
        """Begin a new chunk with what comes from now on."""
        if self._waiting:
            chunks = cut(self._waiting.take(), self._next)
            self._next += len(chunks)
            self._chunks = self._chunks + chunks

    def _send(self, subscriber: Subscriber, chunks: list[Chunk]) -> None:
        group = self._groups.of.get(subscriber)
        if group is None or group.audience.rights != _limits(subscriber):
            group = self._group(subscriber)
        group.send(subscriber, chunks)

    def _group(self, subscriber: Subscriber) -> Group:
        self._ungrouped.pop(subscriber, None)
        own = self.subscribers[subscriber]
        symbols = None if EVERYTHING in own else frozenset(own)
        audience = Audience(subscriber.encode, symbols, _limits(subscriber))
        return self._groups.put(subscriber, audience)

    def _send_last(self, subscriber: Subscriber, symbol: bytes) -> None:
        last = self._newest(symbol)
        if last is not None:
            subscriber.on_last(symbol, *last)


def _limits(subscriber: Subscriber) -> Rights | None:
    """Return the rights that limit what a subscriber may read; None = it may read everything."""
    rights = subscriber.rights
    return None if rights.all("read", TICKS) else rights
