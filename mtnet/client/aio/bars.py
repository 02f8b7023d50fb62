"""Receive the bars of a symbol, one after the other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mtnet.client.aio.logs import log_event
from mtnet.client.aio.stream import Stream
from mtnet.client.core.address import read_address
from mtnet.client.core.login import Login
from mtnet.client.core.prices.bars import BarCore, BarEvent, BarProgress
from mtnet.client.core.websocket import session_framing
from mtnet.services.ticks.verbs.wire import DEFAULT_BARS, Bar

FATAL = frozenset({"login", "denied", "verb"})
"""Codes of refusals that end the stream: the login, its rights, or an older server."""


class BarStream(Stream[Bar]):
    """
    Asynchronous iterator over the bars of a symbol: the last ones, the oldest first, then the open
    bar (`current`) as it changes, at most four times a second, and each closed one once.

    After a lost connection it goes on where it was, as far as the server has the bars.

    Args:
        server: as of `Follower`; a port of signals, or a WebSocket: bars are part of a session.
        symbol: as its broker writes it.
        period: `S1` … `S30`, `M1` … `MN1`.
        count: of the last bars, 1 to 5,000.
        on_event: called with all events but bars; their `str` is a sentence. By default they are
            logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login,
            lets it read no ticks or has no bars, or without `retry`.
    """

    def __init__(
        self,
        server: str,
        symbol: str,
        period: str,
        count: int = DEFAULT_BARS,
        *,
        on_event: Callable[[BarEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        address, core = read_address(server, ca), BarCore(BarProgress(symbol, period, count), login)
        super().__init__(address, core, session_framing, Bar, FATAL, on_event, retry)


def bars(
    server: str, symbol: str, period: str, count: int = DEFAULT_BARS, **options: Any
) -> BarStream:
    """
    Receive bars: `async for bar in bars("tcp:127.0.0.1:8081", "EURUSD", "M1", 100)`.

    Args and raises as of `BarStream`.
    """
    return BarStream(server, symbol, period, count, **options)
