"""Topics as a component of the daemon."""

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
from mtnet.services.topics.metrics import TopicMetrics
from mtnet.services.topics.resources import topic_routes
from mtnet.services.topics.service import TopicService
from mtnet.services.topics.store import RetainedStore
from mtnet.services.topics.verbs import topic_verbs
from mtnet.storage.group_commit import GroupCommit

LOOK = 3_600.0
"""Seconds between two looks for values that are older than `topics.keep`."""


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        JournalError: the retained values cannot be read.
    """
    if not env.enabled:
        return Component()
    path = env.file("topics.sqlite")
    store = RetainedStore(path)
    writer = GroupCommit(store.update, store.close, env.worker())
    topics = TopicService(env.section, writer, env.clock, env.now)
    topics.book.load(store.load())
    look = RecurringCall("The look for old retained values", topics.expire, LOOK, env.clock)
    return Component(
        {
            ISessionVerbs: topic_verbs(topics),
            IMetrics: TopicMetrics(topics),
            IHttpResources: Resources(partial(topic_routes, topics)),
            IControlCommands: Commands({"topics list": lambda asked: topics.rows()}),
            IStatus: StorageStatus(
                "Retained values of topics are not stored.", lambda: writer.trouble, topics.usage
            ),
            IBackup: DatabaseBackup(path),
        },
        start=[look.start],
        stop=[look.stop, topics.close],
    )
