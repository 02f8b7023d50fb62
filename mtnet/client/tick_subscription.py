"""Subscribe to ticks of a server."""

from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, LeftOut, Lost, Refused, Unreachable
from mtnet.client.core.prices.ticks import Tick, TickCore, TickEvent
from mtnet.client.core.websocket import tick_framing
from mtnet.client.failures import log
from mtnet.client.login import Login


def subscribe(
    endpoint: IStreamClientEndpoint,
    symbols: Iterable[str],
    on_tick: Callable[[Tick], object],
    clock: IReactorTime,
    *,
    on_connected: Callable[[], object] = noop,
    on_lost: Callable[[str], object] = noop,
    on_error: Callable[[str], object] = noop,
    login: Login | None = None,
) -> ClientService:
    """
    Return a service that receives ticks from a server, and reconnects when it must.

    Start it with `startService()`; `whenConnected(failAfterFailures=1)`, called before, shows
    whether the first attempt succeeded.

    Args:
        symbols: `UK 100` or, as on the wire, `UK%20100`; `*` is all of them.
        on_tick: called with the last tick of each symbol after each connection, and then with
            every one.
        on_connected: called when the server has accepted the subscription, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code such as `login`, and a sentence, when the server refuses;
            `port` = something else than a tick port.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: one of the symbols is too long for one.
    """
    callbacks: dict[type, Callable[[Any], object]] = {
        Tick: on_tick,
        Connected: lambda _: on_connected(),
        Lost: lambda lost: on_lost(lost.reason),
        Refused: lambda refused: on_error(f"{refused.code} {refused.text}"),
        LeftOut: _log_left_out,
        Unreachable: noop,
    }

    def handle(event: TickEvent) -> None:
        callbacks[type(event)](event)

    return Runner(endpoint, TickCore(symbols, login), clock, handle, tick_framing).service


def _log_left_out(left_out: LeftOut) -> None:
    log.warn("A line of the server is left out: {error}", error=left_out.error)
