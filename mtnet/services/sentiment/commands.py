"""The commands of the control socket; the owner is shown what everybody is."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import to_builtins
from twisted.internet.defer import Deferred
from zope.interface import implementer

from mtnet.interfaces import IControlCommands
from mtnet.services.sentiment.recorder import MinuteRecorder
from mtnet.services.sentiment.resources import minute_rows, sums_row
from mtnet.services.sentiment.service import SentimentService


@implementer(IControlCommands)
class SentimentCommands:
    """Commands of sentiment."""

    def __init__(self, sentiment: SentimentService, recorder: MinuteRecorder) -> None:
        self._sentiment, self._recorder = sentiment, recorder

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands."""
        return {"sentiment list": self._list, "sentiment history": self._history}

    def _list(self, asked: Mapping[str, Any]) -> Any:
        return to_builtins(list(map(sums_row, self._sentiment.all())))

    def _history(self, asked: Mapping[str, Any]) -> "Deferred[Any]":
        found = self._recorder.read_last(asked["symbol"], asked["hours"])
        return found.addCallback(lambda rows: to_builtins(minute_rows(rows)))
