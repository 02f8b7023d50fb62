"""Pauses, followers and views by HTTP: people change them, as by the control socket."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from msgspec import Struct, to_builtins
from twisted.internet.defer import Deferred, maybeDeferred

from mtnet.errors import WireError
from mtnet.net.http.route import Answer, HttpRequest, Route
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.channels import state_of
from mtnet.services.signals.http.wire import ChannelChanged, ChannelName, ChannelPath, Confirmation
from mtnet.services.signals.service import SignalService

ADMIN = "admin"
"""The right of people."""
PAUSES: Mapping[str, str] = {
    "pause": "Take only what reduces positions.",
    "freeze": "Take nothing, not even closings.",
    "resume": "Take everything again.",
    "flatten": "Close every position, remove every order, and take only reductions from then on.",
}
"""The commands for a channel or a view, each with a sentence."""
Commands = Mapping[str, Callable[[Mapping[str, Any]], Any]]


class ViewPath(Struct):
    """The view in a path."""

    view: ChannelName


class FollowerPath(ChannelPath):
    """A follower in a path, by its login, or by login and name: `bob%2Fdesk`."""

    follower: str


class ForgottenFollower(Struct):
    """A follower that is missed no more; `since` it was offline, in milliseconds UTC."""

    channel: str
    who: str
    since: int


class ExplainQuery(ViewPath):
    """Asks how the volumes of a symbol came about."""

    symbol: str


class RemoveQuery(ViewPath):
    """Ends a view; `leftovers` says what becomes of what it copies."""

    leftovers: Literal["refuse", "flatten", "leave-open"] = "refuse"


class NewView(Struct):
    """A view, with the settings of `[signals.views.NAME]`."""

    view: ChannelName
    settings: dict[str, Any]


class EditedView(Struct):
    """Settings of a view; those that are not given stay. `apply` computes again what it copies."""

    settings: dict[str, Any] = {}
    apply: bool = False


class ShownView(Struct):
    """
    A view.

    Attributes:
        settings: with `mode`, and `struck`: the limit that was reached.
        rows: what it copies, and what it skips.
    """

    view: str
    settings: dict[str, Any]
    rows: list[dict[str, Any]]


class Operating:
    """Pauses, freezes, resumes and flattens channels and views, and forgets followers."""

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
        ] + [
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

    def _forget(self, request: HttpRequest, path: FollowerPath) -> Any:
        access = RequestAccess(request, self._signals)
        asked = {"follower": path.follower, "channel": access.meant(path.channel)}
        found = self._commands["signals forget"]({**asked, "who": _author(request)})
        return [ForgottenFollower(**{**each, "channel": path.channel}) for each in found]

    def _handler(self, name: str) -> Callable[..., "Deferred[ChannelChanged]"]:
        def handle(
            request: HttpRequest, path: ChannelPath, asked: Confirmation
        ) -> "Deferred[ChannelChanged]":
            access = RequestAccess(request, self._signals)
            if asked.confirm != path.channel:
                right = f"confirm names the channel, {path.channel}, not"
                raise WireError("field", right, asked.confirm.encode())
            channel = access.meant(path.channel)
            done = maybeDeferred(
                self._commands[f"signals {name}"],
                {"channel": channel, "who": _author(request)},
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


class ViewResources:
    """Makes, changes, explains and ends views."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    def routes(self) -> list[Route]:
        """Return the routes below `/v1/views`."""
        view = {"params": ViewPath, "errors": (404,)}
        rows = {200: list[dict[str, Any]]}
        return [
            self._route("GET", "", self._list, "All views.", answers={200: dict[str, Any]}),
            self._route(
                "POST", "", self._add, "Make a view.", body=NewView, answers={201: ShownView}
            ),
            self._route(
                "GET", "/{view}", self._show, "A view, and what it copies and skips.",
                answers={200: ShownView}, **view,
            ),
            self._route(
                "PUT", "/{view}", self._edit, "Change settings of a view, for later openings.",
                body=EditedView, answers={200: ShownView}, **view,
            ),
            self._route(
                "POST", "/{view}/diff", self._diff, "What a change with `apply` would trade.",
                body=EditedView, answers=rows, **view,
            ),
            self._route(
                "POST", "/{view}/monitor", self._monitor, "Compute and show, and send nothing.",
                answers={200: ShownView}, **view,
            ),
            self._route(
                "GET", "/{view}/explain", self._explain, "How the volumes of a symbol came about.",
                params=ExplainQuery, answers={200: list[str]}, errors=(404,),
            ),
            self._route(
                "DELETE", "/{view}", self._remove, "End a view.",
                params=RemoveQuery, errors=(404,),
            ),
        ]  # fmt: skip

    def _route(
        self, method: str, path: str, handler: Callable[..., Any], summary: str, **more: Any
    ) -> Route:
        return Route(
            method=method,
            path=f"/v1/views{path}",
            handler=lambda *asked: Deferred.fromCoroutine(handler(*asked)),
            summary=summary,
            right=ADMIN,
            **more,
        )

    async def _ask(self, name: str, request: HttpRequest | None = None, **asked: Any) -> Any:
        who = {} if request is None else {"who": _author(request)}
        return await maybeDeferred(self._commands[f"views {name}"], {**asked, **who})

    async def _list(self, request: HttpRequest) -> Any:
        return await self._ask("list")

    async def _show(self, request: HttpRequest, path: ViewPath) -> ShownView:
        return await self._shown(path.view)

    async def _shown(self, view: str) -> ShownView:
        rows = await self._ask("show", view=view)
        return ShownView(view, (await self._ask("list"))[view], rows)

    async def _add(self, request: HttpRequest, asked: NewView) -> Answer:
        await self._ask("add", request, **to_builtins(asked))
        return Answer(201, await self._shown(asked.view))

    async def _edit(self, request: HttpRequest, path: ViewPath, asked: EditedView) -> ShownView:
        await self._ask("edit", request, view=path.view, **to_builtins(asked))
        return await self._shown(path.view)

    async def _diff(self, request: HttpRequest, path: ViewPath, asked: EditedView) -> Any:
        return await self._ask("diff", view=path.view, settings=asked.settings)

    async def _monitor(self, request: HttpRequest, path: ViewPath) -> ShownView:
        await self._ask("monitor", request, view=path.view)
        return await self._shown(path.view)

    async def _explain(self, request: HttpRequest, asked: ExplainQuery) -> Any:
        return await self._ask("explain", view=asked.view, symbol=asked.symbol)

    async def _remove(self, request: HttpRequest, asked: RemoveQuery) -> None:
        await self._ask("remove", request, view=asked.view, leftovers=asked.leftovers)


def _author(request: HttpRequest) -> str:
    """Return who asks, for events."""
    return request.peer.host if request.identity is None else request.identity.name
