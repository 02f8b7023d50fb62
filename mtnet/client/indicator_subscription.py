"""Subscribe to the values of an indicator of a server."""

from collections.abc import Callable

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import subscription
from mtnet.client.core.tasks.indicators import Following, IndicatorCore
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
    core = IndicatorCore(Following(series, bars), login)
    received = {Value: on_value}
    return subscription(endpoint, core, clock, received, on_connected, on_lost, on_error)
