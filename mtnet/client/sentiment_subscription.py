"""Subscribe to what clients hold, as sums."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint

from mtnet.callbacks import noop
from mtnet.client.connection import Runner
from mtnet.client.core.events import Connected, LeftOut, Lost, Notice, Refused, Unreachable
from mtnet.client.core.numbers import Number
from mtnet.client.core.tasks.sentiment import SentimentCore, SentimentEvent, Watching
from mtnet.client.failures import log, warn
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
    callbacks: dict[type, Callable[[Any], object]] = {
        Sentiment: on_sums,
        Connected: lambda _: on_connected(),
        Lost: lambda lost: on_lost(lost.reason),
        Refused: lambda refused: on_error(refused.code, refused.text),
        LeftOut: lambda left_out: log.warn("{event}", event=left_out),
        Notice: lambda notice: warn(notice.text),
        Unreachable: noop,
    }

    def handle(event: SentimentEvent) -> None:
        callbacks[type(event)](event)

    core = SentimentCore(Watching(symbols, positions), login)
    return Runner(endpoint, core, clock, handle).service
