"""Component container: builds the services of all plugins, and lets them find each other."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.logger import Logger

from mtnet.daemon.environment import Environment, Worker
from mtnet.errors import ConfigError
from mtnet.interfaces import (
    IAssembled,
    IControlCommands,
    IService,
    IServicePlugin,
    ISessionVerbs,
    IStatus,
    IStreamListener,
)
from mtnet.session.port import SessionPort

DAEMON = "daemon"
"""Stands among the names of components for what the daemon itself offers."""


class Components:
    """
    Every service that is installed, whether it listens or not.

    Args:
        env: what all components see; each gets a view of its own.
        make_worker: makes a thread of a name.
        offers: what the daemon itself offers, as objects that provide interfaces.

    Attributes:
        plugins: by name.
        services: by name, in the order of building.
        workers: the threads of each that the disk alone delays, in the order of their making.
        patient: the threads of each whose calls may take long, such as those that wait for a
            server; nobody is warned of them.
    """

    log = Logger()

    def __init__(
        self,
        plugins: Mapping[str, IServicePlugin],
        env: Environment,
        make_worker: Callable[[str], Any],
        *offers: object,
    ) -> None:
        self._env, self._make_worker, self._offers = env, make_worker, offers
        self.plugins = plugins
        self.environments: dict[str, Environment] = {}
        self.services: dict[str, IService] = {}
        self.workers: dict[str, dict[str, Any]] = {}
        self.patient: dict[str, dict[str, Any]] = {}
        if DAEMON in plugins:
            raise ConfigError(f"A service cannot be named {DAEMON}: this is the daemon's own name.")
        for name, plugin in plugins.items():
            self.environments[name] = view = self._view(name)
            self.services[name] = plugin.build(view)
        _check_assembled(self.services.values())

    def _view(self, name: str) -> Environment:
        return replace(
            self._env,
            name=name,
            section=self._env.config.section(name),
            worker=partial(self._worker, name),
            find=self.find,
            find_all=self.find_all,
        )

    def _worker(self, component: str, name: str = "", patient: bool = False) -> Worker:
        own = (self.patient if patient else self.workers).setdefault(component, {})
        if name not in own:
            own[name] = self._make_worker("-".join(filter(None, ("mtnet", component, name))))
        worker: Worker = own[name]
        return worker

    def find(self, interface: Any) -> Any:
        """Return what a component, or the daemon, offers; None = nobody offers it."""
        for each in (*self.services.values(), *self._offers):
            found = interface(each, None)
            if found is not None:
                return found
        return None

    def find_all(self, interface: Any) -> dict[str, Any]:
        """Return the offers of all components, by name; that of the daemon itself is last."""
        own = [(DAEMON, offer) for offer in self._offers]
        found = [(name, interface(each, None)) for name, each in [*self.services.items(), *own]]
        return {name: offer for name, offer in found if offer is not None}

    def commands(self) -> dict[str, Any]:
        """
        Return the commands of the control socket of all components.

        Raises:
            ConfigError: two components have a command of one name.
        """
        commands: dict[str, Any] = {}
        for name, offer in self.find_all(IControlCommands).items():
            own = offer.commands()
            if taken := commands.keys() & own:
                raise ConfigError(f"The command {min(taken)!r} of {name} is also another's.")
            commands.update(own)
        return commands

    def health(self) -> dict[str, Any]:
        """Return the health of each component that reports any."""
        return {name: each.health() for name, each in self._reporting.items()}

    def status(self) -> dict[str, Any]:
        """Return the status of each component that reports any."""
        return {name: each.status() for name, each in self._reporting.items()}

    @cached_property
    def _reporting(self) -> dict[str, Any]:
        """The components that report a status; kept, since they are asked each second."""
        return self.find_all(IStatus)

    async def start(self) -> None:
        """Start every component, in the order of building; none waits for another."""
        await DeferredList([self._call(name, "start") for name in self.services])

    async def stop(self) -> None:
        """
        Stop every component, the last one first.

        None waits for another: when the disk of one does not answer, the others still store
        everything.
        """
        await DeferredList([self._call(name, "stop") for name in reversed(self.services)])

    def _call(self, name: str, verb: str) -> "Deferred[Any]":
        text = "The component {name} could not {verb}."
        done: Deferred[Any] = maybeDeferred(getattr(self.services[name], verb))
        return done.addErrback(
            lambda failure: self.log.failure(text, failure, name=name, verb=verb)
        )


def stream_listener(components: Components, name: str) -> IStreamListener:
    """Return what takes the stream connections of a component: itself, or else its sessions."""
    service = components.services[name]
    found = IStreamListener(service, None)
    if found is None and ISessionVerbs(service, None) is not None:
        return SessionPort(components.environments[name], components.plugins[name].permissions)
    return IStreamListener(service) if found is None else found


def _check_assembled(services: Iterable[object]) -> None:
    """
    Let each component check what depends on others.

    Raises:
        ConfigError: one cannot work as configured.
    """
    for each in filter(None, (IAssembled(service, None) for service in services)):
        each.assembled()
