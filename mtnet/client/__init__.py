"""
What a Python program uses to publish, to follow, to fetch and store templates, and to be told
ticks.

Endpoints and the clock are handed in; everything that fails does so with a `ClientError`.

::

    signals = clientFromString(reactor, "tcp:127.0.0.1:8081")
    follow(signals, print, reactor).startService()
    await publish(signals, "GBPUSD", "0.25", reactor)
"""

from mtnet.client.calls import FIRST_DELAY, LONGEST_DELAY, why
from mtnet.client.signals import follow, publish
from mtnet.client.templates import MAX_ANSWER, Templates
from mtnet.client.ticks import Tick, subscribe

__all__ = [
    "FIRST_DELAY",
    "LONGEST_DELAY",
    "MAX_ANSWER",
    "Templates",
    "Tick",
    "follow",
    "publish",
    "subscribe",
    "why",
]
