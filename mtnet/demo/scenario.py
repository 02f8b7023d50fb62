"""The demonstration's actors: a provider, three followers, ticks and a template."""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from twisted.application.internet import ClientService
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from mtnet.client import Follower, Publisher, Templates, Tick, follow, subscribe
from mtnet.client.failures import within
from mtnet.demo import market
from mtnet.demo.copier import REPORT_INTERVAL, Copier, Pause, Person
from mtnet.demo.daemon import DemoDaemon
from mtnet.demo.market import Market, MarketClock
from mtnet.demo.output import Console
from mtnet.demo.provider import Provider
from mtnet.demo.ticks import TickFeed
from mtnet.demo.trader import Trade
from mtnet.errors import ClientError, RefusedError

BEGIN = 0.6
"""Seconds until the first trade: a silent connection is a follower after 0.3."""
DELIVERY_TIMEOUT = 2.0
"""Seconds after which a signal counts as not delivered."""
TRADE_INTERVAL, TICK_INTERVAL = 0.9, 2.0
"""Least seconds between two trades, and between two lines about ticks, that are shown."""
STORE_TIMEOUT = 10.0
"""Seconds after which the daemon must have stored a signal."""
DRAIN = 5.0
"""Seconds that the end waits for ticks in flight."""
TEMPLATE = "<chart>\r\nid=0\r\nsymbol=EURUSD\r\nperiod_type=1\r\nperiod_size=1\r\n</chart>\r\n"
CLASSIC = "classic"
"""A program of the article, which tells nothing of itself."""
BOB = Person("bob", "vps", "5101", delay=(0.02, 0.06), slippage=2, refuses=4)
CAROL = Person("carol", "home", "5102", delay=(0.2, 0.9), slippage=9, hangs=Pause(24, 32, 120))
FOLLOWERS = {
    CLASSIC: "by the classic protocol",
    BOB.login: "over TLS, the certificate is checked",
    CAROL.login: "from far away",
}


@dataclass
class Counts:
    """Numbers of the summary; `worst` and `worst_disk` in seconds."""

    trades: int = 0
    signals: int = 0
    late: int = 0
    worst: float = 0.0
    worst_disk: float = 0.0
    templates: int = 0
    ticks: int = 0


@dataclass
class PendingTrade:
    """A trade on its way: the delay until each follower had it."""

    trade: Trade
    since: float
    delays: dict[str, float] = field(default_factory=dict)
    delivered: "Deferred[None]" = field(default_factory=Deferred)


