"""The ticks of one peer: all of them while it reads, conflated while it lags."""

from collections.abc import Collection, Iterable
from typing import Protocol

from mtnet.access.rights import Rights
from mtnet.errors import WireError
from mtnet.net.peer import Peer
from mtnet.services.ticks.fanout.chunks import Conflation, Encode, Tick
from mtnet.services.ticks.fanout.groups import TICKS
from mtnet.services.ticks.wire import EVERYTHING, encode_tick

BUDGET = 65_536
"""Bytes that wait for a subscriber before its ticks replace each other."""


class Output(Protocol):
    """A way to a peer: an `OutputBuffer`, or the `SendQueue` of a session."""

    @property
    def ready(self) -> bool:
        """Whether what is written now reaches the peer without waiting behind much."""

    def write(self, data: bytes, /) -> None:
        """Send data."""


class ConflatingSubscriber:
    """
    Sends one peer the ticks of its subscriptions, conflated while the peer lags.

    Conflated ticks wait here, outside of the output, so that what else the peer is sent does not
    wait behind them.

    Args:
        encode: the form of a tick.

    Attributes:
        next: the feed's own.
        write: sends the bytes of some ticks.
    """

    def __init__(self, output: Output, peer: Peer, encode: Encode = encode_tick) -> None:
        self._output, self._peer, self.encode = output, peer, encode
        self._behind = Conflation(encode)
        self.next = 0
        self.write = output.write

    @property
    def rights(self) -> Rights:
        """The rights of the peer now."""
        return self._peer.rights

    @property
    def lags(self) -> bool:
        """Whether ticks wait."""
        return bool(self._behind)

    @property
    def ready(self) -> bool:
        """Whether the peer is sent each tick."""
        return self._output.ready and not self._behind

    def flush_delay(self) -> float:
        """Return 0: ticks leave at once."""
        return 0.0

    def offer(self, ticks: Iterable[Tick]) -> None:
        """Let ticks wait, in place of older ones of their symbols."""
        for tick in ticks:
            self._behind.offer(*tick)

    def on_last(self, symbol: bytes, rest: bytes, when: int) -> None:
        """Take the last tick of a symbol, unless it waits already: it must not be skipped twice."""
        if symbol not in self._behind and may_read(self.rights, symbol):
            self._behind.offer(symbol, rest, when)

    def flush(self) -> None:
        """Write the ticks that wait, as far as the peer reads them."""
        while self._behind and self._output.ready:
            self._output.write(self._behind.take(BUDGET))

    def keep(self, symbols: Collection[bytes]) -> None:
        """Drop what waits of all other symbols: they are no longer subscribed."""
        if EVERYTHING not in symbols:
            self._behind.keep(symbols)


def may_read(rights: Rights, symbol: bytes) -> bool:
    """Return whether somebody may read the ticks of a symbol, as on the wire."""
    return rights.all("read", TICKS) or rights.may("read", TICKS, symbol.decode())


def demand_readable(rights: Rights, symbols: Iterable[bytes]) -> None:
    """
    Check the right to read ticks; `EVERYTHING` is all that may be read.

    Raises:
        WireError: `denied`.
    """
    if not rights.any("read", TICKS):
        raise WireError("denied", "This connection may not read ticks")
    for symbol in symbols:
        if symbol != EVERYTHING and not may_read(rights, symbol):
            raise WireError("denied", "This connection may not read", symbol)
