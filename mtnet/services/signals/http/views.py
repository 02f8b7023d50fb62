"""Views by HTTP: made, changed, explained and ended, as by the control socket."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Literal

from msgspec import Struct, to_builtins
from twisted.internet.defer import Deferred, maybeDeferred

from mtnet.access.rights import ADMIN
from mtnet.net.http.route import Answer, HttpRequest, Route
from mtnet.services.signals.http.commands import Commands, author
from mtnet.services.signals.http.wire import ChannelName

Ask = Callable[..., Awaitable[Any]]
"""Runs a command about views; with a request, its client is the author."""


class ViewPath(Struct):
    """The view in a path."""

    view: ChannelName


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


def view_routes(commands: Commands) -> list[Route]:
    """
    Return the routes below `/v1/views`.

    Args:
        commands: those of the control socket.
    """
    view = {"params": ViewPath, "errors": (404,)}
    rows = {200: list[dict[str, Any]]}
    route = partial(_route, partial(_ask, commands))
    return [
        route("GET", "", _list, "All views.", answers={200: dict[str, Any]}),
        route("POST", "", _add, "Make a view.", body=NewView, answers={201: ShownView}),
        route(
            "GET", "/{view}", _show, "A view, and what it copies and skips.",
            answers={200: ShownView}, **view,
        ),
        route(
            "PUT", "/{view}", _edit, "Change settings of a view, for later openings.",
            body=EditedView, answers={200: ShownView}, **view,
        ),
        route(
            "POST", "/{view}/diff", _diff, "What a change with `apply` would trade.",
            body=EditedView, answers=rows, **view,
        ),
        route(
            "POST", "/{view}/monitor", _monitor, "Compute and show, and send nothing.",
            answers={200: ShownView}, **view,
        ),
        route(
            "GET", "/{view}/explain", _explain, "How the volumes of a symbol came about.",
            params=ExplainQuery, answers={200: list[str]}, errors=(404,),
        ),
        route("DELETE", "/{view}", _remove, "End a view.", params=RemoveQuery, errors=(404,)),
    ]  # fmt: skip


def _route(
    ask: Ask, method: str, path: str, handler: Callable[..., Any], summary: str, **more: Any
) -> Route:
    return Route(
        method=method,
        path=f"/v1/views{path}",
        handler=lambda *asked: Deferred.fromCoroutine(handler(ask, *asked)),
        summary=summary,
        right=ADMIN,
        **more,
    )


async def _ask(
    commands: Commands, name: str, request: HttpRequest | None = None, **asked: Any
) -> Any:
    who = {} if request is None else {"who": author(request)}
    return await maybeDeferred(commands[f"views {name}"], {**asked, **who})


async def _list(ask: Ask, request: HttpRequest) -> Any:
    return await ask("list")


async def _show(ask: Ask, request: HttpRequest, path: ViewPath) -> ShownView:
    return await _shown(ask, path.view)


async def _shown(ask: Ask, view: str) -> ShownView:
    rows = await ask("show", view=view)
    return ShownView(view, (await ask("list"))[view], rows)


async def _add(ask: Ask, request: HttpRequest, asked: NewView) -> Answer:
    await ask("add", request, **to_builtins(asked))
    return Answer(201, await _shown(ask, asked.view))


async def _edit(ask: Ask, request: HttpRequest, path: ViewPath, asked: EditedView) -> ShownView:
    await ask("edit", request, view=path.view, **to_builtins(asked))
    return await _shown(ask, path.view)


async def _diff(ask: Ask, request: HttpRequest, path: ViewPath, asked: EditedView) -> Any:
    return await ask("diff", view=path.view, settings=asked.settings)


async def _monitor(ask: Ask, request: HttpRequest, path: ViewPath) -> ShownView:
    await ask("monitor", request, view=path.view)
    return await _shown(ask, path.view)


async def _explain(ask: Ask, request: HttpRequest, asked: ExplainQuery) -> Any:
    return await ask("explain", view=asked.view, symbol=asked.symbol)


async def _remove(ask: Ask, request: HttpRequest, asked: RemoveQuery) -> None:
    await ask("remove", request, view=asked.view, leftovers=asked.leftovers)
