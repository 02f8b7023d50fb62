"""Alerts: conditions that are watched, and people who are told of them."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IServicePlugin
from mtnet.services.alerts.settings import AlertSettings

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment
    from mtnet.services.alerts.component import AlertsComponent


@implementer(IPlugin, IServicePlugin)
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

    def build(self, env: "Environment") -> "AlertsComponent":
        """Build the service."""
        from mtnet.services.alerts.component import build

        return build(env)


alerts = Alerts()
