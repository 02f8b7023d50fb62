"""The demonstration itself: who does what, and when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from mtnet.client import Templates, Tick, follow, publish, subscribe
from mtnet.demo import market
from mtnet.demo.daemon import DemoDaemon
from mtnet.demo.market import Quote
from mtnet.demo.output import Console
from mtnet.demo.ticks import TickFeed
from mtnet.demo.trader import Trade, Trader
from mtnet.errors import ClientError

BEGIN = 0.6
"""Seconds until the first trade: a silent connection is a follower after 0.3."""
DELIVERY_TIMEOUT = 2.0
"""Seconds after which a follower was not told."""
SHOWN = 0.9
"""Seconds between two trades that are shown, however many there are."""
TICKS_SHOWN = 2.0
"""Seconds between two lines about ticks."""
DRAIN = 5.0
"""Seconds that the end waits for ticks that are under way."""
TEMPLATE = "<chart>\r\nid=0\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n</chart>\r\n"
FOLLOWERS = ("plain", "TLS")


@dataclass
class Counts:
    """What the summary tells."""

    trades: int = 0
    delivered: int = 0
    late: int = 0
    worst: float = 0.0
    worst_disk: float = 0.0
    templates: int = 0
    ticks_delivered: int = 0


@dataclass
class PendingTrade:
    """A trade that followers have yet to be told."""

    trade: Trade
    since: float
    delays: dict[str, float] = field(default_factory=dict)
    all_delivered: "Deferred[None]" = field(default_factory=Deferred)


class Scenario:
    """
    Everybody around the daemon.

    Args:
        symbols: what the provider trades.
        speed: 2 = twice as fast.

    Attributes:
        counts: for the summary.
        failed: fires with a failure when the demonstration cannot go on.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: DemoDaemon,
        console: Console,
        quotes: Iterator[Quote],
        symbols: list[str],
        speed: float,
        seed: int,
    ) -> None:
        self._reactor, self._daemon, self._console, self._speed = reactor, daemon, console, speed
        self.feed = TickFeed(reactor, daemon, quotes, speed, self._file_ended)
        self._trader = Trader(symbols, seed)
        self._made_up = len(symbols) > 1
        self._services: list[ClientService] = []
        self._loops: list[LoopingCall] = []
        self._working: list[Deferred[None]] = []
        self._waiting: PendingTrade | None = None
        self._shown, self._hour = -SHOWN, market.hour_at(0)
        self.counts = Counts()
        self.failed: Deferred[None] = Deferred()

    async def start(self) -> None:
        """Connect everybody, and begin."""
        signals = {"plain": self._daemon.plain("signals"), "TLS": self._daemon.secure("signals")}
        for name in FOLLOWERS:
            await self._join(follow(signals[name], partial(self._delivered, name), self._reactor))
            self._console.tell(f"follower {name}", "connected" + _checked(name))
        await self._join(subscribe(self._daemon.plain("ticks"), "*", self._ticked, self._reactor))
        self._console.tell("ticks", "a subscriber of all symbols is connected")
        running = await self.feed.start()
        running.addErrback(self._fail)
        self._loop(self._tell_ticks, TICKS_SHOWN)
        if self._made_up:
            self._loop(self._tell_events, 0.1)
        for work in (self._provide(), self._show_template()):
            self._working.append(Deferred.fromCoroutine(work).addErrback(self._fail))

    async def stop(self) -> None:
        """Stop what sends, wait for what is under way, and disconnect everybody."""
        self.feed.pause()
        for working in self._working:
            working.cancel()
        for loop in self._loops:
            loop.stop()
        deadline = self._reactor.seconds() + DRAIN
        while self._under_way() and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, 0.02)
        self.feed.close()
        await DeferredList([service.stopService() for service in self._services])

    def _under_way(self) -> bool:
        sent = self.feed.sent
        return self.counts.ticks_delivered < sent or self._daemon.health()["stored"] < sent

    async def _join(self, service: ClientService) -> None:
        connected = service.whenConnected(failAfterFailures=1)
        service.startService()
        self._services.append(service)
        await connected

    def _loop(self, what: Any, seconds: float) -> None:
        loop = LoopingCall(what)
        loop.clock = self._reactor
        loop.start(seconds, now=False).addErrback(self._fail)
        self._loops.append(loop)

    def _fail(self, failure: Failure) -> None:
        if not failure.check(CancelledError) and not self.failed.called:
            self.failed.errback(failure)

    # Signals

    async def _provide(self) -> None:
        await deferLater(self._reactor, BEGIN)
        while True:
            await self._trade(self._trader.trade())
            await deferLater(self._reactor, self._trader.pause() / self._speed)

    async def _trade(self, trade: Trade) -> None:
        since = self._reactor.seconds()
        waiting = self._waiting = PendingTrade(trade, since)
        await publish(self._daemon.plain("signals"), trade.symbol, trade.volume, self._reactor)
        disk = self._reactor.seconds() - since
        waiting.all_delivered.addTimeout(DELIVERY_TIMEOUT, self._reactor, lambda *_: None)
        await waiting.all_delivered
        self._waiting = None
        self._count(waiting, disk)
        self._show_trade(waiting, disk)

    def _count(self, waiting: PendingTrade, disk: float) -> None:
        counts, delays = self.counts, waiting.delays.values()
        counts.trades += 1
        counts.delivered += len(delays)
        counts.late += len(FOLLOWERS) - len(delays)
        counts.worst = max(counts.worst, *delays, 0.0)
        counts.worst_disk = max(counts.worst_disk, disk)

    def _delivered(self, name: str, symbol: str, volume: Decimal) -> None:
        waiting = self._waiting
        if waiting is None or name in waiting.delays:
            return
        if (symbol, volume) != waiting.trade[:2]:
            return  # A position is told again, for those who missed it.
        waiting.delays[name] = self._reactor.seconds() - waiting.since
        if len(waiting.delays) == len(FOLLOWERS) and not waiting.all_delivered.called:
            waiting.all_delivered.callback(None)

    def _show_trade(self, waiting: PendingTrade, disk: float) -> None:
        now, (symbol, volume, verb) = self._console.elapsed(), waiting.trade
        if now - self._shown < SHOWN:
            return
        self._shown = now
        position = f"{symbol:<8} {volume:+.2f}" if volume else f"{symbol:<8}  flat"
        self._console.tell("provider", f"{verb:<8} {position}   on disk after", disk)
        for name in FOLLOWERS:
            delay = waiting.delays.get(name)
            text = "told after" if delay is not None else "NOT TOLD"
            self._console.tell(f"follower {name}", f"{'':<8} {position}   {text}", delay)

    # Ticks

    def _ticked(self, tick: Tick) -> None:
        self.counts.ticks_delivered += 1 + tick.skipped

    def _tell_ticks(self) -> None:
        stored = self._daemon.health()["stored"]
        quotes = list(self.feed.last.values())
        if not quotes:
            return
        quote = quotes[int(self._console.elapsed() / TICKS_SHOWN) % len(quotes)]
        bid, ask = quote.rest.decode().split()[:2]
        text = f"{self.feed.sent:>7,} sent {stored:>7,} stored"
        self._console.tell("ticks", f"{text}   {quote.symbol.decode()} {bid}/{ask}")

    def _tell_events(self) -> None:
        hour = market.hour_at(self.feed.at)
        found = list(market.events(self._hour, hour))
        self._hour = hour
        if found and (self._speed <= 4 or market.NEWS - 1 < hour % 24 < market.NEWS + 1):
            self._console.tell("market", f"{market.clock(hour)}  {found[-1]}")

    def _file_ended(self) -> None:
        self._console.tell("ticks", "the file is at its end")

    # Templates

    async def _show_template(self) -> None:
        await deferLater(self._reactor, BEGIN * 2)
        content, since = b"\xff\xfe" + TEMPLATE.encode("utf-16-le"), self._reactor.seconds()
        stored = await Templates(self._daemon.plain("templates"), self._reactor).put(
            "EURUSD", "H1", content
        )
        took = self._reactor.seconds() - since
        size, version = stored["size"], stored["version"]
        self._console.tell("template put", f"EURUSD H1, {size} bytes, is version {version}", took)
        since = self._reactor.seconds()
        fetched = await Templates(self._daemon.secure("templates"), self._reactor).get(
            "EURUSD", "H1"
        )
        if fetched != content:
            raise ClientError("The template that came back is not the one that was stored.")
        self.counts.templates += 1
        took = self._reactor.seconds() - since
        self._console.tell("template get", "EURUSD H1 over TLS, the same bytes", took)


def _checked(name: str) -> str:
    return ", the certificate is checked" if name == "TLS" else ""
