"""Subscribe to the bars of a symbol of a server."""

from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import subscription
from mtnet.client.core.events import LeftOut
from mtnet.client.core.prices.bars import BarCore, BarProgress
from mtnet.client.failures import log
from mtnet.client.login import Login
from mtnet.services.ticks.verbs.wire import DEFAULT_BARS, Bar


def subscribe_bars(
    endpoint: IStreamClientEndpoint,
    symbol: str,
    period: str,
    on_bar: Callable[[Bar], object],
    clock: IReactorTime,
    count: int = DEFAULT_BARS,
    *,
    on_connected: Callable[[], object] = noop,
    on_lost: Callable[[str], object] = noop,
    on_error: Callable[[str, str], object] = noop,
    login: Login | None = None,
) -> ClientService:
    """
    Return a service that receives bars from a server, and reconnects when it must.

    Args:
        endpoint: a port of signals, or a WebSocket: bars are part of a session.
        symbol: as its broker writes it.
        period: `S1` … `S30`, `M1` … `MN1`.
        on_bar: called with the last bars, the oldest first, then with the open bar (`current`) as
            it changes and with each closed one.
        count: of the last bars, 1 to 5,000.
        on_connected: called when the server has accepted the subscription, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code, such as `login` or `denied`, and a sentence.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: there are no such bars.
    """
    core = BarCore(BarProgress(symbol, period, count), login)
    received: dict[type, Callable[[Any], object]] = {Bar: on_bar, LeftOut: _log_left_out}
    return subscription(endpoint, core, clock, received, on_connected, on_lost, on_error)


def _log_left_out(left_out: LeftOut) -> None:
    log.warn("A message of the server is left out: {error}", error=left_out.error)
