"""Fan-out of sums: those who have asked for the same symbols are sent the same bytes."""

from collections import Counter
from collections.abc import Iterable, Mapping

from twisted.internet.interfaces import IReactorTime

from mtnet.net.output.fanout import Receiver, TopicFanout
from mtnet.services.sentiment.wire import EVERYTHING

Symbols = frozenset[str]


class SentimentFanout(TopicFanout):
    """
    Fan-out whose topics are the sets of symbols that sessions have asked for.

    Attributes:
        asked: how many have asked for each set.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(clock)
        self.asked: Counter[Symbols] = Counter()
        self._round = 0

    def subscribe(self, symbols: Symbols, receiver: Receiver) -> None:
        """Send a receiver the sums of symbols from now on."""
        self.asked[symbols] += 1
        self.attach(symbols, receiver)

    def unsubscribe(self, symbols: Symbols, receiver: Receiver) -> None:
        """Send it nothing more; it was subscribed to these."""
        self.detach(symbols, receiver)
        self.asked[symbols] -= 1
        if not self.asked[symbols]:
            del self.asked[symbols]

    def send_round(self, frames: Mapping[str, bytes]) -> None:
        """Send the frames of symbols, all that are for a receiver at once."""
        self._round += 1
        for symbols in self.asked:
            data = b"".join(_chosen(symbols, frames))
            if data:
                self.send(symbols, data, self._round)


def _chosen(symbols: Symbols, frames: Mapping[str, bytes]) -> Iterable[bytes]:
    if EVERYTHING in symbols:
        return frames.values()
    if len(frames) <= len(symbols):
        return (frame for symbol, frame in frames.items() if symbol in symbols)
    return (frames[symbol] for symbol in symbols if symbol in frames)
