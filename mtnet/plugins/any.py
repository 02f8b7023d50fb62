"""Any: every stream service on one port, by the first bytes of each connection."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IStreamPlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IStreamPlugin)
class AnyPort:
    """The port of all services."""

    name = "any"
    description = "signals, templates, ticks and web on one port"
    defaultEndpoint = None
    rights = ("follow", "publish", "send", "read", "fetch")

    def buildFactory(self, env: "Environment") -> IProtocolFactory:
        """Build the factory of every such listener."""
        from mtnet.net.endpoints import Listener
        from mtnet.net.shared_port import SharedPortFactory
        from mtnet.services.signals.protocol import SignalsFactory
        from mtnet.services.templates.protocol import TemplatesFactory
        from mtnet.services.ticks.protocol import TicksFactory
        from mtnet.services.web.resources import web_site

        nowhere, site = Listener(self.name, ""), web_site(env)
        services: dict[str, IProtocolFactory] = {
            "signals": SignalsFactory(env, nowhere),
            "templates": TemplatesFactory(env, site, nowhere, raw=False),
            "ticks": TicksFactory(env, nowhere),
            "web": site,
        }
        return SharedPortFactory(env, services, SignalsFactory(env, nowhere, grace=0.0), nowhere)


any_port = AnyPort()
