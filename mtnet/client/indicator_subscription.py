"""Subscribe to the values of an indicator of a server."""

from collections.abc import Callable
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused, Unreachable
from mtnet.client.core.tasks.indicators import Following, IndicatorCore, IndicatorEvent
from mtnet.client.failures import log, warn
from mtnet.client.login import Login
from mtnet.services.indicators.wire import DEFAULT_BARS, Series, Value


def subscribe_indicator(
    endpoint: IStreamClientEndpoint,
    series: Series,
    on_value: Callable[[Value], object],
    clock: IReactorTime,
    bars: int = DEFAULT_BARS,
    *,
    on_connected: Callable[[], object] = noop,
    on_lost: Callable[[str], object] = noop,
    on_error: Callable[[str, str], object] = noop,
    login: Login | None = None,
) -> ClientService:
    """
    Return a service that receives values of an indicator, and reconnects when it must.

    Args:
        endpoint: a port of sessions, such as that of signals, or a WebSocket.
        on_value: called with the values of the last bars, the oldest first, then with each as it
            comes; after a lost connection with what has changed meanwhile.
        bars: how many of the last bars.
        on_connected: called when the server has answered, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code, such as `login` or `denied`, and a sentence.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: there are no such values.
    """
    callbacks: dict[type, Callable[[Any], object]] = {
        Value: on_value,
        Connected: lambda _: on_connected(),
        Lost: lambda lost: on_lost(lost.reason),
        Refused: lambda refused: on_error(refused.code, refused.text),
        LeftOut: lambda left_out: log.warn("{event}", event=left_out),
        Notice: lambda notice: warn(notice.text),
        Unreachable: noop,
    }

    def handle(event: IndicatorEvent) -> None:
        callbacks[type(event)](event)

    core = IndicatorCore(Following(series, bars), login)
    return Runner(endpoint, core, clock, handle).service
