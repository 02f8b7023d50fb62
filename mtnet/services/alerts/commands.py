"""The owner's commands on alerts and heartbeats."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mtnet.errors import ConfigError
from mtnet.interfaces import IControlCommands
from mtnet.services.alerts.heartbeats import Heartbeats
from mtnet.services.alerts.listing import AlertList
from mtnet.services.alerts.mutes import Mutes
from mtnet.services.alerts.watch import AlertWatch

Asked = Mapping[str, Any]


@implementer(IControlCommands)
class AlertCommands:
    """The commands of the control socket."""

    def __init__(
        self, alerts: AlertList, mutes: Mutes, watch: AlertWatch, heartbeats: Heartbeats
    ) -> None:
        self._alerts, self._mutes = alerts, mutes
        self._watch, self._heartbeats = watch, heartbeats

    def commands(self) -> Mapping[str, Callable[[Asked], Any]]:
        """Return the commands by name."""
        mutes, watch, heartbeats = self._mutes, self._watch, self._heartbeats
        return {
            "alerts list": lambda asked: self._alerts.rows(),
            "alerts mute": lambda asked: mutes.add(_name(asked), _seconds(asked)),
            "alerts unmute": lambda asked: mutes.remove(_name(asked)),
            "alerts test": lambda asked: watch.test(_name(asked)).addCallback(list),
            "alerts heartbeats": lambda asked: heartbeats.rows(),
            "alerts heartbeat add": lambda asked: Deferred.fromCoroutine(
                heartbeats.add(asked.get("name"))
            ),
            "alerts heartbeat remove": lambda asked: Deferred.fromCoroutine(
                heartbeats.remove(asked.get("name"))
            ),
        }


def _name(asked: Asked) -> str:
    return str(asked.get("name"))


def _seconds(asked: Asked) -> float | None:
    seconds = asked.get("seconds")
    if seconds is not None and (isinstance(seconds, bool) or not isinstance(seconds, int | float)):
        raise ConfigError(f"Invalid seconds {seconds!r}: expected a number or null.")
    return seconds
