"""Sends the ticks of the demonstration: numbered datagrams, and a stream."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol
from twisted.internet.task import LoopingCall

from mtnet.demo.daemon import HOST, DemoDaemon
from mtnet.demo.market import Quote

TURN = 0.02
"""Seconds between two looks at what is due."""
MOST = 1_000
"""Ticks of one turn: where more are due, the demonstration falls behind."""
TOGETHER = 40
"""Ticks in one datagram."""


class TickFeed:
    """
    Sends ticks when they are due; every other symbol goes over the stream.

    Args:
        quotes: the ticks, in the order of `due`.
        speed: 2 = twice as fast.
        at_end: is called when there are no more.

    Attributes:
        at: the seconds at speed 1 that have passed.
        datagrams: how many were sent.
        sent_udp, sent_tcp: ticks so far.
        last: the last tick of each symbol.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: DemoDaemon,
        quotes: Iterator[Quote],
        speed: float,
        at_end: Callable[[], object],
    ) -> None:
        self._reactor, self._daemon = reactor, daemon
        self._quotes, self._speed, self._at_end = quotes, speed, at_end
        self._next: Quote | None = None
        self._loop = LoopingCall(self._turn)
        self._loop.clock = reactor
        self._stream, self._sender = Protocol(), DatagramProtocol()
        self.at, self.datagrams, self.sent_udp, self.sent_tcp = 0.0, 0, 0, 0
        self.last: dict[bytes, Quote] = {}
        self._places: dict[bytes, int] = {}

    @property
    def sent(self) -> int:
        """How many ticks were sent so far."""
        return self.sent_udp + self.sent_tcp

    async def start(self) -> "Deferred[LoopingCall]":
        """Connect and begin; return what fails when a tick cannot be read."""
        await connectProtocol(self._daemon.plain("ticks"), self._stream)
        self._stream.transport.write(b"@@demo-tcp 1\n")  # type: ignore[union-attr]
        self._reactor.listenUDP(0, self._sender, interface=HOST)
        self._address = HOST, self._daemon.port("ticks", "plain UDP")
        self._since = self._reactor.seconds()
        return self._loop.start(TURN)

    def pause(self) -> None:
        """Send nothing more."""
        if self._loop.running:
            self._loop.stop()

    def close(self) -> None:
        """Let go of the sockets."""
        self.pause()
        if self._stream.transport is not None:
            self._stream.transport.loseConnection()
        if self._sender.transport is not None:
            self._sender.transport.stopListening()

    def _turn(self) -> None:
        self.at = (self._reactor.seconds() - self._since) * self._speed
        datagrams: list[Quote] = []
        stream: list[Quote] = []
        for quote in islice(self._due(), MOST):
            place = self._places.setdefault(quote.symbol, len(self._places))
            self.last[quote.symbol] = quote
            (stream if place % 2 else datagrams).append(quote)
        self._send_datagrams([_line(quote) for quote in datagrams])
        if stream:
            self.sent_tcp += len(stream)
            self._stream.transport.write(b"".join(map(_line, stream)))  # type: ignore[union-attr]

    def _due(self) -> Iterator[Quote]:
        while True:
            if self._next is None:
                self._next = next(self._quotes, None)
            if self._next is None:
                self.pause()
                self._at_end()
                return
            if self._next.due > self.at:
                return
            quote, self._next = self._next, None
            yield quote

    def _send_datagrams(self, lines: list[bytes]) -> None:
        for begin in range(0, len(lines), TOGETHER):
            some = lines[begin : begin + TOGETHER]
            self.datagrams += 1
            self.sent_udp += len(some)
            header = b"@@demo-udp %d\n" % self.datagrams
            self._sender.transport.write(  # type: ignore[union-attr]
                header + b"".join(some), self._address
            )


def _line(quote: Quote) -> bytes:
    return b"%b %b\n" % (quote.symbol, quote.rest)
