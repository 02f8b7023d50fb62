"""Templates as a component of the daemon."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.component import Component, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IFirstBytes,
    IHttpResources,
    IHttpServer,
    IMetrics,
    IStatus,
    IStreamListener,
    ITemplates,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import COMMANDS, begins_with
from mtnet.services.templates.integrity_check import IntegrityCheckService
from mtnet.services.templates.library import Library
from mtnet.services.templates.metrics import TemplateMetrics
from mtnet.services.templates.protocol import TemplatesFactory, TemplatesPort
from mtnet.services.templates.resources import template_routes
from mtnet.services.templates.version import Version
from mtnet.services.templates.watched_folder import WatchedFolderService

is_command = begins_with(*COMMANDS)
"""Recognizes clients of commands."""


@implementer(IStreamListener)
class TemplatesListener:
    """Takes the connections of the templates port."""

    verbs = ("fetch", "publish")
    welcomes = False

    def __init__(self, env: Environment, library: Library) -> None:
        self._env, self._library = env, library

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a templates listener."""
        site = self._env.find(IHttpServer).site(listener, ("templates",))
        return TemplatesPort(self._env, listener, self._library, site)


@implementer(IFirstBytes)
class TemplateCommands:
    """Takes connections to shared ports that begin with a command."""

    silent = False

    def __init__(self, env: Environment, library: Library) -> None:
        self._env, self._library, self.word = env, library, env.section.word

    def recognize(self, head: bytes) -> bool | None:
        """Return whether a connection begins with a command of a raw client."""
        return is_command(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of raw clients that have sent a command."""
        return TemplatesFactory(self._env, listener, self._library)


@implementer(ITemplates)
class Templates:
    """
    The library, for the thread of the reactor.

    Attributes:
        library: whose methods block.
    """

    def __init__(self, env: Environment, library: Library) -> None:
        self._now, self.library, self._worker = env.now, library, env.worker()
        self.max_size = env.section.max_size

    def listing(self) -> list[dict[str, Any]]:
        """Return what is stored."""
        return self.library.listing()

    def put(self, symbol: str, period: str, content: bytes) -> "Deferred[tuple[Version, bool]]":
        """Store a template, off the reactor."""
        return self._worker(self.library.store, symbol, period, content, self._now())


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        StartError: the folder cannot be read.
    """
    settings = env.section
    library = Library(
        env.file("templates"),
        max_size=settings.max_size,
        versions=settings.versions,
        keep_experts=settings.keep_experts,
        default=settings.default,
    )
    templates = Templates(env, library)
    services = [IntegrityCheckService(env, library), WatchedFolderService(env, library)]
    return Component(
        {
            IStreamListener: TemplatesListener(env, library),
            IFirstBytes: TemplateCommands(env, library),
            ITemplates: templates,
            IHttpResources: Resources(lambda: template_routes(library, templates, settings)),
            IStatus: library,
            IMetrics: TemplateMetrics(library),
            IBackup: library,
        },
        start=[each.startService for each in services],
        stop=[each.stopService for each in services],
    )
