"""Sender of sums to one classic program, paced."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.net.output.queue import OutputBuffer
from mtnet.net.transport import StreamTransport
from mtnet.services.sentiment.classic.queue import SumQueue
from mtnet.services.sentiment.service import SentimentService
from mtnet.services.sentiment.settings import SentimentSettings
from mtnet.session.classic import encode_position


class SumSender:
    """
    Sends one connection the sums of the symbols that it has named, when their turn has come.

    Args:
        end: closes the connection, and says why.
    """

    def __init__(
        self,
        settings: SentimentSettings,
        sentiment: SentimentService,
        transport: StreamTransport,
        clock: IReactorTime,
        end: Callable[[str], None],
    ) -> None:
        self._settings, self._sentiment = settings, sentiment
        self._clock, self._end = clock, end
        # One frame under way: what waits behind it is the sum of the moment at which it leaves.
        self._output = OutputBuffer(transport, clock, 1, self)
        self._queue = SumQueue(settings.pace, settings.repeat, clock.seconds())
        self._timer: IDelayedCall | None = None
        self._stopped = False

    def has_room(self, symbol: str) -> bool:
        """Return whether it can send one symbol more, or sends this one already."""
        known = self._queue.symbols
        return symbol in known or len(known) < self._settings.max_symbols

    def offer(self, symbol: str) -> None:
        """Send the sum of a symbol, and each change from now on."""
        if symbol not in self._queue.symbols:
            self._sentiment.observers.add(symbol, self.changed)
        self.changed(symbol)

    def stop(self) -> None:
        """Send nothing more."""
        self._stopped = True
        for symbol in self._queue.symbols:
            self._sentiment.observers.discard(symbol, self.changed)
        self._cancel()
        self._output.close()

    def changed(self, symbol: str) -> None:
        """Send the sum of a symbol when its turn has come."""
        self._queue.offer(symbol)
        self.drained()

    def drained(self) -> None:
        """Send what is due; then wait."""
        while not self._stopped and self._output.ready:
            symbol = self._queue.take(self._clock.seconds())
            if symbol is None:
                break
            net = self._sentiment.shown(symbol).net
            self._output.write(encode_position(symbol, net, self._settings.codepage))
        if self._stopped:
            return
        self._cancel()
        due = self._queue.due()
        if not self._output.ready:
            due = self._output.since + self._settings.stalled
        if due is not None:
            delay = max(0.0, due - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        waits = self._clock.seconds() - self._output.since
        if self._output.ready or waits < self._settings.stalled:
            self.drained()
        else:
            self._end(f"took no byte for {self._settings.stalled:g} s")

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
