"""The HTTP API as a component of the daemon."""

from collections.abc import Collection, Mapping
from functools import cached_property

from twisted.internet.interfaces import IProtocolFactory
from twisted.web.resource import IResource
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IFirstBytes,
    IHealth,
    IHttpResources,
    IHttpServer,
    IService,
    ISessions,
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import HTTP_METHODS, begins_with
from mtnet.services.web.http import ApiSite
from mtnet.services.web.resources import HealthResource, VersionResource, resource_tree
from mtnet.services.web.upgrade import WebSocketResource

is_request = begins_with(*HTTP_METHODS)
"""Recognizes HTTP requests."""


@implementer(IService, IStreamListener, IFirstBytes, IHttpResources, IHttpServer)
class WebComponent:
    """Serves the resources of all components."""

    verbs = ("follow", "publish", "send", "read", "fetch")
    silent = welcomes = False
    word = 0.0

    def __init__(self, env: Environment) -> None:
        self._env = env

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    def resources(self) -> Mapping[bytes, IResource]:
        """Return the resources of the daemon itself."""
        health: IResource = HealthResource(self._env.find(IHealth))
        found = {b"healthz": health, b"version": VersionResource()}
        if self._env.find(ISessions) is not None:
            found[b"ws"] = WebSocketResource(self._env)
        return found

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
        root = resource_tree(self._env.find_all(IHttpResources), components)
        return ApiSite(self._env, root, listener)
