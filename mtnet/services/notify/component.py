"""Messages to people as a component of the daemon."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IControlCommands, IMetrics, INotifier, IService, ISessionVerbs, IStatus
from mtnet.services.notify.commands import NotifyCommands
from mtnet.services.notify.metrics import NotifyMetrics
from mtnet.services.notify.notifier import Delivery, Notifier
from mtnet.services.notify.queue import RetryQueue
from mtnet.services.notify.rate_limit import SenderLimits
from mtnet.services.notify.receivers import open_receivers
from mtnet.services.notify.store import MessageStore
from mtnet.services.notify.verbs import NotifyVerbs


@implementer(IService)
class NotifyComponent:
    """
    Sends messages to the receivers of [notify.NAME].

    Args:
        offers: what provides the other interfaces, by interface.
    """

    def __init__(self, notifier: Notifier, offers: Mapping[Any, object]) -> None:
        self._notifier, self._offers = notifier, offers

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Send what waits."""
        if self._notifier.names:
            self._notifier.start()

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        return self._notifier.stop()


def build(env: Environment) -> NotifyComponent:
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
    offers: dict[Any, object] = {
        INotifier: notifier,
        IStatus: notifier,
        IMetrics: NotifyMetrics(notifier),
        ISessionVerbs: NotifyVerbs(notifier, SenderLimits(settings.sender_rate), env.clock),
        IControlCommands: NotifyCommands(notifier, settings.title, make_thread),
    }
    return NotifyComponent(notifier, offers)