class Scenario:
    """
    Runs the clients around the daemon.

    Args:
        shown: what the ticks are, and what the provider trades.
        speed: 2 = twice as fast.

    Attributes:
        failed: fires with a failure when the demonstration cannot go on.
    """

    def __init__(
        self,
        reactor: Any,
        daemon: DemoDaemon,
        console: Console,
        shown: Market,
        speed: float,
        seed: int,
    ) -> None:
        self._reactor, self._daemon, self._console, self._speed = reactor, daemon, console, speed
        on_end = partial(console.event, "ticks", "the file is at its end")
        self.feed = TickFeed(reactor, daemon, shown.quotes, speed, on_end)
        self._clock, plain = shown.clock, daemon.plain("signals")
        self._provider = Provider(
            reactor, plain, daemon.password, shown.symbols, self.feed.quote, seed
        )
        self._copiers: list[Copier] = []
        self._services: list[ClientService | Follower | Publisher] = []
        self._running: list[Any] = []
        self._pending: PendingTrade | None = None
        self._shown, self._hour = -TRADE_INTERVAL, market.OPENING
        self.counts, self.failed = Counts(), Deferred[None]()

    async def start(self) -> None:
        """Connect every client, and begin."""
        plain, received = self._daemon.plain("signals"), partial(self._received, CLASSIC)
        await self._connect(follow(plain, received, self._reactor))
        self._show_connected(CLASSIC)
        for person, endpoint in ((BOB, self._daemon.secure("signals")), (CAROL, plain)):
            await self._begin_copying(person, endpoint)
        await self._connect(self._provider.publisher)
        self._repeat(self._provider.report, REPORT_INTERVAL)
        ticks = self._daemon.plain("ticks")
        await self._connect(subscribe(ticks, "*", self._count_tick, self._reactor))
        self._console.event("ticks", "a subscriber of all symbols is connected")
        (await self.feed.start()).addErrback(self._fail)
        self._repeat(self._show_ticks, TICK_INTERVAL)
        if self._clock is not None:
            self._repeat(partial(self._show_events, self._clock), 0.1)
        for work in (self._provide(), self._show_template()):
            self._running.append(Deferred.fromCoroutine(work).addErrback(self._fail).cancel)

    async def stop(self) -> None:
        """Stop the senders, wait for ticks in flight, and disconnect every client."""
        self.feed.pause()
        for stop in self._running:
            stop()
        deadline = self._reactor.seconds() + DRAIN
        while self._in_flight() and self._reactor.seconds() < deadline:
            await deferLater(self._reactor, 0.02)
        self.feed.close()
        await DeferredList([service.stopService() for service in self._services])

    def _in_flight(self) -> bool:
        sent = self.feed.sent
        return self.counts.ticks < sent or self._daemon.stored_ticks() < sent

    async def _begin_copying(self, person: Person, endpoint: IStreamClientEndpoint) -> None:
        copier = Copier(
            self._reactor,
            endpoint,
            person.faster(self._speed),
            self._daemon.password,
            self.feed.quote,
            partial(self._received, person.login),
            partial(self._console.event, f"follower {person.login}"),
        )
        self._copiers.append(copier)
        await self._connect(copier.follower)
        copier.start().addErrback(self._fail)
        self._running.append(copier.stop)
        self._show_connected(person.login)

    def _show_connected(self, name: str) -> None:
        self._console.event(f"follower {name}", f"connected {FOLLOWERS[name]}")

    async def _connect(self, service: ClientService | Follower | Publisher) -> None:
        connected = service.whenConnected(failAfterFailures=1)
        service.startService()
        self._services.append(service)
        await connected

    def _repeat(self, call: Any, seconds: float) -> None:
        loop = LoopingCall(call)
        loop.clock = self._reactor
        loop.start(seconds, now=False).addErrback(self._fail)
        self._running.append(loop.stop)

    def _fail(self, failure: Failure) -> None:
        if not failure.check(CancelledError) and not self.failed.called:
            self.failed.errback(failure)

    # Signals

    @property
    def filled(self) -> int:
        """How many orders the followers filled that tell what they hold."""
        return sum(each.filled for each in self._copiers)

    @property
    def refused(self) -> int:
        """How many of these orders were refused at first."""
        return sum(each.refused for each in self._copiers)

    async def _provide(self) -> None:
        await deferLater(self._reactor, BEGIN)
        while True:
            await self._trade(self._provider.trader.trade())
            await deferLater(self._reactor, self._provider.trader.pause() / self._speed)

    async def _trade(self, trade: Trade) -> None:
        pending = self._pending = PendingTrade(trade, self._reactor.seconds())
        stored = self._provider.publish(trade.symbol, trade.volume)
        sentence = f"A signal was not stored within {STORE_TIMEOUT:g} s."
        try:
            await within(stored, STORE_TIMEOUT, self._reactor, sentence)
        except RefusedError as error:
            if error.code != "denied":
                raise
            # Somebody has paused the channel, on the page for example.
            self._pending = None
            self._console.event("provider", f"{trade.verb:<8} {_position(trade)}   REFUSED: paused")
            return
        disk = self._reactor.seconds() - pending.since
        pending.delivered.addTimeout(DELIVERY_TIMEOUT, self._reactor, lambda *_: None)
        await pending.delivered
        self._pending = None
        self._count_trade(pending.delays, disk)
        if self._console.elapsed() - self._shown >= TRADE_INTERVAL:
            self._shown = self._console.elapsed()
            self._show_trade(pending, disk)

    def _count_trade(self, delays: dict[str, float], disk: float) -> None:
        counts = self.counts
        counts.trades += 1
        counts.signals += len(delays)
        counts.late += len(FOLLOWERS) - len(delays)
        counts.worst = max(counts.worst, *delays.values(), 0.0)
        counts.worst_disk = max(counts.worst_disk, disk)

    def _received(self, name: str, symbol: str, volume: Decimal) -> None:
        pending = self._pending
        # The server repeats positions, for followers that missed one.
        if pending is None or name in pending.delays or (symbol, volume) != pending.trade[:2]:
            return
        pending.delays[name] = self._reactor.seconds() - pending.since
        if len(pending.delays) == len(FOLLOWERS) and not pending.delivered.called:
            pending.delivered.callback(None)

    def _show_trade(self, pending: PendingTrade, disk: float) -> None:
        position = _position(pending.trade)
        self._console.event("provider", f"{pending.trade.verb:<8} {position}   on disk after", disk)
        for name in FOLLOWERS:
            delay = pending.delays.get(name)
            text = "told after" if delay is not None else "NOT TOLD"
            self._console.event(f"follower {name}", f"{'':<8} {position}   {text}", delay)

    # Ticks

    def _count_tick(self, tick: Tick) -> None:
        self.counts.ticks += 1 + tick.skipped

    def _show_ticks(self) -> None:
        quotes = list(self.feed.last.values())
        if not quotes:
            return
        quote = quotes[int(self._console.elapsed() / TICK_INTERVAL) % len(quotes)]
        bid, ask = quote.rest.decode().split()[:2]
        text = f"{self.feed.sent:>7,} sent {self._daemon.stored_ticks():>7,} stored"
        self._console.event("ticks", f"{text}   {quote.symbol.decode()} {bid}/{ask}")

    def _show_events(self, clock: MarketClock) -> None:
        before, hour = self._hour, clock.hour(self.feed.at)
        found, self._hour = list(market.events(before, hour)), hour
        if found and (self._speed <= 4 or market.NEWS - 1 < hour % 24 < market.NEWS + 1):
            self._console.event("market", f"{market.time_of_day(hour)}  {found[-1]}")

    # Templates

    async def _show_template(self) -> None:
        await deferLater(self._reactor, BEGIN * 2)
        content, since = b"\xff\xfe" + TEMPLATE.encode("utf-16-le"), self._reactor.seconds()
        plain = Templates(self._daemon.plain("templates"), self._reactor)
        stored = await plain.put("EURUSD", "H1", content)
        text = f"EURUSD H1, {stored['size']} bytes, is version {stored['version']}"
        self._console.event("template put", text, self._reactor.seconds() - since)
        since = self._reactor.seconds()
        secure = Templates(self._daemon.secure("templates"), self._reactor)
        if await secure.get("EURUSD", "H1") != content:
            raise ClientError("The fetched template differs from the stored one.")
        self.counts.templates += 1
        took = self._reactor.seconds() - since
        self._console.event("template get", "EURUSD H1 over TLS, the same bytes", took)


def _position(trade: Trade) -> str:
    held = f"{trade.volume:+.2f}" if trade.volume else " flat"
    return f"{trade.symbol:<8} {held}"
