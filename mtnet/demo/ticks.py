"""Sends the ticks of the demonstration: numbered datagrams, and a TCP stream."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol
from twisted.internet.task import LoopingCall

from mtnet.demo.account import Quote as Prices
from mtnet.demo.daemon import HOST, DemoDaemon
from mtnet.demo.market import Quote

INTERVAL = 0.02
"""Seconds between two batches of ticks."""
BATCH = 1_000
"""Most ticks of one interval; where more are due, the demonstration falls behind."""
DATAGRAM = 40
"""Ticks in one datagram."""


class TickFeed:
    """
    Sends ticks when they are due; every other symbol goes over the stream.

    Args:
        quotes: the ticks, in the order of `due`.
        speed: 2 = twice as fast.
        on_end: called when there are no more.

    Attributes:
        at: the seconds at speed 1 that have passed.
        last: the last tick of each symbol.
        datagrams: how many were sent; `sent_udp` and `sent_tcp` count ticks.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: DemoDaemon,
        quotes: Iterator[Quote],
        speed: float,
        on_end: Callable[[], object],
    ) -> None:
        self._reactor, self._daemon, self._speed = reactor, daemon, speed
        self._quotes, self._next, self._on_end = quotes, next(quotes, None), on_end
        self._loop = LoopingCall(self._send)
        self._loop.clock = reactor
        self._stream, self._socket = Protocol(), DatagramProtocol()
        self.at, self.datagrams, self.sent_udp, self.sent_tcp = 0.0, 0, 0, 0
        self.last: dict[bytes, Quote] = {}

    @property
    def sent(self) -> int:
        """How many ticks were sent so far."""
        return self.sent_udp + self.sent_tcp

    def quote(self, symbol: str) -> Prices | None:
        """Return the newest prices of a symbol; None = there was no tick."""
        tick = self.last.get(symbol.encode())
        if tick is None:
            return None
        bid, ask, *_ = [*tick.rest.decode().split(), "-"]
        return Prices(Decimal(bid), Decimal(bid if ask == "-" else ask))

    async def start(self) -> "Deferred[LoopingCall]":
        """Connect and begin; return a Deferred that fails when a tick cannot be read."""
        await connectProtocol(self._daemon.plain("ticks"), self._stream)
        self._write(b"@@demo-tcp 1\n")
        socket = self._reactor.listenUDP(0, self._socket, interface=HOST)
        socket.connect(HOST, self._daemon.port("ticks", "plain UDP"))
        self._since = self._reactor.seconds()
        return self._loop.start(INTERVAL)

    def pause(self) -> None:
        """Send nothing more."""
        if self._loop.running:
            self._loop.stop()

    def close(self) -> None:
        """Close the sockets."""
        self.pause()
        if self._stream.transport is not None:
            self._stream.transport.loseConnection()
        if self._socket.transport is not None:
            self._socket.transport.stopListening()

    def _send(self) -> None:
        self.at = (self._reactor.seconds() - self._since) * self._speed
        lines: tuple[list[bytes], list[bytes]] = ([], [])
        for quote in islice(self._due(), BATCH):
            self.last[quote.symbol] = quote
            by_tcp = list(self.last).index(quote.symbol) % 2
            lines[by_tcp].append(b"%b %b\n" % (quote.symbol, quote.rest))
        self._send_datagrams(lines[0])
        self.sent_tcp += len(lines[1])
        self._write(b"".join(lines[1]))

    def _due(self) -> Iterator[Quote]:
        while self._next is not None and self._next.due <= self.at:
            quote, self._next = self._next, next(self._quotes, None)
            yield quote
        if self._next is None and self._loop.running:
            self.pause()
            self._on_end()

    def _send_datagrams(self, lines: list[bytes]) -> None:
        for begin in range(0, len(lines), DATAGRAM):
            some = lines[begin : begin + DATAGRAM]
            self.datagrams += 1
            self.sent_udp += len(some)
            data = b"@@demo-udp %d\n" % self.datagrams + b"".join(some)
            self._socket.transport.write(data)  # type: ignore[union-attr, call-arg]

    def _write(self, data: bytes) -> None:
        self._stream.transport.write(data)  # type: ignore[union-attr]
