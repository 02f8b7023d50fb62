"""Indicators as a component of the daemon."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from mtnet.daemon.disabled import DisabledService
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    IService,
    ISessionVerbs,
    IStatus,
)
from mtnet.recurring import Recurring
from mtnet.services.indicators.metrics import IndicatorMetrics
from mtnet.services.indicators.resources import IndicatorResources
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.store import IndicatorStore
from mtnet.services.indicators.verbs import IndicatorVerbs
from mtnet.storage.sqlite import copy_database

LOOK = 3_600.0
"""Seconds between two looks for series that are not used any more."""
FILE = "indicators.sqlite"


@implementer(IService, IStatus, IControlCommands, IBackup)
class IndicatorsComponent:
    """
    Joins indicators with the daemon.

    Args:
        offers: what provides the other interfaces, by interface.
    """

    obsolete = ()

    def __init__(
        self, env: Environment, indicators: IndicatorService, offers: Mapping[Any, object]
    ) -> None:
        self._indicators, self._offers = indicators, offers
        self._path = env.file(FILE)
        self._look = LoopingCall(Recurring("The look for unused series", indicators.expire))
        self._look.clock = env.clock

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Remove unused series now and then."""
        self._look.start(LOOK)

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        if self._look.running:
            self._look.stop()
        return self._indicators.close()

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        trouble = self._indicators.commit.trouble and "Values of indicators are not stored."
        return {"healthy": trouble is None, "trouble": trouble}

    def status(self) -> dict[str, object]:
        """Report that, and how much is used."""
        indicators = self._indicators
        trouble = indicators.commit.trouble
        return {
            "healthy": trouble is None,
            "trouble": trouble,
            "series": len(indicators.known),
            "followers": indicators.followers,
            "values": indicators.kept,
        }

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands of the control socket."""
        return {"indicators list": lambda asked: self._indicators.rows()}

    def backup(self, folder: Path) -> None:
        """Copy the values."""
        if self._path.exists():
            copy_database(self._path, folder / FILE)


def build(env: Environment) -> IndicatorsComponent | DisabledService:
    """
    Build the component.

    Raises:
        JournalError: the values cannot be read.
    """
    settings = env.section
    if not env.enabled:
        return DisabledService()
    store = IndicatorStore(env.file(FILE), settings.keep)
    indicators = IndicatorService(settings, store, env.worker(), env.clock, env.now)
    offers: dict[Any, object] = {
        ISessionVerbs: IndicatorVerbs(indicators),
        IMetrics: IndicatorMetrics(indicators),
        IHttpResources: IndicatorResources(indicators, env.clock),
    }
    return IndicatorsComponent(env, indicators, offers)
