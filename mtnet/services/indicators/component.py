"""Indicators as a component of the daemon."""

from functools import partial

from mtnet.daemon.component import Commands, Component, DatabaseBackup, Resources, StorageStatus
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
)
from mtnet.recurring import RecurringCall
from mtnet.services.indicators.book import IndicatorBook
from mtnet.services.indicators.broadcast import IndicatorBroadcast
from mtnet.services.indicators.metrics import IndicatorMetrics
from mtnet.services.indicators.resources import indicator_routes
from mtnet.services.indicators.service import IndicatorService
from mtnet.services.indicators.store import IndicatorStore
from mtnet.services.indicators.verbs import indicator_verbs

LOOK = 3_600.0
"""Seconds between two looks for series that are not used any more."""


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        JournalError: the values cannot be read.
    """
    if not env.enabled:
        return Component()
    path, settings = env.file("indicators.sqlite"), env.section
    store = IndicatorStore(path, settings.keep)
    book = IndicatorBook(settings, store, env.worker(), env.now)
    indicators = IndicatorService(settings, book, IndicatorBroadcast(settings, env.clock))
    look = RecurringCall("The look for unused series", book.expire, LOOK, env.clock)
    return Component(
        {
            ISessionVerbs: indicator_verbs(indicators),
            IMetrics: IndicatorMetrics(indicators),
            IHttpResources: Resources(partial(indicator_routes, indicators)),
            IControlCommands: Commands({"indicators list": lambda asked: book.rows()}),
            IStatus: StorageStatus(
                "Values of indicators are not stored.",
                lambda: book.commit.trouble,
                indicators.usage,
            ),
            IBackup: DatabaseBackup(path),
        },
        start=[look.start],
        stop=[look.stop, indicators.close],
    )
