"""Web: the HTTP API."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IStreamPlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IStreamPlugin)
class Web:
    """The web port."""

    name = "web"
    description = "templates, health and version by HTTP"
    defaultEndpoint = "tcp:8083:interface=127.0.0.1"
    rights = ("fetch", "publish")

    def buildFactory(self, env: "Environment") -> IProtocolFactory:
        """Build the factory of every web listener."""
        from mtnet.services.web.resources import web_site

        return web_site(env)


web = Web()
