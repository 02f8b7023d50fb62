"""
The client library for scripts and notebooks: calls that wait, and `for` loops.

Each object has the interface of that of `mtnet.client.aio`, without `await`. One thread of the
process carries all connections, so they are kept while the program does something else.

::

    for signal in follow("secure:fx.example:8081", state="gold.state"):
        print(signal.symbol, signal.volume)

    seq = publish("tcp:127.0.0.1:8081", "GBPUSD", "0.25")

    for tick in ticks("tcp:127.0.0.1:8082", ["EURUSD"]):
        print(tick.symbol, tick.bid, tick.ask)

    for bar in bars("tcp:127.0.0.1:8081", "EURUSD", "M1", 100):
        print(bar.time, bar.close, bar.current)

    for value in indicator("tcp:127.0.0.1:8081", "RSI14", "EURUSD", "H1"):
        print(value.bar, value.values, value.open)

    for ended in run_jobs("tcp:127.0.0.1:8081", "search", {"run-1": "5,20"}):
        print(ended.id, ended.dead, ended.text)

    work("tcp:127.0.0.1:8081", "search", calculate)

    for sums in sentiment("tcp:127.0.0.1:8081", ["EURUSD"], positions={"EURUSD": "0.25"}):
        print(sums.symbol, sums.net, sums.clients)
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Generic, TypeVar

from mtnet.client import aio
from mtnet.client.aio import (  # noqa: F401
    Bar,
    ClientError,
    Entry,
    FollowerEvent,
    Holdings,
    IndicatorValue,
    Login,
    Position,
    PublisherEvent,
    RefusedError,
    Report,
    Sentiment,
    Series,
    Signal,
    Spec,
    Terms,
    Tick,
)
from mtnet.client.aio.jobs import Calculation
from mtnet.client.aio.stream import Stream
from mtnet.client.core.numbers import Number
from mtnet.client.core.replica import Key
from mtnet.services.jobs.wire import Ended, Task
from mtnet.services.signals import values
from mtnet.services.ticks.verbs.wire import DEFAULT_BARS

__all__: list[str] = []
__all__ += aio.__all__  # each name is here, too
T = TypeVar("T")
S = TypeVar("S", bound="_Stream[Any]")


_STARTING = threading.Lock()
"""Held while the thread of the connections is looked for: two threads would start two."""


def _loop() -> asyncio.AbstractEventLoop:
    """Return the event loop of the thread that carries all connections."""
    with _STARTING:
        return _start_loop()


@cache
def _start_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="mtnet.client", daemon=True).start()
    return loop


def _wait(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in the thread, and return its result; Ctrl-C cancels it."""
    running = asyncio.run_coroutine_threadsafe(work, _loop())
    try:
        return running.result()
    except BaseException:
        running.cancel()
        raise


