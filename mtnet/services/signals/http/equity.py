"""Equity by HTTP: the line of the last day of an account that REPORTs."""

from msgspec import Struct

from mtnet.access.rights import ADMIN
from mtnet.errors import HttpError
from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.signals.reports.history import Point
from mtnet.services.signals.reports.registry import TerminalKey
from mtnet.services.signals.reports.store import ReportStore


class EquityQuery(Struct):
    """Names a terminal: its login, and behind a `/` the name of its session if it has one."""

    terminal: str


class EquityReading:
    """Tells the equity of a terminal over time."""

    def __init__(self, store: ReportStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="GET",
                path="/v1/equity",
                handler=self._get,
                summary="The equity of a terminal, every five minutes of the last day.",
                params=EquityQuery,
                right=ADMIN,
                answers={200: list[Point]},
                errors=(404,),
            )
        ]

    def _get(self, request: HttpRequest, asked: EquityQuery) -> list[Point]:
        login, _, name = asked.terminal.partition("/")
        line = self._store.equity.of(TerminalKey(login, name))
        if line is None:
            raise HttpError(404, "missing", "No such terminal has reported since the start.")
        return line
