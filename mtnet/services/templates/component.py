"""Templates as a component of the daemon."""

import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IProtocolFactory
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IFirstBytes,
    IHttpResources,
    IHttpServer,
    IMetrics,
    IService,
    ISignals,
    IStatus,
    IStreamListener,
    ITemplates,
)
from mtnet.net.endpoints import Listener
from mtnet.net.first_bytes import COMMANDS, begins_with
from mtnet.net.http.route import Route
from mtnet.services.templates.integrity_check import IntegrityCheckService
from mtnet.services.templates.library import Library
from mtnet.services.templates.metrics import TemplateMetrics
from mtnet.services.templates.protocol import TemplatesFactory, TemplatesPort
from mtnet.services.templates.resources import TemplateResources
from mtnet.services.templates.version import Version
from mtnet.services.templates.watched_folder import WatchedFolderService
from mtnet.storage.files import TEMPORARY

is_command = begins_with(*COMMANDS)
"""Recognizes clients of commands."""


@implementer(IService, IStreamListener, IFirstBytes, IHttpResources, IBackup, ITemplates)
class TemplatesComponent:
    """
    Serves and stores templates.

    Raises:
        StartError: the folder cannot be read.
    """

    verbs = ("fetch", "publish")
    silent = welcomes = False
    obsolete = ()

    def __init__(self, env: Environment) -> None:
        self._env, settings = env, env.section
        self.max_size, self.word = settings.max_size, settings.word
        self._folder = env.file("templates")
        self.library = Library(
            self._folder,
            max_size=settings.max_size,
            versions=settings.versions,
            keep_experts=settings.keep_experts,
            default=settings.default,
        )
        env.worker()  # made now, so that the watchdog knows it from the start
        self._services = MultiService()

    def __conform__(self, interface: Any) -> Any:
        if interface is IMetrics:
            return TemplateMetrics(self.library)
        return self.library if interface is IStatus else None

    def start(self) -> None:
        """Start the integrity check, and watch the folder."""
        IntegrityCheckService(self._env, self.library).setServiceParent(self._services)
        if self._env.section.folder:
            codepage = self._env.find(ISignals).codepage
            folder = WatchedFolderService(self._env, self.library, codepage)
            folder.setServiceParent(self._services)
        self._services.startService()

    def stop(self) -> "Deferred[None]":
        """End the checks."""
        return maybeDeferred(self._services.stopService)

    def factory(self, listener: Listener) -> IProtocolFactory:
        """Return the factory of the connections of a templates listener."""
        site = self._env.find(IHttpServer).site(listener, ("templates",))
        return TemplatesPort(self._env, listener, self.library, site)

    def recognize(self, head: bytes) -> bool | None:
        """Return whether a connection begins with a command of a raw client."""
        return is_command(head)

    def shared_factory(self, listener: Listener, silent: bool) -> IProtocolFactory:
        """Return the factory of raw clients that have sent a command."""
        return TemplatesFactory(self._env, listener, self.library)

    def routes(self) -> list[Route]:
        """Return the routes of `/templates`."""
        return TemplateResources(self.library, self.put, self._env.section).routes()

    def backup(self, folder: Path) -> None:
        """Copy all versions; each file has its name once it is whole."""
        unfinished = shutil.ignore_patterns(f"*{TEMPORARY}")
        target = folder / self._folder.name
        shutil.copytree(self._folder, target, copy_function=_copy, ignore=unfinished)

    def listing(self) -> list[dict[str, Any]]:
        """Return what is stored."""
        return self.library.listing()

    def put(self, symbol: str, period: str, content: bytes) -> "Deferred[tuple[Version, bool]]":
        """Store a template, off the reactor."""
        return self._env.worker()(self.library.store, symbol, period, content, self._env.now())


def _copy(source: str, target: str) -> None:
    with suppress(FileNotFoundError):  # an old version, which a new one has replaced meanwhile
        shutil.copy2(source, target)
