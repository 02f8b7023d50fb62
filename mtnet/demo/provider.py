"""The provider of the demonstration: it trades at random, and publishes at which prices."""

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from mtnet.client import Holdings, Login, Position, Publisher, Report
from mtnet.demo.account import Account, Quote
from mtnet.demo.copier import BUILD, SERVER
from mtnet.demo.trader import Trade, Trader

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
        self._quote, self._account = quote, Account(quote)
        self._held: dict[str, Position] = {}

    def publish(self, trade: Trade) -> "Deferred[int]":
        """Trade in the account, and publish it, with the price where there is one."""
        symbol, volume = trade.symbol, trade.volume
        quote = self._quote(symbol)
        if quote is None:
            self._held[symbol] = Position(symbol, volume)
            return self.publisher.publish(symbol, volume)
        price = quote.of(volume - self._account.volume(symbol))
        self._account.trade(symbol, volume, price)
        self._held[symbol] = Position(symbol, volume, price=f"{price}")
        return self.publisher.publish(symbol, volume, price=f"{price}")

    def _hold(self) -> Holdings:
        return Holdings(self._held.values(), flat=True)

    def report(self) -> None:
        """Tell the server about the account."""
        account = self._account
        report = Report(
            trading=True,
            balance=account.balance,
            equity=account.equity,
            currency="USD",
            mode="netting",
            build=BUILD,
            account=ACCOUNT,
            server=SERVER,
        )
        self.publisher.report(report)
