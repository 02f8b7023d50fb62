"""Track record of a channel by HTTP."""

from typing import Any

from twisted.internet.defer import Deferred

from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.wire import ChannelPath
from mtnet.services.signals.record.reader import RecordReader
from mtnet.services.signals.service import SignalService


class RecordReading:
    """Tells the trades of a channel and their results."""

    def __init__(self, signals: SignalService, records: RecordReader) -> None:
        self._signals, self._records = signals, records

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="GET",
                path="/v1/channels/{channel}/record",
                handler=lambda *asked: Deferred.fromCoroutine(self._get(*asked)),
                summary="The track record of a channel: sums by month, and its newest trades.",
                params=ChannelPath,
                answers={200: dict[str, Any]},
                errors=(404,),
            )
        ]

    async def _get(self, request: HttpRequest, path: ChannelPath) -> dict[str, Any]:
        access = RequestAccess(request, self._signals)
        channel = access.find(path.channel)
        found = await self._records.read(channel.name, channel.epoch)
        return {**found, "channel": access.shown(channel.name)}
