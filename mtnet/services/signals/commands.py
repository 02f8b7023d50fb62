"""Control commands of signals: for channels, views, and a notice to all sessions."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from mtnet.callbacks import noop
from mtnet.errors import WireError
from mtnet.services.signals.history.epochs import Epochs
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.views.commands import ViewCommands, asked_by
from mtnet.services.signals.wire.answers import MAX_NOTICE

MODES: Mapping[str, PauseMode | None] = {
    "pause": "close_only",
    "freeze": "frozen",
    "resume": None,
}
"""What each command makes of a channel."""


class SignalCommands:
    """
    The commands of the control socket that are about signals.

    Args:
        refresh: called when somebody is missed no more, so that this is seen at once.
    """

    def __init__(self, signals: SignalService, refresh: Callable[[], object] = noop) -> None:
        self._signals, self._refresh = signals, refresh
        self._pauses, self._epochs = Pauses(signals), Epochs(signals)

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """
        Return what can be asked for through the control socket.

        Each command raises `WireError` (`channel`: there is none of this name; `field`: a notice
        has no text) or `JournalError` (the disk does not keep it).
        """
        return {
            **ViewCommands(self._signals.views, self._signals.channels.events).commands(),
            **{f"signals {name}": self._pause(mode) for name, mode in MODES.items()},
            "signals accept": lambda asked: Deferred.fromCoroutine(self._accept(asked)),
            "signals flatten": lambda asked: Deferred.fromCoroutine(self._flatten(asked)),
            "signals forget": self._forget,
            "signals notice": lambda asked: self._signals.channels.notify(_notice(asked)),
        }

    def _pause(self, mode: PauseMode | None) -> Callable[[Mapping[str, Any]], Any]:
        def pause(asked: Mapping[str, Any]) -> "Deferred[Any]":
            channel = _channel(asked)
            done = self._pauses.pause(channel, mode)
            # It counts from now on, whatever the disk does.
            self._signals.channels.events.paused(channel, mode, asked_by(asked))
            return done

        return pause

    def _forget(self, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        follower, channel = asked.get("follower"), asked.get("channel", "")
        if not (isinstance(follower, str) and follower and isinstance(channel, str)):
            raise WireError("field", "Name a follower or a provider, as bob or bob/desk")
        followers, ownership = self._signals.channels.followers, self._signals.rules.ownership
        rows = [
            {"channel": each.channel, "who": each.who, "since": each.since}
            for each in followers.forget_offline(follower, channel)
        ] + ownership.presence.forget_missed(follower, channel)
        # A provider follows its own channel, mostly.
        found = [*{(each["channel"], each["who"]): each for each in rows}.values()]
        connected = ownership.presence.sets(follower, channel) or followers.is_connected(
            follower, channel
        )
        if not found and connected:
            raise WireError(
                "denied", f"{follower} is connected, and can be forgotten once it is not"
            )
        self._refresh()
        for each in found:
            self._signals.channels.events.forgotten(each["channel"], each["who"], asked_by(asked))
        return found

    async def _accept(self, asked: Mapping[str, Any]) -> int:
        channel, anew = _channel(asked), asked.get("new_epoch") is True
        held = await self._epochs.accept(channel, anew)
        self._signals.channels.events.accepted(channel, anew, asked_by(asked))
        return held

    async def _flatten(self, asked: Mapping[str, Any]) -> int:
        channel = _channel(asked)
        closed = await self._pauses.flatten(channel)
        self._signals.channels.events.flattened(channel, closed, asked_by(asked))
        return closed


def _channel(asked: Mapping[str, Any]) -> str:
    found = asked.get("channel")
    if not isinstance(found, str):
        raise WireError("channel", "Name a channel")
    return found


def _notice(asked: Mapping[str, Any]) -> str:
    found = asked.get("text")
    if not isinstance(found, str) or not 1 <= len(found.strip()) <= MAX_NOTICE:
        raise WireError("field", f"A notice is a sentence of 1 to {MAX_NOTICE} characters")
    return found.strip()
