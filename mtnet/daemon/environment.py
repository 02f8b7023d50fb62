"""What the services share, handed in and never global."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.clock import WallClock
from mtnet.config.schema import Config

if TYPE_CHECKING:
    from mtnet.services.signals.service import SignalService
    from mtnet.services.templates.library import Library
    from mtnet.services.ticks.collector import Collector


@dataclass(frozen=True)
class Environment:
    """
    The domain objects and the clock.

    Attributes:
        config: the settings.
        clock: delays and monotonic seconds; `task.Clock` in tests.
        now: wall time, milliseconds since the Unix epoch, UTC, and whether it may be believed.
        in_thread: runs a blocking function off the reactor: `in_thread(function, *args)`
            returns a Deferred with its result. One call runs at a time, in order.
        access: who may do what.
        log: keeps a network from filling the log.
        library: the templates.
        desk: the signals.
        collector: the ticks.
        health: returns the report of `/healthz` and `mtnet status`.
    """

    config: Config
    clock: IReactorTime
    now: WallClock
    in_thread: Callable[..., "Deferred[Any]"]
    access: AccessControl
    log: LogThrottle
    library: "Library"
    signals: "SignalService"
    collector: "Collector"
    health: Callable[[], dict[str, Any]]
