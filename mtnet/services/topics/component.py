"""Topics as a component of the daemon."""

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
from mtnet.services.topics.metrics import TopicMetrics
from mtnet.services.topics.resources import TopicResources
from mtnet.services.topics.service import TopicService
from mtnet.services.topics.store import RetainedStore
from mtnet.services.topics.verbs import TopicVerbs
from mtnet.storage.group_commit import GroupCommit
from mtnet.storage.sqlite import copy_database

LOOK = 3_600.0
"""Seconds between two looks for values that are older than `topics.keep`."""
FILE = "topics.sqlite"


@implementer(IService, IStatus, IControlCommands, IBackup)
class TopicsComponent:
    """
    Joins topics with the daemon.

    Args:
        offers: what provides the other interfaces, by interface.
    """

    obsolete = ()

    def __init__(
        self,
        env: Environment,
        topics: TopicService,
        offers: Mapping[Any, object],
    ) -> None:
        self._topics, self._offers = topics, offers
        self._path = env.file(FILE)
        self._look = LoopingCall(Recurring("The look for old retained values", topics.expire))
        self._look.clock = env.clock

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Remove old values now and then."""
        self._look.start(LOOK)

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        if self._look.running:
            self._look.stop()
        return self._topics.close()

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        trouble = self._topics.trouble and "Retained values of topics are not stored."
        return {"healthy": trouble is None, "trouble": trouble}

    def status(self) -> dict[str, object]:
        """Report that, and how much is used."""
        topics = self._topics
        trouble = topics.trouble
        return {
            "healthy": trouble is None,
            "trouble": trouble,
            "topics": len(topics.book.topics),
            "memberships": topics.index.count,
            "retained": topics.book.retained,
            "messages": topics.sent,
        }

    def commands(self) -> dict[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands of the control socket."""
        return {"topics list": lambda asked: self._topics.rows()}

    def backup(self, folder: Path) -> None:
        """Copy the retained values."""
        if self._path.exists():
            copy_database(self._path, folder / FILE)


def build(env: Environment) -> TopicsComponent | DisabledService:
    """
    Build the component.

    Raises:
        JournalError: the retained values cannot be read.
    """
    settings = env.section
    if not env.enabled:
        return DisabledService()
    store = RetainedStore(env.file(FILE))
    writer = GroupCommit(store.update, store.close, env.worker())
    topics = TopicService(settings, writer, env.clock, env.now)
    topics.book.load(store.load())
    offers: dict[Any, object] = {
        ISessionVerbs: TopicVerbs(topics),
        IMetrics: TopicMetrics(topics),
        IHttpResources: TopicResources(topics, env.clock),
    }
    return TopicsComponent(env, topics, offers)
