"""Templates: chart templates, fetched by raw TCP, by name or by HTTP."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IStreamPlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IStreamPlugin)
class Templates:
    """The templates port."""

    name = "templates"
    description = "chart templates, fetched and stored"
    defaultEndpoint = "tcp:8080:interface=127.0.0.1"
    rights = ("fetch", "publish")

    def buildFactory(self, env: "Environment") -> IProtocolFactory:
        """Build the factory of every templates listener."""
        from mtnet.net.endpoints import Listener
        from mtnet.services.templates.protocol import TemplatesFactory
        from mtnet.services.web.resources import templates_site

        return TemplatesFactory(env, templates_site(env), Listener(self.name, ""))


templates = Templates()
