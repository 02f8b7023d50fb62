"""Receive ticks, one after the other."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from mtnet.client.aio.logs import log_event
from mtnet.client.aio.stream import Stream
from mtnet.client.core.address import read_address
from mtnet.client.core.login import Login
from mtnet.client.core.prices.ticks import Tick, TickCore, TickEvent
from mtnet.client.core.websocket import tick_framing

FATAL = frozenset({"login", "port"})
"""Codes of refusals that end the stream: the login, or a server of another kind."""


class TickStream(Stream[Tick]):
    """
    Asynchronous iterator over ticks: the last of each symbol after each connection, then all.

    Args:
        server: as of `Follower`; a port of ticks, or a WebSocket.
        symbols: `UK 100` or, as on the wire, `UK%20100`; None = all of them.
        on_event: called with all events but ticks, such as `Lost`; their `str` is a sentence. By
            default they are logged as `mtnet.client`.
        login, ca, retry: as of `Follower`.

    Raises:
        ClientError: an argument is invalid. The loop raises it when the server refuses the login,
            is none for ticks, or without `retry`.
    """

    def __init__(
        self,
        server: str,
        symbols: Iterable[str] | None = None,
        *,
        on_event: Callable[[TickEvent], object] = log_event,
        login: Login | None = None,
        ca: Path | str | None = None,
        retry: bool = True,
    ) -> None:
        address, core = (
            read_address(server, ca),
            TickCore(["*"] if symbols is None else symbols, login),
        )
        super().__init__(address, core, tick_framing, Tick, FATAL, on_event, retry)


def ticks(server: str, symbols: Iterable[str] | None = None, **options: Any) -> TickStream:
    """
    Receive ticks: `async for tick in ticks("tcp:127.0.0.1:8082", ["EURUSD"])`.

    Args and raises as of `TickStream`.
    """
    return TickStream(server, symbols, **options)
