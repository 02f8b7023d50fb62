"""The HTTP API as a component of the daemon."""

from collections.abc import Collection
from functools import cached_property, partial

from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.component import Component, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IFirstBytes,
    IHealth,
    IHttpResources,
    IHttpServer,
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
from mtnet.services.web.logins.registry import Sessions
from mtnet.services.web.logins.resources import login_routes
from mtnet.services.web.logins.service import Logins
from mtnet.services.web.page.resources import PageResources
from mtnet.services.web.resources import DaemonResources
from mtnet.services.web.upgrade import websocket_route
from mtnet.values import CODEPAGE

is_request = begins_with(*HTTP_METHODS)
"""Recognizes HTTP requests."""


@implementer(IStreamListener, IFirstBytes, IHttpServer)
class WebListener:
    """
    Takes HTTP connections, for the web port, shared ports, and those of other components.

    Args:
        sessions: the logins of the page.
    """

    verbs = ("follow", "publish", "send", "read", "fetch")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment, sessions: Sessions) -> None:
        self._env, self._sessions = env, sessions
        self.metrics_open: bool = env.section.metrics_open

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
        return ApiSite(self._env, root, listener, self._sessions)


def routes(env: Environment, logins: Logins) -> list[Route]:
    """Return the routes of the daemon itself."""

    def of_all() -> list[Route]:
        found = env.find_all(IHttpResources).values()
        return [route for each in found for route in each.routes()]

    return [
        *DaemonResources(env.find(IHealth), of_all).routes(),
        *login_routes(logins),
        *PageResources(env.section.label).routes(),
        *AccountResources(env.access.commands()).routes(),
        *([] if env.find(ISessions) is None else [websocket_route(env)]),
    ]


def build(env: Environment) -> Component:
    """Build the component, which serves the resources of all components."""
    logins = Logins(env)
    listener = WebListener(env, logins.sessions)
    return Component(
        {
            IStreamListener: listener,
            IFirstBytes: listener,
            IHttpServer: listener,
            IHttpResources: Resources(partial(routes, env, logins)),
        },
        start=[logins.start],
        stop=[logins.stop],
    )
