"""Pauses and forgotten followers by HTTP: people decide, as by the control socket."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.defer import Deferred, maybeDeferred

from mtnet.access.rights import ADMIN
from mtnet.net.http.route import HttpRequest, Route
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.channels import state_of
from mtnet.services.signals.http.wire import ChannelChanged, ChannelPath, Confirmation
from mtnet.services.signals.service import SignalService

PAUSES: Mapping[str, str] = {
    "pause": "Take only what reduces positions.",
    "freeze": "Take nothing, not even closings.",
    "resume": "Take everything again.",
    "flatten": "Close every position, remove every order, and take only reductions from then on.",
}
"""The commands for a channel or a view, each with a sentence."""
Commands = Mapping[str, Callable[[Mapping[str, Any]], Any]]


class FollowerPath(ChannelPath):
    """A follower in a path, by its login, or by login and name: `bob%2Fdesk`."""

    follower: str


class ForgottenFollower(Struct):
    """A follower that is missed no more; `since` it was offline, in milliseconds UTC."""

    channel: str
    who: str
    since: int


class Operating:
    """Pauses, freezes, resumes and flattens channels and views."""

    def __init__(self, signals: SignalService, commands: Commands) -> None:
        self._signals, self._commands = signals, commands

    def routes(self) -> list[Route]:
        """Return a route for each command."""
        return [
            Route(
                method="POST",
                path=f"/v1/channels/{{channel}}/{name}",
                handler=self._handler(name),
                summary=summary,
                params=ChannelPath,
                body=Confirmation,
                right=ADMIN,
                answers={200: ChannelChanged},
                errors=(404,),
            )
            for name, summary in PAUSES.items()
        ]

    def _handler(self, name: str) -> Callable[..., "Deferred[ChannelChanged]"]:
        def handle(
            request: HttpRequest, path: ChannelPath, asked: Confirmation
        ) -> "Deferred[ChannelChanged]":
            access = RequestAccess(request, self._signals)
            asked.check(path.channel)
            channel = access.meant(path.channel)
            done = maybeDeferred(
                self._commands[f"signals {name}"],
                {"channel": channel, "who": author(request)},
            )
            return done.addCallback(self._changed, path.channel, channel)

        return handle

    def _changed(self, result: object, shown: str, name: str) -> ChannelChanged:
        channel = self._signals.channel(name)
        closed = result if isinstance(result, int) else None
        state = state_of(self._signals, name)
        return ChannelChanged(
            channel=shown, epoch=channel.epoch, seq=channel.seq, closed=closed, **state
        )


class Forgetting:
    """Misses offline followers no more."""

    def __init__(self, signals: SignalService, commands: Commands) -> None:
        self._signals, self._commands = signals, commands

    def routes(self) -> list[Route]:
        """Return the one route."""
        return [
            Route(
                method="DELETE",
                path="/v1/channels/{channel}/followers/{follower}",
                handler=self._forget,
                summary="Miss an offline follower no more.",
                params=FollowerPath,
                right=ADMIN,
                answers={200: list[ForgottenFollower]},
            )
        ]

    def _forget(self, request: HttpRequest, path: FollowerPath) -> list[ForgottenFollower]:
        access = RequestAccess(request, self._signals)
        asked = {"follower": path.follower, "channel": access.meant(path.channel)}
        found = self._commands["signals forget"]({**asked, "who": author(request)})
        return [ForgottenFollower(**{**each, "channel": path.channel}) for each in found]


def author(request: HttpRequest) -> str:
    """Return who asks, for events."""
    return request.peer.host if request.identity is None else request.identity.name
