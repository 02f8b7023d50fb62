"""
Publish and subscribe: ticks go to subscribers as they come.

A subscriber that reads gets each tick. One that lags gets the newest tick of each symbol, and the
number of those it did not get: ticks are conflated, never silently.
"""

from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from mtnet.services.ticks.wire import Record, encode_tick

Encode = Callable[[bytes, bytes, int, int], bytes]
"""Makes the bytes of a tick: of its symbol, the rest of its record, when it came, and how many
older ones were skipped. The same object for all subscribers that are sent the same."""

EVERYTHING = b"*"
"""The symbol that means all of them."""
BUDGET = 65_536
"""Bytes that wait for a subscriber before its ticks replace each other."""


class Subscriber(Protocol):
    """
    A receiver of ticks; its methods must not raise.

    Attributes:
        encode: the form in which it is sent them.
    """

    encode: Encode

    def on_tick(self, symbol: bytes, line: bytes, rest: bytes, when: int) -> None:
        """Take a tick: as it is sent, and in its parts."""

    def on_last(self, symbol: bytes, rest: bytes, when: int) -> None:
        """Take the last tick of a symbol that was just subscribed."""

    def flush(self) -> None:
        """Send what was taken: the burst is over."""


class Conflation:
    """
    The ticks that wait for one subscriber: the newest of each symbol.

    Pure.

    Args:
        encode: the form in which they leave.
    """

    def __init__(self, encode: Encode = encode_tick) -> None:
        self._encode = encode
        self._waiting: dict[bytes, tuple[bytes, int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def __contains__(self, symbol: bytes) -> bool:
        return symbol in self._waiting

    def offer(self, symbol: bytes, rest: bytes, when: int) -> None:
        """Take a tick; an older one of its symbol is skipped, and counted."""
        found = self._waiting.get(symbol)
        self._waiting[symbol] = rest, when, 0 if found is None else found[2] + 1

    def take(self, budget: int) -> bytes:
        """Return the lines of the symbols that wait longest, of about `budget` bytes."""
        lines, size = [], 0
        for symbol in list(self._waiting):
            if size >= budget:
                break
            lines.append(self._encode(symbol, *self._waiting.pop(symbol)))
            size += len(lines[-1])
        return b"".join(lines)

    def keep(self, symbols: Collection[bytes]) -> None:
        """Drop the ticks of all other symbols: nobody waits for them any more."""
        self._waiting = {
            symbol: tick for symbol, tick in self._waiting.items() if symbol in symbols
        }


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
        self._by_symbol: dict[bytes, dict[Subscriber, None]] = {}
        self.subscribers: dict[Subscriber, dict[bytes, None]] = {}

    def subscribe(
        self, subscriber: Subscriber, symbols: Iterable[bytes], known: Iterable[bytes]
    ) -> None:
        """
        Send the last tick of each of `symbols`, and every one from now on.

        Args:
            known: the symbols that `EVERYTHING` stands for now.
        """
        own = self.subscribers.setdefault(subscriber, {})
        for symbol in symbols:
            if symbol in own:
                continue
            own[symbol] = None
            self._by_symbol.setdefault(symbol, {})[subscriber] = None
            for each in list(known) if symbol == EVERYTHING else [symbol]:
                self._send_last(subscriber, each)
        subscriber.flush()

    def unsubscribe(self, subscriber: Subscriber, symbols: Iterable[bytes]) -> None:
        """Send no more ticks of `symbols`; `EVERYTHING` means all that were subscribed."""
        own = self.subscribers.get(subscriber, {})
        for symbol in list(symbols):
            for each in list(own) if symbol == EVERYTHING else [symbol]:
                if own.pop(each, True) is None:
                    self._forget(subscriber, each)
        if not own:
            self.subscribers.pop(subscriber, None)

    def publish(self, records: list[Record], when: int) -> None:
        """Send ticks that came at `when`."""
        everybody = self._by_symbol.get(EVERYTHING, {})
        touched: dict[Subscriber, None] = {}
        for symbol, rest in records:
            some = self._by_symbol.get(symbol, {})
            if everybody or some:
                lines: dict[Encode, bytes] = {}
                for subscriber in {**everybody, **some}:
                    encode = subscriber.encode
                    if encode not in lines:
                        lines[encode] = encode(symbol, rest, when, 0)
                    subscriber.on_tick(symbol, lines[encode], rest, when)
                    touched[subscriber] = None
        for subscriber in touched:
            subscriber.flush()

    def _send_last(self, subscriber: Subscriber, symbol: bytes) -> None:
        last = self._newest(symbol)
        if last is not None:
            subscriber.on_last(symbol, *last)

    def _forget(self, subscriber: Subscriber, symbol: bytes) -> None:
        subscribers = self._by_symbol[symbol]
        del subscribers[subscriber]
        if not subscribers:
            del self._by_symbol[symbol]
