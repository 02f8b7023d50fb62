"""Web: the HTTP API."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IServicePlugin
from mtnet.services.web.settings import WebSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin)
class Web:
    """The plugin of the HTTP API."""

    name = "web"
    description = "WebSocket, templates, health and version by HTTP"
    settings = WebSettings
    shared = False
    connections: ClassVar = {"total": 10_000, "known_network": 500, "unauthenticated": 500}
    permissions: tuple[str, ...] = ()
    roles: ClassVar[dict[str, tuple[str, ...]]] = {}
    listens: ClassVar = {"stream": "tcp:8083:interface=127.0.0.1"}
    command = None

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.web.component import build

        return build(env)


web = Web()
