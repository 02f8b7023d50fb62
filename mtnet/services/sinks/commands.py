"""The owner's commands on sinks."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import ConfigError
from mtnet.interfaces import IControlCommands
from mtnet.services.sinks.sink import Sink
from mtnet.services.sinks.target import TargetError


@implementer(IControlCommands)
class SinkCommands:
    """The commands of the control socket."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = {each.name: each for each in sinks}

    def commands(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands by name."""
        return {"sinks list": self.list, "sinks test": self.test}

    def list(self, asked: Mapping[str, Any]) -> "list[dict[str, Any]]":
        """Return the status of each sink."""
        return [each.status() for each in self._sinks.values()]

    def test(self, asked: Mapping[str, Any]) -> "Deferred[dict[str, Any]]":
        """
        Connect to the server of the sink `name`, and look whether it takes ticks.

        Returns:
            A Deferred with `server`, `taken` and `reason`.

        Raises:
            ConfigError: there is no such name.
        """
        name = asked.get("name")
        if name not in self._sinks:
            known = ", ".join(self._sinks) or "none; docs/sinks.md shows how to begin"
            raise ConfigError(f"There is no [sinks.{name}]; there is {known}.")
        sink = self._sinks[name]
        answer = {"server": sink.writer.label, "taken": True, "reason": None}
        return sink.writer.check().addCallbacks(lambda _: answer, _refused, errbackArgs=(answer,))


def _refused(failure: Failure, answer: dict[str, Any]) -> dict[str, Any]:
    failure.trap(TargetError)
    return {**answer, "taken": False, "reason": failure.getErrorMessage()}
