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

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mtnet.backoff import FIRST_DELAY, LONGEST_DELAY
    from mtnet.client.bar_subscription import subscribe_bars
    from mtnet.client.classic import follow
    from mtnet.client.core.prices.ticks import Tick
    from mtnet.client.core.reconciliation import Holdings, Position
    from mtnet.client.endpoints import server_from_string
    from mtnet.client.failures import why
    from mtnet.client.follower import Follower
    from mtnet.client.indicator_subscription import subscribe_indicator
    from mtnet.client.login import Login
    from mtnet.client.publisher import Publisher
    from mtnet.client.sentiment_subscription import subscribe_sentiment
    from mtnet.client.templates import MAX_ANSWER, Templates
    from mtnet.client.tick_sender import TickSender
    from mtnet.client.tick_subscription import subscribe
    from mtnet.errors import RefusedError
    from mtnet.services.indicators.wire import Series
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
    "Series",
    "Spec",
    "Templates",
    "Tick",
    "TickSender",
    "follow",
    "server_from_string",
    "subscribe",
    "subscribe_bars",
    "subscribe_indicator",
    "subscribe_sentiment",
    "why",
]

_MODULES = {
    "mtnet.backoff": ("FIRST_DELAY", "LONGEST_DELAY"),
    "mtnet.client.bar_subscription": ("subscribe_bars",),
    "mtnet.client.classic": ("follow",),
    "mtnet.client.core.prices.ticks": ("Tick",),
    "mtnet.client.core.reconciliation": ("Holdings", "Position"),
    "mtnet.client.endpoints": ("server_from_string",),
    "mtnet.client.failures": ("why",),
    "mtnet.client.follower": ("Follower",),
    "mtnet.client.indicator_subscription": ("subscribe_indicator",),
    "mtnet.client.login": ("Login",),
    "mtnet.client.publisher": ("Publisher",),
    "mtnet.client.sentiment_subscription": ("subscribe_sentiment",),
    "mtnet.client.templates": ("MAX_ANSWER", "Templates"),
    "mtnet.client.tick_sender": ("TickSender",),
    "mtnet.client.tick_subscription": ("subscribe",),
    "mtnet.errors": ("RefusedError",),
    "mtnet.services.indicators.wire": ("Series",),
    "mtnet.services.signals.reports.wire": ("Report", "Spec"),
    "mtnet.services.ticks.verbs.wire": ("Bar",),
}
"""Where the names are from. Each is imported at its first use: a program that sends ticks needs
nothing of templates."""
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a name of this package when it is used."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = resolve_name(f"{_MODULE_OF[name]}:{name}")
    return value
