"""Slippage by HTTP: how much worse than the provider each follower has traded."""

from functools import partial

from mtnet.access.rights import ADMIN
from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.reports.wire import Spec
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.slippage import Slippage


class SlippageReading:
    """Tells the slippage of all followers."""

    def __init__(self, signals: SignalService, store: ReportStore) -> None:
        self._signals, self._store = signals, store

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="GET",
                path="/v1/slippage",
                handler=self._get,
                summary="How much worse than its provider each follower has traded.",
                right=ADMIN,
                answers={200: list[Slippage]},
            )
        ]

    def _get(self, request: HttpRequest) -> list[Slippage]:
        found = (
            each.acks.slippage.summary(each.who, each.channel, partial(self._spec, each.key))
            for each in self._signals.channels.followers
            if each.acks is not None and each.acks.slippage is not None
        )
        return [each for each in found if each is not None]

    def _spec(self, key: TerminalKey, symbol: str) -> Spec | None:
        known = self._store.reports.spec(*key, symbol)
        return None if known is None else known.spec
