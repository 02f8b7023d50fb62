"""Ticks: collected from terminals by datagram and stream, sent to subscribers."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IConditionGrammar, IServicePlugin, ISettingsCheck
from mtnet.services.ticks.settings import TickSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, ISettingsCheck, IConditionGrammar)
class Ticks:
    """The plugin of ticks."""

    name = "ticks"
    description = "ticks, taken and sent on"
    settings = TickSettings
    shared = False
    permissions = ("send", "read")
    roles: ClassVar = {
        "terminal": ("send:ticks",),
        "reader": ("read:ticks",),
    }
    connections: ClassVar = {"network": 20}
    listens: ClassVar = {
        "stream": "tcp:8082:interface=127.0.0.1",
        "datagram": "udp:8082:interface=127.0.0.1",
    }
    command = "mtnet.cli.ticks.command"

    def check(self, section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """Check what types cannot."""
        from mtnet.services.ticks.preflight import check

        check(section)

    def grammar(self) -> Mapping[str, Any]:
        """Return the conditions about ticks."""
        from mtnet.services.ticks.health.conditions import GRAMMAR

        return GRAMMAR

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.ticks.component import build

        return build(env)


ticks = Ticks()
