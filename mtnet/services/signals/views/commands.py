"""Control commands for views."""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, cast, get_args

import msgspec
from msgspec import to_builtins
from twisted.internet.defer import Deferred

from mtnet.config.reasons import explain
from mtnet.errors import WireError
from mtnet.services.signals.events import SignalEvents
from mtnet.services.signals.views.changes import Leftovers
from mtnet.services.signals.views.settings import ChannelName, ViewSettings
from mtnet.services.signals.views.views import Views

Asked = Mapping[str, Any]


class ViewCommands:
    """The commands of the control socket that are about views; changes are events."""

    def __init__(self, views: Views, events: SignalEvents) -> None:
        self._views, self._events = views, events

    def commands(self) -> dict[str, Callable[[Asked], Any]]:
        """
        Return what can be asked for through the control socket.

        Each command raises `WireError` (`channel`: there is no such view; `field`: a setting is
        wrong; `denied`: it copies something) or `JournalError` (the disk does not keep it).
        """
        return {
            "views list": lambda asked: self._views.report(),
            "views add": self._run(self._add),
            "views edit": self._run(self._edit),
            "views diff": self._run(self._diff),
            "views remove": self._run(self._remove),
            "views monitor": self._run(self._monitor),
            "views show": self._run(lambda asked: self._views.rows(_view(asked))),
            "views explain": self._run(
                lambda asked: self._views.explain(_view(asked), str(asked.get("symbol", "")))
            ),
        }

    def _run(
        self, command: Callable[[Asked], Coroutine[Any, Any, Any]]
    ) -> Callable[[Asked], "Deferred[Any]"]:
        return lambda asked: Deferred.fromCoroutine(command(asked))

    async def _add(self, asked: Asked) -> None:
        name = _name(asked)
        await self._views.add(name, _settings({}, asked))
        self._events.view_changed("view_added", name, asked_by(asked))

    async def _edit(self, asked: Asked) -> None:
        settings, apply = self._changed(asked), asked.get("apply") is True
        await self._views.edit(_view(asked), settings, apply)
        names = " and ".join(sorted(asked.get("settings", {})))
        self._events.view_changed("view_edited", _view(asked), asked_by(asked), names)

    async def _monitor(self, asked: Asked) -> None:
        await self._views.set_mode(_view(asked), "monitor")
        self._events.view_changed("view_monitored", _view(asked), asked_by(asked))

    async def _diff(self, asked: Asked) -> list[dict[str, str]]:
        return await self._views.diff(_view(asked), self._changed(asked))

    def _changed(self, asked: Asked) -> ViewSettings:
        """Return the settings of a view with those that were asked for."""
        name = _view(asked)
        if name not in self._views.known:
            raise WireError("channel", f"There is no view {name}")
        return _settings(to_builtins(self._views.known[name].settings), asked)

    async def _remove(self, asked: Asked) -> None:
        leftovers = asked.get("leftovers", "refuse")
        if leftovers not in get_args(Leftovers):
            raise WireError("field", f"leftovers is one of {', '.join(get_args(Leftovers))}")
        await self._views.remove(_view(asked), cast(Leftovers, leftovers))
        self._events.view_changed("view_removed", _view(asked), asked_by(asked))


def asked_by(asked: Asked) -> str:
    """Return who asks for a command."""
    return str(asked.get("who") or "the owner")


def _view(asked: Asked) -> str:
    found = asked.get("view")
    if not isinstance(found, str):
        raise WireError("channel", "Name a view")
    return found


def _name(asked: Asked) -> str:
    """Return the name of a new view: that of its channel."""
    try:
        return msgspec.convert(_view(asked), ChannelName)
    except msgspec.ValidationError:
        right = "The name of a view has 1 to 32 of A-Z a-z 0-9 . _ -"
        raise WireError("channel", right) from None


def _settings(before: Mapping[str, Any], asked: Asked) -> ViewSettings:
    """Return the settings of before with those that were asked for."""
    changes = asked.get("settings", {})
    if not isinstance(changes, dict):
        raise WireError("field", "The settings of a view are an object of names and values")
    try:
        return msgspec.convert({**before, **changes}, ViewSettings, strict=False)
    except msgspec.ValidationError as error:
        reason, key = explain(error)
        setting = f"{key} {changes[key]!r}: " if key in changes else ""
        raise WireError("field", f"The settings of a view are wrong. {setting}{reason}") from error
