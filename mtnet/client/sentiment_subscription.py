"""Subscribe to what clients hold, as sums."""

from collections.abc import Callable, Iterable, Mapping

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import subscription
from mtnet.client.core.numbers import Number
from mtnet.client.core.tasks.sentiment import SentimentCore, Watching
from mtnet.client.login import Login
from mtnet.services.sentiment.wire import Sentiment


def subscribe_sentiment(
    endpoint: IStreamClientEndpoint,
    symbols: Iterable[str],
    on_sums: Callable[[Sentiment], object],
    clock: IReactorTime,
    positions: Mapping[str, Number] = {},
    *,
    on_connected: Callable[[], object] = noop,
    on_lost: Callable[[str], object] = noop,
    on_error: Callable[[str, str], object] = noop,
    login: Login | None = None,
) -> ClientService:
    """
    Return a service that receives sums, and reconnects when it must.

    Args:
        endpoint: a port of sessions, such as that of signals, or a WebSocket.
        symbols: none = all that are shown.
        on_sums: called with the sums that are shown, then with each that changes; with all of them
            again after a lost connection.
        positions: lots by symbol that the program holds itself, negative = sold: its votes.
        on_connected: called when the server has answered, on each connection.
        on_lost: called with the reason when a connection ends, also by `stopService()`.
        on_error: called with a code, such as `login` or `denied`, and a sentence.
        login: sent only over TLS or within this machine.

    Raises:
        ClientError: there are no such symbols or lots.
    """
    core = SentimentCore(Watching(symbols, positions), login)
    received = {Sentiment: on_sums}
    return subscription(endpoint, core, clock, received, on_connected, on_lost, on_error)
