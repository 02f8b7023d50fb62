"""Sentiment as a component of the daemon."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mtnet.access.addresses import is_loopback
from mtnet.config.loader import endpoints
from mtnet.config.schema import Config
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
    IStreamListener,
)
from mtnet.net.endpoints import Listener
from mtnet.services.sentiment.classic.protocol import SentimentPort
from mtnet.services.sentiment.commands import SentimentCommands
from mtnet.services.sentiment.history import SentimentHistory
from mtnet.services.sentiment.metrics import SentimentMetrics
from mtnet.services.sentiment.recorder import MinuteRecorder
from mtnet.services.sentiment.resources import SentimentResources
from mtnet.services.sentiment.service import SentimentService
from mtnet.services.sentiment.verbs import SentimentVerbs
from mtnet.storage.sqlite import copy_database

FILE = "sentiment.sqlite"
MIN_CLIENTS = 3
"""The default of `sentiment.min_clients`: of two, each would know the other one's book."""


@implementer(IService, IStatus, IBackup)
class SentimentComponent:
    """
    Joins sentiment with the daemon.

    Args:
        offers: what provides the other interfaces, by interface.
    """

    obsolete = ()

    def __init__(
        self,
        env: Environment,
        sentiment: SentimentService,
        recorder: MinuteRecorder,
        offers: Mapping[Any, object],
    ) -> None:
        self._env, self._sentiment, self._recorder = env, sentiment, recorder
        self._offers, self._path = offers, env.file(FILE)

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Record the minute history."""
        self._recorder.start(self._env.clock)

    def stop(self) -> "Deferred[None]":
        """Close the history."""
        self._sentiment.close()
        return self._recorder.stop()

    def health(self) -> dict[str, object]:
        """Report for `/healthz`; a minute that is not stored is lost, and nothing else."""
        trouble = self._recorder.trouble
        return {
            "healthy": True,
            "trouble": None,
            **({"warning": f"The minute history of sentiment: {trouble}"} if trouble else {}),
        }

    def status(self) -> dict[str, object]:
        """Report that, and what is shown; not even that somebody votes is told below the floor."""
        sentiment = self._sentiment
        return {
            **self.health(),
            "symbols": len(sentiment.all()),
            "subscribers": sentiment.fanout.asked.total(),
        }

    def backup(self, folder: Path) -> None:
        """Copy the minute history."""
        if self._path.exists():
            copy_database(self._path, folder / FILE)


def floor_of(config: Config, min_clients: int | None) -> int:
    """
    Return how many clients sums must have.

    Without a setting one is enough where all programs belong to the owner of this machine: every
    endpoint is on loopback, and loopback is trusted.
    """
    if min_clients is not None:
        return min_clients
    listeners = [
        Listener(name, text) for name in config.listen for text in endpoints(config, name, [])
    ]
    alone = all(is_loopback(each.interface) and not each.proxied for each in listeners)
    return 1 if alone and config.access.trust_loopback else MIN_CLIENTS


def build(env: Environment) -> SentimentComponent | DisabledService:
    """Build the component; it is on when its section or one of its endpoints says so."""
    settings = env.section
    if not env.enabled:
        return DisabledService()
    floor = floor_of(env.config, settings.min_clients)
    sentiment = SentimentService(settings, floor, env.clock, env.now)
    history = SentimentHistory(env.file(FILE))
    recorder = MinuteRecorder(history, settings.keep, sentiment.all, env.worker(), env.now)
    offers: dict[Any, object] = {
        IStreamListener: SentimentPort(env, sentiment),
        ISessionVerbs: SentimentVerbs(sentiment),
        IMetrics: SentimentMetrics(sentiment),
        IHttpResources: SentimentResources(sentiment, recorder),
        IControlCommands: SentimentCommands(sentiment, recorder),
    }
    return SentimentComponent(env, sentiment, recorder, offers)
