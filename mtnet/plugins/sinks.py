"""Sinks: databases that get a copy of each tick."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IConditionGrammar, IServicePlugin, ISettingsCheck
from mtnet.services.sinks.settings import SinksSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, ISettingsCheck, IConditionGrammar)
class Sinks:
    """The plugin of databases that get ticks."""

    name = "sinks"
    description = "databases that get a copy of each tick"
    settings = SinksSettings
    shared = False
    permissions = ()
    roles: ClassVar[dict[str, tuple[str, ...]]] = {}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {}
    command = "mtnet.cli.sinks"

    def check(self, section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """Check the names and the URLs."""
        from mtnet.services.sinks.component import check

        check(section)

    def grammar(self) -> Mapping[str, Any]:
        """Return the conditions about sinks."""
        from mtnet.services.sinks.conditions import GRAMMAR

        return GRAMMAR

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.sinks.component import build

        return build(env)


sinks = Sinks()
