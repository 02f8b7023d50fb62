"""
The sums of symbols as they change, and what the program holds itself, over lost connections.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping

from mtnet.client.core.events import Connected
from mtnet.client.core.login import Login
from mtnet.client.core.numbers import Number, plain_text
from mtnet.client.core.tasks.task import SessionEvent, TaskCore, checked
from mtnet.errors import ClientError
from mtnet.services.sentiment.wire import (
    ANSWERS,
    EVERYTHING,
    Sentiment,
    Sentiments,
    hold,
    sentiments,
)
from mtnet.values import VOLUME, read_volume

SERVICE = "sentiment"
SentimentEvent = Sentiment | SessionEvent


class Watching:
    """
    HOLD of what the program holds, and SENTIMENTS: the sums of symbols, then each change.

    Args:
        symbols: none = all that are shown.
        positions: lots by symbol, negative = sold.

    Raises:
        ClientError: there are no such symbols or lots.
    """

    def __init__(self, symbols: Iterable[str] = (), positions: Mapping[str, Number] = {}) -> None:
        self._frame = checked(sentiments, frozenset(symbols) or {EVERYTHING})
        self._held: dict[str, bytes] = {}
        for symbol, volume in positions.items():
            self.hold(symbol, volume)

    def hold(self, symbol: str, volume: Number) -> bytes:
        """
        Hold another position from now on; return the frame that says so.

        Raises:
            ClientError: there is no such symbol, or these are no lots.
        """
        lots = read_volume(plain_text(volume))
        if lots is None:
            raise ClientError(f"A volume is {VOLUME}, not {volume!r}.")
        self._held[symbol] = checked(hold, symbol, lots)
        return self._held[symbol]

    def request(self) -> bytes:
        """Return HOLD of each position, and SENTIMENTS."""
        return b"".join(self._held.values()) + self._frame

    def take(self, answer: object) -> Iterator[SentimentEvent]:
        """Yield the sums; those that answer a vote may be of a symbol that is not watched."""
        if isinstance(answer, Sentiments):
            yield Connected()
        elif isinstance(answer, Sentiment):
            yield answer


class SentimentCore(TaskCore[Sentiment]):
    """
    Client state machine of sentiment.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, task: Watching, login: Login | None) -> None:
        super().__init__(SERVICE, ANSWERS, task, login)
        self._watching = task

    def hold(self, symbol: str, volume: Number) -> None:
        """
        Hold another position: say so now, and after each lost connection.

        Raises:
            ClientError: there is no such symbol, or these are no lots.
        """
        frame = self._watching.hold(symbol, volume)
        if self.session.connected:
            self.session.send(frame)
