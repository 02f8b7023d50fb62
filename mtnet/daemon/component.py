"""Component: a service of the daemon, joined from the parts that do its work."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.interfaces import IBackup, IControlCommands, IHttpResources, IService, IStatus
from mtnet.storage.sqlite import copy_database

Command = Callable[[Mapping[str, Any]], Any]


log = Logger()


def _log_failure(failure: Failure) -> None:
    log.failure("A part of a service did not stop as it should", failure)


@implementer(IService)
class Component:
    """
    Composite: offers what its parts provide, and starts and stops them; without parts it is off.

    Args:
        offers: the provider of each interface of `mtnet.interfaces`.
        start: what is called at the start, in this order.
        stop: what is called at the stop, in this order; none waits for the Deferred of another.
    """

    def __init__(
        self,
        offers: Mapping[Any, object] = {},
        start: Sequence[Callable[[], object]] = (),
        stop: Sequence[Callable[[], object]] = (),
    ) -> None:
        self._offers, self._start, self._stop = offers, start, stop

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Start the parts."""
        for each in self._start:
            each()

    def stop(self) -> "Deferred[Any]":
        """Stop the parts, and fire when all have stopped; errors of parts are logged."""
        stopping = [maybeDeferred(each).addErrback(_log_failure) for each in self._stop]
        return DeferredList(stopping)


@implementer(IControlCommands)
class Commands:
    """Commands of the control socket, by name."""

    def __init__(self, commands: Mapping[str, Command]) -> None:
        self._commands = commands

    def commands(self) -> Mapping[str, Command]:
        """Return them."""
        return self._commands


@implementer(IHttpResources)
class Resources:
    """
    Routes of the HTTP API.

    Args:
        routes: makes them.
    """

    def __init__(self, routes: Callable[[], Sequence[Any]]) -> None:
        self.routes = routes


@implementer(IStatus)
class StorageStatus:
    """
    Status of a service that is healthy as long as the disk takes what it stores.

    Args:
        sentence: the trouble, for strangers.
        trouble: returns why the disk takes nothing, for the owner; None = it does.
        usage: returns how much is used, for the owner.
    """

    def __init__(
        self,
        sentence: str,
        trouble: Callable[[], str | None],
        usage: Callable[[], Mapping[str, object]],
    ) -> None:
        self._sentence, self._trouble, self._usage = sentence, trouble, usage

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        trouble = self._trouble() and self._sentence
        return {"healthy": trouble is None, "trouble": trouble}

    def status(self) -> dict[str, object]:
        """Report the reason, and how much is used."""
        trouble = self._trouble()
        return {"healthy": trouble is None, "trouble": trouble, **self._usage()}


@implementer(IBackup)
class DatabaseBackup:
    """Copies a SQLite database of the data folder, if there is one."""

    obsolete = ()

    def __init__(self, path: Path) -> None:
        self._path = path

    def backup(self, folder: Path) -> None:
        """Copy it, as it is at one moment."""
        if self._path.exists():
            copy_database(self._path, folder / self._path.name)
