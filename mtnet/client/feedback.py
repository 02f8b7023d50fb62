"""Mix-ins of the clients: reports of the account, and the results of entries."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Protocol

from mtnet.client.core.follower import FollowerCore
from mtnet.client.core.session import Session
from mtnet.errors import ClientError, WireError
from mtnet.services.signals import values
from mtnet.services.signals.reports.wire import Report, Spec, report, spec
from mtnet.services.signals.wire.requests import Ack


class _InSession(Protocol):
    @property
    def session(self) -> Session: ...


class Reporting:
    """Mix-in of the clients that have a session, under every event loop."""

    _core: _InSession

    def _run(self, events: Iterable[Any] = ()) -> None:
        """Handle events, and send what waits."""
        raise NotImplementedError

    def report(self, given: Report | Spec) -> bool:
        """
        Tell the server about the account of this program, or about a symbol of its broker.

        The server remembers both under this login and `name`. Returns whether it was sent: not
        without a connection, and not to an older server.

        Raises:
            ClientError: a value can be none.
        """
        try:
            frame = report(given) if isinstance(given, Report) else spec(given)
        except WireError as error:
            raise ClientError(f"{error}; {given} cannot be reported.") from error
        sent = self._core.session.offers("signals")
        if sent:
            self._core.session.send(frame)
            self._run()
        return sent


class Acknowledging(Reporting):
    """Mix-in of the followers."""

    _core: FollowerCore

    @property
    def max_age(self) -> float | None:
        """Seconds from its opening on in which a view's position is opened; None = any time."""
        return self._core.max_age

    @property
    def max_slippage(self) -> Decimal | None:
        """
        Distance from the provider's price, in units of price, beyond which a view's position is
        not opened; None = no limit.
        """
        return self._core.max_slippage

    def acknowledge(
        self,
        seq: int,
        status: values.Status | None = None,
        *,
        price: str | None = None,
        volume: Decimal | None = None,
        reason: str = "",
    ) -> None:
        """
        Report the result of an entry to the provider; lost without a connection.

        Args:
            volume: lots that are really held of its symbol now.

        Raises:
            ClientError: a value can be none.
        """
        self._core.acknowledge(Ack(self._core.channel, seq, status, price, volume, reason))
        self._run()
