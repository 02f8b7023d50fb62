"""Fills by HTTP: at which prices the followers of a channel carried its last signals out."""

from msgspec import Raw

from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.wire import ChannelPath
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.fills import SignalFills


class FillReading:
    """Tells what became of the last signals of a channel."""

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="GET",
                path="/v1/channels/{channel}/fills",
                handler=self._get,
                summary="What became of the last signals of a channel at its followers.",
                params=ChannelPath,
                right="read:status",
                answers={200: list[SignalFills]},
                errors=(404,),
            )
        ]

    def _get(self, request: HttpRequest, path: ChannelPath) -> list[Raw]:
        channel = RequestAccess(request, self._signals).find(path.channel)
        return self._signals.channels.followers.fills.of(channel.name)
