"""Alerts: conditions that are watched, and people who are told of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import (
    IConditionGrammar,
    IReceiverNames,
    IReferences,
    IServicePlugin,
)
from mtnet.services.alerts.settings import AlertSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IReferences, IConditionGrammar)
class Alerts:
    """The plugin of alerts."""

    name = "alerts"
    description = "conditions that are watched, for people who are told of them"
    settings = AlertSettings
    shared = False
    permissions: tuple[str, ...] = ()
    roles: ClassVar[dict[str, tuple[str, ...]]] = {}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {}
    command = "mtnet.cli.alerts.commands"

    def grammar(self) -> Mapping[str, Any]:
        """Return the condition about heartbeats."""
        from mtnet.services.alerts.heartbeats import GRAMMAR

        return GRAMMAR

    def check_references(
        self, section: Any, plugins: Mapping[str, Any], sections: Mapping[str, Any]
    ) -> None:
        """Check `when` and `to` of each alert."""
        from mtnet.services.alerts.conditions import check_rules, words

        known = [each for each in plugins.values() if IConditionGrammar.providedBy(each)]
        names = [
            name
            for plugin, each in plugins.items()
            if IReceiverNames.providedBy(each)
            for name in each.receivers(sections[plugin])
        ]
        check_rules(section.tables, words(each.grammar() for each in known), names)

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.alerts.component import build

        return build(env)


alerts = Alerts()
