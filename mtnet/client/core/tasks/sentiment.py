"""
The sums of symbols as they change, and votes, over lost connections.

Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal

from mtnet.client.core.events import Connected
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.task import SessionEvent, Task, TaskCore, checked
from mtnet.services.sentiment.wire import (
    ANSWERS,
    EVERYTHING,
    Sentiment,
    Sentiments,
    hold,
    sentiments,
)

SERVICE = "sentiment"
SentimentEvent = Sentiment | SessionEvent


class Watching:
    """
    SENTIMENTS: the sums of symbols, then each change.

    Args:
        symbols: none = all that are shown.

    Raises:
        ClientError: there are no such symbols.
    """

    def __init__(self, symbols: Iterable[str] = ()) -> None:
        self._frame = checked(sentiments, frozenset(symbols) or {EVERYTHING})

    def request(self) -> bytes:
        """Return SENTIMENTS."""
        return self._frame

    def take(self, answer: object) -> Iterator[SentimentEvent]:
        """Yield the sums."""
        if isinstance(answer, Sentiments):
            yield Connected()
        elif isinstance(answer, Sentiment):
            yield answer


class Voting:
    """
    HOLD: the net positions of a program, again after each lost connection.

    Args:
        positions: lots by symbol, negative = sold.

    Raises:
        ClientError: one of them is none.
    """

    def __init__(self, positions: Mapping[str, Decimal]) -> None:
        self._frames = {symbol: _hold(symbol, volume) for symbol, volume in positions.items()}
        self._begun = False

    def hold(self, symbol: str, volume: Decimal) -> bytes:
        """
        Set a position, and return the frame that says so now.

        Raises:
            ClientError: it is none.
        """
        self._frames[symbol] = _hold(symbol, volume)
        return self._frames[symbol]

    def request(self) -> bytes:
        """Return HOLD for each position."""
        self._begun = False
        return b"".join(self._frames.values())

    def take(self, answer: object) -> Iterator[SentimentEvent]:
        """Yield what is shown of the symbols after each vote."""
        if isinstance(answer, Sentiment):
            if not self._begun:
                self._begun = True
                yield Connected()
            yield answer


class SentimentCore(TaskCore[Sentiment]):
    """
    Client state machine of sentiment.

    Args:
        login: sent only over TLS or within this machine.
    """

    def __init__(self, task: Task[Sentiment], login: Login | None) -> None:
        super().__init__(SERVICE, ANSWERS, task, login)


def _hold(symbol: str, volume: Decimal) -> bytes:
    return checked(hold, symbol, volume)
