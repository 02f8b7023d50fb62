"""Control commands for channels: pause, resume, flatten."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred

from mtnet.errors import WireError
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.values import PauseMode

MODES: Mapping[str, PauseMode | None] = {
    "pause": "close_only",
    "freeze": "frozen",
    "resume": None,
}
"""What each command makes of a channel."""


class SignalCommands:
    """The commands of the control socket that are about signals."""

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """
        Return what can be asked for through the control socket.

        Each command raises `WireError` (`channel`; there is none of this name) or `JournalError`
        (the disk does not keep it).
        """
        return {
            **{f"signals {name}": self._pause(mode) for name, mode in MODES.items()},
            "signals accept": lambda asked: Deferred.fromCoroutine(
                self._signals.accept(_channel(asked), asked.get("new_epoch") is True)
            ),
            "signals flatten": lambda asked: Deferred.fromCoroutine(
                self._signals.flatten(_channel(asked))
            ),
        }

    def _pause(self, mode: PauseMode | None) -> Callable[[Mapping[str, Any]], Any]:
        return lambda asked: self._signals.pause(_channel(asked), mode)


def _channel(asked: Mapping[str, Any]) -> str:
    found = asked.get("channel")
    if not isinstance(found, str):
        raise WireError("channel", "Name a channel")
    return found
