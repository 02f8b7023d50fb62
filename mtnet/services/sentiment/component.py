"""Sentiment as a component of the daemon."""

from functools import partial

from zope.interface import implementer

from mtnet.access.addresses import is_loopback
from mtnet.config.loader import endpoints
from mtnet.config.schema import Config
from mtnet.daemon.component import Component, DatabaseBackup, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
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
from mtnet.services.sentiment.resources import sentiment_routes
from mtnet.services.sentiment.service import SentimentService
from mtnet.services.sentiment.verbs import sentiment_verbs

MIN_CLIENTS = 3
"""The default of `sentiment.min_clients`: of two, each would know the other one's book."""


@implementer(IStatus)
class SentimentStatus:
    """Reports what is shown, and whether its history is stored."""

    def __init__(self, sentiment: SentimentService, recorder: MinuteRecorder) -> None:
        self._sentiment, self._recorder = sentiment, recorder

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


def build(env: Environment) -> Component:
    """Build the component; it is on when its section or one of its endpoints says so."""
    if not env.enabled:
        return Component()
    path, settings = env.file("sentiment.sqlite"), env.section
    floor = floor_of(env.config, settings.min_clients)
    sentiment = SentimentService(settings, floor, env.clock, env.now)
    recorder = MinuteRecorder(
        SentimentHistory(path), settings.keep, sentiment.all, env.worker(), env.clock, env.now
    )
    return Component(
        {
            IStreamListener: SentimentPort(env, sentiment),
            ISessionVerbs: sentiment_verbs(sentiment),
            IMetrics: SentimentMetrics(sentiment),
            IHttpResources: Resources(partial(sentiment_routes, sentiment, recorder)),
            IControlCommands: SentimentCommands(sentiment, recorder),
            IStatus: SentimentStatus(sentiment, recorder),
            IBackup: DatabaseBackup(path),
        },
        start=[recorder.start],
        stop=[sentiment.close, recorder.stop],
    )
