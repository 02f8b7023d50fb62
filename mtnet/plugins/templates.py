"""Templates: chart templates, fetched by raw TCP, by name or by HTTP."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IServicePlugin
from mtnet.services.templates.settings import TemplateSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin)
class Templates:
    """The plugin of templates."""

    name = "templates"
    description = "chart templates, fetched and stored"
    settings = TemplateSettings
    shared = False
    permissions = ("publish", "fetch")
    roles: ClassVar = {
        "provider": ("publish:templates", "fetch:templates"),
        "follower": ("fetch:templates",),
        "terminal": ("fetch:templates",),
    }
    connections: ClassVar = {"total": 1_000, "network": 10, "unauthenticated": 100}
    listens: ClassVar = {"stream": "tcp:8080:interface=127.0.0.1"}
    command = "mtnet.cli.templates"

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.templates.component import build

        return build(env)


templates = Templates()