def _call(call: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a function in the thread, and return its result."""

    async def work() -> T:
        return call(*arguments, **options)

    return _wait(work())


class Follower:
    """
    Iterator over the changes of a channel: each once and in order, at least once over restarts.

    Args, attributes and methods as of `mtnet.client.aio.Follower`. `on_event` is called in the
    thread of the connections.
    """

    def __init__(self, server: str, channel: str = "main", **options: Any) -> None:
        self._follower = _call(aio.Follower, server, channel, **options)

    @property
    def positions(self) -> Mapping[Key, Entry]:
        """The positions that were handled: (symbol, ticket) → the entry that set it."""
        return self._follower.positions

    @property
    def epoch(self) -> str | None:
        """The journal that is followed; None = none yet."""
        return self._follower.epoch

    @property
    def seq(self) -> int:
        """The number of the last entry that was handled."""
        return self._follower.seq

    @property
    def blind(self) -> bool:
        """Whether nothing is known of the channel now."""
        return self._follower.blind

    @property
    def paused(self) -> values.PauseMode | None:
        """The mode of the channel's pause; None = it accepts everything."""
        return self._follower.paused

    @property
    def held(self) -> bool:
        """Whether another history waits for `accept()`; until then no entry comes."""
        return self._follower.held

    @property
    def max_age(self) -> float | None:
        """Seconds from its opening on in which a view's position is opened; None = any time."""
        return self._follower.max_age

    @property
    def max_slippage(self) -> Decimal | None:
        """
        Distance from the provider's price, in units of price, beyond which a view's position is
        not opened; None = no limit.
        """
        return self._follower.max_slippage

    def accept(self) -> None:
        """Follow the new epoch, or the history that went back, from the state that it shows."""
        _call(self._follower.accept)

    def acknowledge(self, seq: int, status: values.Status | None = None, **fields: Any) -> None:
        """Report the result of an entry to the provider; lost without a connection."""
        _call(self._follower.acknowledge, seq, status, **fields)

    def report(self, given: Report | Spec) -> bool:
        """Tell the server about the account, or about a symbol; return whether it was sent."""
        return _call(self._follower.report, given)

    def handled(self) -> None:
        """Note, and with `state` write, that the present entry is handled."""
        _call(self._follower.handled)

    def __iter__(self) -> "Follower":
        _call(self._follower.__aiter__)
        return self

    def __next__(self) -> Entry:
        return _next(self._follower)

    def __enter__(self) -> "Follower":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        _wait(self._follower.close())


class Publisher:
    """
    Publishes signals, and sends each again until the server has it on its disk.

    Args and methods as of `mtnet.client.aio.Publisher`. `on_event` and `positions` are called in
    the thread of the connections.
    """

    def __init__(self, server: str, channel: str = "main", **options: Any) -> None:
        self._publisher = _call(aio.Publisher, server, channel, **options)

    @property
    def waiting(self) -> int:
        """Signals that are not stored yet."""
        return self._publisher.waiting

    def publish(self, symbol: str, volume: Number, **fields: Any) -> int:
        """Set a position, whole; return the seq of its entry once that is on disk."""
        return _wait(self._publisher.publish(symbol, volume, **fields))

    def report(self, given: Report | Spec) -> bool:
        """Tell the server about the account, or about a symbol; return whether it was sent."""
        return _call(self._publisher.report, given)

    def __enter__(self) -> "Publisher":
        _wait(self._publisher.__aenter__())
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye and disconnect; signals without an answer fail."""
        _wait(self._publisher.close())


class _Stream(Generic[T]):
    """Iterator over the items of a stream of asyncio, and context manager."""

    _stream: Stream[T]

    def __iter__(self: S) -> S:
        return self

    def __next__(self) -> T:
        return _next(self._stream)

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect."""
        _wait(self._stream.close())


class TickStream(_Stream[Tick]):
    """
    Iterator over ticks: the last of each symbol after each connection, then all.

    Args as of `mtnet.client.aio.TickStream`.
    """

    def __init__(self, server: str, symbols: Iterable[str] | None = None, **options: Any) -> None:
        self._stream = _call(aio.TickStream, server, symbols, **options)


class BarStream(_Stream[Bar]):
    """
    Iterator over the bars of a symbol: the last ones, then the open one and each closed one.

    Args as of `mtnet.client.aio.BarStream`.
    """

    def __init__(
        self, server: str, symbol: str, period: str, count: int = DEFAULT_BARS, **options: Any
    ) -> None:
        self._stream = _call(aio.BarStream, server, symbol, period, count, **options)


class IndicatorStream(_Stream[IndicatorValue]):
    """
    Iterator over the values of an indicator: those of the last bars, then each as it comes.

    Args as of `mtnet.client.aio.IndicatorStream`.
    """

    def __init__(
        self,
        server: str,
        name: str,
        symbol: str,
        period: str,
        bars: int = DEFAULT_BARS,
        **options: Any,
    ) -> None:
        self._stream = _call(aio.IndicatorStream, server, name, symbol, period, bars, **options)


class JobRun(_Stream[Ended]):
    """
    Iterator over the ends of jobs, in the order in which they end; each once.

    Args as of `mtnet.client.aio.JobRun`.
    """

    def __init__(self, server: str, queue: str, jobs: Mapping[str, str], **options: Any) -> None:
        self._stream = _call(aio.JobRun, server, queue, jobs, **options)


class JobWorker(_Stream[Task]):
    """
    Iterator over the tasks of a worker; each is to end by `result` or `fail`.

    Args as of `mtnet.client.aio.JobWorker`.
    """

    _stream: aio.JobWorker

    def __init__(self, server: str, queue: str, slots: int = 1, **options: Any) -> None:
        self._stream = _call(aio.JobWorker, server, queue, slots, **options)

    def result(self, task: Task, data: str) -> None:
        """Send the result of a task; as `mtnet.client.aio.JobWorker.result`."""
        _call(self._stream.result, task, data)

    def fail(self, task: Task, reason: str) -> None:
        """Say that a task has failed."""
        _call(self._stream.fail, task, reason)


class SentimentStream(_Stream[Sentiment]):
    """
    Iterator over the sums of symbols: those that are shown, then each that changes.

    Args as of `mtnet.client.aio.SentimentStream`.
    """

    _stream: aio.SentimentStream

    def __init__(self, server: str, symbols: Iterable[str] = (), **options: Any) -> None:
        self._stream = _call(aio.SentimentStream, server, symbols, **options)

    def hold(self, symbol: str, volume: Number) -> None:
        """As of `mtnet.client.aio.SentimentStream`."""
        _call(self._stream.hold, symbol, volume)


async def _coroutine(work: Awaitable[T]) -> T:
    return await work


def _next(items: AsyncIterator[T]) -> T:
    """Return the next item of an asynchronous iterator."""
    try:
        return _wait(_coroutine(items.__anext__()))
    except StopAsyncIteration:
        raise StopIteration from None


def follow(server: str, channel: str = "main", **options: Any) -> Follower:
    """
    Follow a channel: `for signal in follow("tcp:127.0.0.1:8081")`.

    Args and raises as of `mtnet.client.aio.Follower`.
    """
    return Follower(server, channel, **options)


def publish(server: str, symbol: str, volume: Number, **options: Any) -> int:
    """
    Connect, publish one signal beside the channel's publisher, and return the seq of its entry.

    Args and raises as of `mtnet.client.aio.publish`.
    """
    return _wait(aio.publish(server, symbol, volume, **options))


def ticks(server: str, symbols: Iterable[str] | None = None, **options: Any) -> TickStream:
    """
    Receive ticks: `for tick in ticks("tcp:127.0.0.1:8082", ["EURUSD"])`.

    Args and raises as of `mtnet.client.aio.TickStream`.
    """
    return TickStream(server, symbols, **options)


def bars(
    server: str, symbol: str, period: str, count: int = DEFAULT_BARS, **options: Any
) -> BarStream:
    """
    Receive bars: `for bar in bars("tcp:127.0.0.1:8081", "EURUSD", "M1", 100)`.

    Args and raises as of `mtnet.client.aio.BarStream`.
    """
    return BarStream(server, symbol, period, count, **options)


def indicator(
    server: str, name: str, symbol: str, period: str, bars: int = DEFAULT_BARS, **options: Any
) -> IndicatorStream:
    """
    Receive values: `for value in indicator("tcp:127.0.0.1:8081", "RSI14", "EURUSD", "H1")`.

    Args and raises as of `IndicatorStream`.
    """
    return IndicatorStream(server, name, symbol, period, bars, **options)


def sentiment(server: str, symbols: Iterable[str] = (), **options: Any) -> SentimentStream:
    """
    Receive sums: `for sums in sentiment("tcp:127.0.0.1:8081", ["EURUSD"])`.

    Args and raises as of `SentimentStream`.
    """
    return SentimentStream(server, symbols, **options)


def calc(
    server: str,
    series: Series,
    bar: int,
    values: Iterable[float | str | None],
    **options: Any,
) -> None:
    """
    Connect, and give the server the values of one bar; return once they are on its disk.

    Args and raises as of `mtnet.client.aio.calc`.
    """
    _wait(aio.calc(server, series, bar, values, **options))


def run_jobs(server: str, queue: str, jobs: Mapping[str, str], **options: Any) -> JobRun:
    """
    Offer jobs, and receive their ends: `for ended in run_jobs(server, "q", {"1": "data"})`.

    Args and raises as of `mtnet.client.aio.JobRun`.
    """
    return JobRun(server, queue, jobs, **options)


def work(server: str, queue: str, calculate: Calculation, slots: int = 1, **options: Any) -> None:
    """
    Carry out jobs until Ctrl-C.

    Args and raises as of `mtnet.client.aio.work`.
    """
    _wait(aio.work(server, queue, calculate, slots, **options))
