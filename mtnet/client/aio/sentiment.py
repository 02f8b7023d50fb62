"""Receive what clients hold, as sums, and say what the program holds itself."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from mtnet.client.aio.client import Link
from mtnet.client.aio.logs import log_event
from mtnet.client.aio.stream import Stream
from mtnet.client.core.address import read_address
from mtnet.client.core.login import Login
from mtnet.client.core.numbers import Number
from mtnet.client.core.tasks.sentiment import SentimentCore, SentimentEvent, Watching
from mtnet.client.core.websocket import session_framing
from mtnet.services.sentiment.wire import Sentiment

FATAL = frozenset({"login", "denied", "verb"})
"""Codes of refusals that end the stream: the login, its rights, or a server without sentiment."""


class SentimentStream(Stream[Sentiment]):
    """
    Asynchronous iterator over the sums of symbols: those that are shown, then each that changes, at
    most once a second. After a lost connection all come again.

    Args:
        server: as of `Follower`; a port of signals, or a WebSocket.
        symbols: none = all that are shown.
        positions: lots by symbol that the program holds itself, negative = sold: its votes.
        on_event: called with all events but sums; their `str` is a sentence. By default they are
            logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login,
            lets it see or vote on no such symbol, or has no sentiment, or without `retry`.
    """

    _link: Link[SentimentEvent]

    def __init__(
        self,
        server: str,
        symbols: Iterable[str] = (),
        positions: Mapping[str, Number] = {},
        *,
        on_event: Callable[[SentimentEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        address, core = read_address(server, ca), SentimentCore(Watching(symbols, positions), login)
        super().__init__(address, core, session_framing, Sentiment, FATAL, on_event, retry)
        self._core = core

    def hold(self, symbol: str, volume: Number) -> None:
        """
        Hold another position from now on; 0 = none.

        Raises:
            ClientError: there is no such symbol, or these are no lots.
        """
        self._core.hold(symbol, volume)
        self._link.run()


def sentiment(server: str, symbols: Iterable[str] = (), **options: Any) -> SentimentStream:
    """
    Receive sums: `async for sums in sentiment("tcp:127.0.0.1:8081", ["EURUSD"])`.

    Args and raises as of `SentimentStream`.
    """
    return SentimentStream(server, symbols, **options)
