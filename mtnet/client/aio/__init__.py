"""
The client library for asyncio: follow and publish signals, receive ticks and bars, share jobs.

No Twisted runs. A server is text: `tcp:HOST:PORT`, `secure:HOST:PORT` (TLS), `ws://` or `wss://`,
for signals `http://` or `https://` as well.

::

    async for signal in follow("secure:fx.example:8081", state="gold.state"):
        print(signal.symbol, signal.volume)

    seq = await publish("tcp:127.0.0.1:8081", "GBPUSD", "0.25")

    async for tick in ticks("tcp:127.0.0.1:8082", ["EURUSD"]):
        print(tick.symbol, tick.bid, tick.ask)

    async for bar in bars("tcp:127.0.0.1:8081", "EURUSD", "M1", 100):
        print(bar.time, bar.close, bar.current)

    async for value in indicator("tcp:127.0.0.1:8081", "RSI14", "EURUSD", "H1"):
        print(value.bar, value.values, value.open)

    async for ended in run_jobs("tcp:127.0.0.1:8081", "search", {"run-1": "5,20"}):
        print(ended.id, ended.dead, ended.text)

    await work("tcp:127.0.0.1:8081", "search", calculate)

    async for sums in sentiment("tcp:127.0.0.1:8081", ["EURUSD"], positions={"EURUSD": "0.25"}):
        print(sums.symbol, sums.net, sums.clients)
"""

from mtnet.client.aio.bars import BarStream, bars
from mtnet.client.aio.follower import Follower, follow
from mtnet.client.aio.indicators import IndicatorStream, calc, indicator
from mtnet.client.aio.jobs import JobRun, JobWorker, run_jobs, work
from mtnet.client.aio.publisher import Publisher, publish
from mtnet.client.aio.sentiment import SentimentStream, sentiment
from mtnet.client.aio.ticks import TickStream, ticks
from mtnet.client.core.events import FollowerEvent, PublisherEvent
from mtnet.client.core.login import Login
from mtnet.client.core.prices.ticks import Tick
from mtnet.client.core.reconciliation import Holdings, Position
from mtnet.client.core.tasks.jobs import Terms
from mtnet.errors import ClientError, RefusedError
from mtnet.services.indicators.wire import Series
from mtnet.services.indicators.wire import Value as IndicatorValue
from mtnet.services.sentiment.wire import Sentiment
from mtnet.services.signals.reports.wire import Report, Spec
from mtnet.services.signals.wire.answers import Entry, Signal
from mtnet.services.ticks.verbs.wire import Bar

__all__ = [
    "Bar",
    "BarStream",
    "ClientError",
    "Entry",
    "Follower",
    "FollowerEvent",
    "Holdings",
    "IndicatorStream",
    "IndicatorValue",
    "JobRun",
    "JobWorker",
    "Login",
    "Position",
    "Publisher",
    "PublisherEvent",
    "RefusedError",
    "Report",
    "Sentiment",
    "SentimentStream",
    "Series",
    "Signal",
    "Spec",
    "Terms",
    "Tick",
    "TickStream",
    "bars",
    "calc",
    "follow",
    "indicator",
    "publish",
    "run_jobs",
    "sentiment",
    "ticks",
    "work",
]
