"""
The client library: publish and follow signals, fetch and store templates, send and receive ticks.

Endpoints and the clock are handed in; everything that fails does so with a `ClientError`.

::

    signals = server_from_string(reactor, "secure:fx.example:8081")
    Follower(signals, reactor, on_snapshot=print, on_signal=print).startService()
    publisher = Publisher(signals, reactor)
    publisher.startService()
    seq = await publisher.publish("GBPUSD", "0.25")
"""

from mtnet.backoff import FIRST_DELAY, LONGEST_DELAY
from mtnet.client.bar_subscription import subscribe_bars
from mtnet.client.classic import follow
from mtnet.client.core.prices.ticks import Tick
from mtnet.client.core.reconciliation import Holdings, Position
from mtnet.client.endpoints import server_from_string
from mtnet.client.failures import why
from mtnet.client.follower import Follower
from mtnet.client.login import Login
from mtnet.client.publisher import Publisher
from mtnet.client.templates import MAX_ANSWER, Templates
from mtnet.client.tick_sender import TickSender
from mtnet.client.tick_subscription import subscribe
from mtnet.errors import RefusedError
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.services.ticks.verbs.wire import Bar

__all__ = [
    "FIRST_DELAY",
    "LONGEST_DELAY",
    "MAX_ANSWER",
    "Bar",
    "Follower",
    "Holdings",
    "Login",
    "Position",
    "Publisher",
    "RefusedError",
    "Report",
    "Spec",
    "Templates",
    "Tick",
    "TickSender",
    "follow",
    "server_from_string",
    "subscribe",
    "subscribe_bars",
    "why",
]
