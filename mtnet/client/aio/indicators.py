"""Receive the values of an indicator, one after the other, and give values to a server."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mtnet.client.aio.logs import log_event
from mtnet.client.aio.stream import Stream
from mtnet.client.core.address import read_address
from mtnet.client.core.login import Login
from mtnet.client.core.tasks.indicators import (
    Following,
    IndicatorCore,
    IndicatorEvent,
    Keeping,
    items,
)
from mtnet.client.core.websocket import session_framing
from mtnet.services.indicators.wire import DEFAULT_BARS, Calced, Series, Value

FATAL = frozenset({"login", "denied", "verb"})
"""Codes of refusals that end the stream: the login, its rights, or a server without indicators."""
NOT_KEPT = FATAL | {"field", "server"}
"""The same for values that are to be kept."""


class IndicatorStream(Stream[Value]):
    """
    Asynchronous iterator over the values of an indicator: those of the last bars, the oldest first,
    then each as it comes. After a lost connection it yields what has changed meanwhile.

    Args:
        server: as of `Follower`; a port of signals, or a WebSocket.
        name: of the indicator, as its provider calls it.
        symbol: as its broker writes it.
        period: `M1` … `MN1`.
        bars: how many of the last bars.
        on_event: called with all events but values; their `str` is a sentence. By default they are
            logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login,
            lets it follow no such indicator or has none, or without `retry`.
    """

    def __init__(
        self,
        server: str,
        name: str,
        symbol: str,
        period: str,
        bars: int = DEFAULT_BARS,
        *,
        on_event: Callable[[IndicatorEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        task = Following(Series(name, symbol, period), bars)
        address, core = read_address(server, ca), IndicatorCore(task, login)
        super().__init__(address, core, session_framing, Value, FATAL, on_event, retry)


def indicator(
    server: str, name: str, symbol: str, period: str, bars: int = DEFAULT_BARS, **options: Any
) -> IndicatorStream:
    """
    Receive values: `async for value in indicator("tcp:127.0.0.1:8081", "RSI14", "EURUSD", "H1")`.

    Args and raises as of `IndicatorStream`.
    """
    return IndicatorStream(server, name, symbol, period, bars, **options)


async def calc(
    server: str,
    series: Series,
    bar: int,
    values: Iterable[float | str | None],
    *,
    open: bool = False,
    login: Login | None = None,
    ca: Path | str | None = None,
) -> None:
    """
    Connect, and give the server the values of one bar; return once they are on its disk.

    Args:
        bar: the time of its opening, milliseconds of the broker's clock.
        values: one for each buffer; None = EMPTY_VALUE.
        open: the bar is still open: its values will change.

    Raises:
        ClientError: the server refuses them, or there is no connection.
    """
    given = Value(
        Series(*series) if isinstance(series, tuple) else series, bar, items(values), open
    )
    core = IndicatorCore(Keeping(given), login)
    address = read_address(server, ca)
    stream = Stream(address, core, session_framing, Calced, NOT_KEPT, log_event, False)
    async with stream:
        await anext(stream)
