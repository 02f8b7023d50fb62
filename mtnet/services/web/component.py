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


@implementer(IHttpServer)
class HttpServer:
    """
    Serves the resources of components, on the ports of any of them.

    Args:
        sessions: the logins of the page.
    """

    def __init__(self, env: Environment, sessions: Sessions) -> None:
        self._env, self._sessions = env, sessions
        self.metrics_open: bool = env.section.metrics_open

    def site(self, listener: Listener, components: Collection[str]) -> ApiSite:
        """Return the factory of HTTP connections to the resources of some components."""
        return ApiSite(self._env, make_router(self._env, components), listener, self._sessions)


@implementer(IStreamListener, IFirstBytes)
class WebListener:
    """Takes HTTP connections to all resources, at the web port and at shared ones."""

    verbs = ("follow", "publish", "send", "read", "fetch")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment, server: HttpServer) -> None:
        self._env, self._server = env, server

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a web listener."""
        return self._site.at(listener)

    @cached_property
    def _site(self) -> ApiSite:
        every = self._env.find_all(IHttpResources)
        return self._server.site(Listener(self._env.name, ""), every)

    def recognize(self, head: bytes) -> bool | None:
        """Return whether a connection begins with an HTTP request."""
        return is_request(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of connections at a shared port."""
        return self.factory(listener)


def make_router(env: Environment, components: Collection[str]) -> Router:
    """Return the router to the resources of some components."""
    found = env.find_all(IHttpResources)
    codepage = getattr(env.find(ISignals), "codepage", CODEPAGE)
    return Router({name: found[name].routes() for name in components}, codepage)


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
    server = HttpServer(env, logins.sessions)
    listener = WebListener(env, server)
    return Component(
        {
            IStreamListener: listener,
            IFirstBytes: listener,
            IHttpServer: server,
            IHttpResources: Resources(partial(routes, env, logins)),
        },
        start=[logins.start],
        stop=[logins.stop],
    )
