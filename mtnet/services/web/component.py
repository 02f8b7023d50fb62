"""The HTTP API as a component of the daemon."""

from collections.abc import Sequence
from functools import cached_property

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IFirstBytes, IHttpServer, IService, IStreamListener
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import HTTP_METHODS, can_become, starts_with
from mtnet.services.web.http import ApiSite
from mtnet.services.web.resources import templates_site, web_site


@implementer(IService, IStreamListener, IFirstBytes, IHttpServer)
class WebComponent:
    """Serves the resources of all components."""

    verbs = ("fetch", "publish")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment) -> None:
        self._env = env

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a web listener."""
        return self._site.at(listener)

    @cached_property
    def _site(self) -> ApiSite:
        return web_site(self._env)

    def recognize(self, head: bytes) -> bool | None:
        """Say whether a connection begins with an HTTP request."""
        if starts_with(head, HTTP_METHODS):
            return True
        return None if can_become(head, HTTP_METHODS) else False

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self.factory(listener)

    def site(self, listener: Listener, components: Sequence[str]) -> ApiSite:
        """Return the factory of HTTP connections to some resources at another port."""
        return templates_site(self._env).at(listener)
