"""Messages to people as a component of the daemon."""

from functools import partial

from mtnet.daemon.component import Component
from mtnet.daemon.environment import Environment
from mtnet.interfaces import IControlCommands, IMetrics, INotifier, ISessionVerbs, IStatus
from mtnet.services.notify.commands import NotifyCommands
from mtnet.services.notify.metrics import NotifyMetrics
from mtnet.services.notify.notifier import Delivery, Notifier
from mtnet.services.notify.queue import RetryQueue
from mtnet.services.notify.rate_limit import SenderLimits
from mtnet.services.notify.receivers import open_receivers
from mtnet.services.notify.store import MessageStore
from mtnet.services.notify.verbs import NotifyVerbs


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        ConfigError: apprise is not installed, or cannot use a URL.
        JournalError: the queue cannot be read.
    """
    settings = env.section
    receivers = open_receivers(settings.tables)
    store = MessageStore(env.file("notify.sqlite"))
    make_thread = partial(env.worker, patient=True)
    deliveries = [
        Delivery(each, RetryQueue(settings), make_thread(f"send-{each.id}"), env.clock)
        for each in receivers
    ]
    notifier = Notifier(settings, deliveries, store, env.worker(), env.clock, env.now)
    if receivers:
        notifier.load()
    return Component(
        {
            INotifier: notifier,
            IStatus: notifier,
            IMetrics: NotifyMetrics(notifier),
            ISessionVerbs: NotifyVerbs(notifier, SenderLimits(settings.sender_rate), env.clock),
            IControlCommands: NotifyCommands(notifier, settings.title, make_thread),
        },
        start=[notifier.start] if receivers else [],
        stop=[notifier.stop],
    )
