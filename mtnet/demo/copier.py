"""A follower of the demonstration: it copies as a terminal does, and tells what it holds."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.task import LoopingCall

from mtnet.client import Follower, Login, Spec
from mtnet.demo.account import Account, Quote, value
from mtnet.services.signals.wire.answers import Entry

REPORT_INTERVAL = 5.0
"""Seconds between two REPORTs, as of the expert."""
AGAIN = 8.0
"""Seconds after which a refused order is tried again: long enough to be seen on the page."""


class Pause(NamedTuple):
    """Orders wait from the second `begin` on for `length` seconds; again after `period`."""

    begin: float
    length: float
    period: float

    def end(self, at: float) -> float:
        """Return when an order is carried out that would be at a second."""
        since = (at - self.begin) % self.period
        return at + self.length - since if at >= self.begin and since < self.length else at


class Person(NamedTuple):
    """
    Somebody who copies.

    Attributes:
        delay: least and greatest number of seconds that an order takes.
        slippage: greatest number of points between the price that was seen and that of the fill.
        refuses: how many orders are filled before the broker refuses one; 0 = it refuses none.
        hangs: when its terminal does; None = never.
    """

    login: str
    name: str
    account: str
    delay: tuple[float, float]
    slippage: int
    refuses: int = 0
    hangs: Pause | None = None

    def faster(self, speed: float) -> "Person":
        """Return somebody whose orders take the less, the faster the provider trades."""
        least, greatest = self.delay
        return self._replace(delay=(least / speed, greatest / speed))


class Copier:
    """
    Simulated terminal that follows by dialect 2.

    Args:
        quote: returns the prices of a symbol; None = there was no tick.
        on_signal: called with the symbol and the volume of each signal, when it comes.
        event: called with a sentence for people.

    Attributes:
        follower: its connection.
        filled, refused: how many orders were.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        person: Person,
        password: str,
        quote: Callable[[str], Quote | None],
        on_signal: Callable[[str, Decimal], object],
        event: Callable[[str], object],
    ) -> None:
        self._reactor, self._person = reactor, person
        self._on_signal, self._event = on_signal, event
        self._random, self._account = Random(person.login), Account(quote)
        self._since, self._free = reactor.seconds(), 0.0
        self._wanted: dict[str, Entry] = {}
        self._orders: dict[IDelayedCall, None] = {}
        self._reports = LoopingCall(self._report)
        self._reports.clock = reactor
        self.filled = self.refused = 0
        self.follower = Follower(
            endpoint,
            reactor,
            on_snapshot=self._take_state,
            on_signal=self._take_signal,
            on_synced=self._report,
            name=person.name,
            login=Login(person.login, password),
        )

    def start(self) -> "Deferred[LoopingCall]":
        """Begin to report; return a Deferred that fails when that cannot go on."""
        return self._reports.start(REPORT_INTERVAL)

    def stop(self) -> None:
        """Trade and report no more."""
        if self._reports.running:
            self._reports.stop()
        for order in self._orders:
            order.cancel()
        self._orders.clear()

    # Signals

    def _take_state(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._take_signal(entry)

    def _take_signal(self, entry: Entry) -> None:
        self._on_signal(entry.symbol, entry.volume)
        self._wanted[entry.symbol] = entry
        now = self._reactor.seconds() - self._since
        at = max(now, self._free) + self._random.uniform(*self._person.delay)
        if self._person.hangs is not None:
            at = self._person.hangs.end(at)
        self._free = at
        self._later(at - now, entry.symbol, entry)

    def _later(self, delay: float, symbol: str, entry: Entry | None = None) -> None:
        def due() -> None:
            del self._orders[order]
            self._order(entry or self._wanted[symbol])

        order = self._reactor.callLater(delay, due)
        self._orders[order] = None

    # Orders

    def _order(self, entry: Entry) -> None:
        """Trade until the account holds what an entry says; the broker may refuse it once."""
        held = self._account.volume(entry.symbol)
        grows = abs(entry.volume) > abs(held)
        if grows and not self.refused and 0 < self._person.refuses <= self.filled:
            self._refuse(entry, held)
            return
        price = self._price(entry.symbol, entry.volume - held)
        if price is not None:
            if not held:
                self._describe(entry.symbol, price)
            self._account.trade(entry.symbol, entry.volume, price)
        self.filled += 1
        text = None if price is None else f"{price}"
        self.follower.acknowledge(entry.seq, "filled", price=text, volume=entry.volume)

    def _describe(self, symbol: str, price: Decimal) -> None:
        """Tell what a step of the price is worth."""
        tick = point(price)
        spec = Spec(symbol, tick=tick, tickvalue=tick * value(symbol), currency="USD")
        self.follower.report(spec)

    def _refuse(self, entry: Entry, held: Decimal) -> None:
        self.refused += 1
        position = f"{entry.symbol:<8} {entry.volume:+.2f}"
        self._event(f"{'':<8} {position}   REFUSED: no money")
        self.follower.acknowledge(entry.seq, "failed", volume=held, reason="no money")
        self._later(AGAIN, entry.symbol)

    def _price(self, symbol: str, volume: Decimal) -> Decimal | None:
        """Return what so many lots cost; None = nothing is traded, or there was no tick."""
        price = self._account.price(symbol, volume) if volume else None
        if price is None:
            return None
        off = self._random.randint(0, self._person.slippage) * point(price)
        return price + (off if volume > 0 else -off)

    def _report(self) -> None:
        self.follower.report(self._account.report(self._person.account))


def point(price: Decimal) -> Decimal:
    """Return the last digit of a price as a step of it."""
    return Decimal(1).scaleb(int(price.as_tuple().exponent))
