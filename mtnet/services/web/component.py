"""The HTTP API as a component of the daemon."""

from collections.abc import Collection
from functools import cached_property

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IFirstBytes,
    IHealth,
    IHttpResources,
    IHttpServer,
    IService,
    ISessions,
    ISignals,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import HTTP_METHODS, begins_with
from mtnet.net.http.route import Route
from mtnet.net.http.router import Router
from mtnet.services.web.accounts import AccountResources
from mtnet.services.web.http import ApiSite
from mtnet.services.web.logins.service import Logins
from mtnet.services.web.page.resources import PageResources
from mtnet.services.web.resources import DaemonResources
from mtnet.services.web.upgrade import WebSocketUpgrade
from mtnet.values import CODEPAGE

is_request = begins_with(*HTTP_METHODS)
"""Recognizes HTTP requests."""


@implementer(IService, IStreamListener, IFirstBytes, IHttpResources, IHttpServer)
class WebComponent:
    """Serves the resources of all components."""

    verbs = ("follow", "publish", "send", "read", "fetch")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment) -> None:
        self._env, self._logins = env, Logins(env)
        self._label: str = env.section.label
        self.metrics_open: bool = env.section.metrics_open

    def start(self) -> None:
        """Let logins end when their time is over."""
        self._logins.start()

    def stop(self) -> "Deferred[None]":
        """Close the file of logins."""
        return self._logins.stop()

    def routes(self) -> list[Route]:
        """Return the routes of the daemon itself."""
        found = DaemonResources(self._env.find(IHealth), self._all_routes).routes()
        found += self._logins.routes()
        found += PageResources(self._label).routes()
        found += AccountResources(self._env.access.commands()).routes()
        if self._env.find(ISessions) is not None:
            found += WebSocketUpgrade(self._env).routes()
        return found

    def _all_routes(self) -> list[Route]:
        found = self._env.find_all(IHttpResources).values()
        return [route for each in found for route in each.routes()]

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a web listener."""
        return self._site.at(listener)

    @cached_property
    def _site(self) -> ApiSite:
        return self.site(Listener(self._env.name, ""), self._env.find_all(IHttpResources))

    def recognize(self, head: bytes) -> bool | None:
        """Return whether a connection begins with an HTTP request."""
        return is_request(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self.factory(listener)

    def site(self, listener: Listener, components: Collection[str]) -> ApiSite:
        """Return the factory of HTTP connections to the resources of some components."""
        found = self._env.find_all(IHttpResources)
        codepage = getattr(self._env.find(ISignals), "codepage", CODEPAGE)
        root = Router({name: found[name].routes() for name in components}, codepage)
        return ApiSite(self._env, root, listener, self._logins.sessions)
