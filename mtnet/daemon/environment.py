"""The environment of a component: its view of the daemon, without globals."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.loader import endpoints
from mtnet.config.schema import Config


class Worker(Protocol):
    """A thread for blocking calls, one at a time, in order."""

    def __call__(self, function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
        """Run `function(*args)`; fires with what it returns."""

    def later(self, function: Callable[..., Any], *args: Any) -> "Deferred[Any]":
        """Do the same when nothing else waits."""


@dataclass(frozen=True)
class Environment:
    """
    One component's view of the daemon.

    Attributes:
        name: of the component.
        section: its settings, of the type `IServicePlugin.settings`.
        config: the settings that are not a component's: `data`, `reserve`, `listen`, `tls`,
            `access`.
        clock: delays and monotonic seconds; `task.Clock` in tests.
        now: wall time, milliseconds since the Unix epoch, UTC, and whether it can be trusted.
        access: who may do what.
        log: limits the log lines about one peer.
        worker: returns the thread of this name, the component's own: `worker()`, or
            `worker("export")` for a second one; `worker("send", patient=True)` for one whose
            calls may wait for other machines.
        find: returns what another component offers, such as `ISignals`, or None; usable once
            everything is built: in `factory`, `start` and later.
        find_all: returns the offers of all components, by name; `daemon` is the daemon itself.
    """

    name: str
    section: Any
    config: Config
    clock: IReactorTime
    now: WallClock
    access: AccessControl
    log: LogThrottle
    worker: Callable[..., Worker]
    find: Callable[[Any], Any]
    find_all: Callable[[Any], dict[str, Any]]

    @classmethod
    def root(
        cls,
        config: Config,
        clock: IReactorTime,
        now: WallClock,
        access: AccessControl,
        log: LogThrottle,
    ) -> "Environment":
        """Return the daemon's own view, from which those of the components are made."""
        return cls("", None, config, clock, now, access, log, _nothing, _nothing, _nothing)

    @property
    def enabled(self) -> bool:
        """Whether a component is on that has a setting `enabled`: an endpoint is enough."""
        return self.section.enabled or bool(endpoints(self.config, self.name, []))

    @property
    def data(self) -> Path:
        """The folder DATA/NAME of the component, made on first use."""
        path = self.file(self.name)
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def file(self, name: str) -> Path:
        """Return the path DATA/name of a file of the component."""
        return Path(self.config.data) / name


def _nothing(*_: Any) -> Any:
    raise LookupError("Only a component can find others and have a worker.")
