"""The provider of the demonstration: it trades at random, and publishes at which prices."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from mtnet.client import Holdings, Login, Position, Publisher
from mtnet.demo.account import Account, Quote
from mtnet.demo.trader import Trader

LOGIN, NAME, ACCOUNT = "alice", "desk", "5100"


class Provider:
    """
    Simulated terminal that publishes. It trades on while its channel is paused, and publishes what
    it holds by then when the pause ends.

    Args:
        symbols: what it trades.
        quote: returns the prices of a symbol; None = there was no tick.

    Attributes:
        publisher: its connection.
        trader: decides what it trades.
    """

    def __init__(
        self,
        reactor: Any,
        endpoint: IStreamClientEndpoint,
        password: str,
        symbols: Sequence[str],
        quote: Callable[[str], Quote | None],
        seed: int,
    ) -> None:
        login = Login(LOGIN, password)
        self.publisher = Publisher(endpoint, reactor, positions=self._hold, name=NAME, login=login)
        self.trader = Trader(symbols, seed)
        self._account = Account(quote)
        self._held: dict[str, Position] = {}

    def publish(self, symbol: str, volume: Decimal) -> "Deferred[int]":
        """Hold so many lots from now on, and publish it, with the price where there is one."""
        price = self._account.price(symbol, volume - self._account.volume(symbol))
        if price is None:
            self._held[symbol] = Position(symbol, volume)
            return self.publisher.publish(symbol, volume)
        self._account.trade(symbol, volume, price)
        self._held[symbol] = Position(symbol, volume, price=f"{price}")
        return self.publisher.publish(symbol, volume, price=f"{price}")

    def _hold(self) -> Holdings:
        return Holdings(self._held.values(), flat=True)

    def report(self) -> None:
        """Tell the server about the account."""
        self.publisher.report(self._account.report(ACCOUNT))
