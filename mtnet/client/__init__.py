"""
What a Python program uses to publish, to follow, to fetch and store templates, and to send
ticks and be told them.

Endpoints and the clock are handed in; everything that fails does so with a `ClientError`.

::

    signals = server_from_string(reactor, "secure:fx.example:8081")
    follow(signals, print, reactor).startService()
    local = server_from_string(reactor, "tcp:127.0.0.1:8081")  # publishing knows no TLS
    await publish(local, "GBPUSD", "0.25", reactor)
"""

from mtnet.client.calls import FIRST_DELAY, LONGEST_DELAY, why
from mtnet.client.endpoints import server_from_string
from mtnet.client.login import Login
from mtnet.client.sender import TickSender
from mtnet.client.signals import follow, publish
from mtnet.client.templates import MAX_ANSWER, Templates
from mtnet.client.ticks import Tick, subscribe

__all__ = [
    "FIRST_DELAY",
    "LONGEST_DELAY",
    "MAX_ANSWER",
    "Login",
    "Templates",
    "Tick",
    "TickSender",
    "follow",
    "publish",
    "server_from_string",
    "subscribe",
    "why",
]
