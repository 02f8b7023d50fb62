"""Messages to people as a component of the daemon."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.errors import ConfigError
from mtnet.interfaces import (
    IControlCommands,
    IMetrics,
    INotifier,
    IService,
    ISessionVerbs,
    IStatus,
)
from mtnet.services.notify.notifier import Notifier
from mtnet.services.notify.rate_limit import SenderLimits
from mtnet.services.notify.receivers import Receiver, open_receivers
from mtnet.services.notify.store import MessageStore
from mtnet.services.notify.verbs import NotifyVerbs

TEST = "This is a test: messages of mtnet arrive here."


@implementer(IService, IControlCommands, IMetrics)
class NotifyComponent:
    """
    Sends messages to the receivers of [notify.NAME].

    Raises:
        ConfigError: apprise is not installed, or cannot use a URL.
        JournalError: the queue cannot be read.
    """

    def __init__(self, env: Environment) -> None:
        self._env, settings = env, env.section
        receivers = open_receivers(settings.tables)
        self._threads = partial(env.worker, patient=True)
        self._notifier = Notifier(
            settings,
            receivers,
            MessageStore(env.file("notify.sqlite")),
            env.worker(),
            self._threads,
            env.clock,
            env.now,
        )
        if receivers.by_target:
            self._notifier.load()
        self._verbs = NotifyVerbs(self._notifier, SenderLimits(settings.sender_rate), env.clock)

    def __conform__(self, interface: Any) -> Any:
        if interface is ISessionVerbs:
            return self._verbs
        return self._notifier if interface in (INotifier, IStatus) else None

    def start(self) -> None:
        """Send what waits."""
        if self._notifier.names:
            self._notifier.start()

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        return self._notifier.stop()

    def commands(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands of the control socket."""
        return {"notify test": self._test}

    def metrics(self) -> list[tuple[str, str, str, Any]]:
        """Return how much is sent, waits, and was left out."""
        deliveries = self._notifier.deliveries.values()
        return [
            (
                "mtnet_notify_sent_total",
                "counter",
                "Messages that their receivers took.",
                lambda: sum(each.queue.sent for each in deliveries),
            ),
            (
                "mtnet_notify_waiting",
                "gauge",
                "Messages that no receiver has taken yet.",
                lambda: sum(len(each.queue) for each in deliveries),
            ),
        ]

    def _test(self, asked: Mapping[str, Any]) -> "Deferred[list[dict[str, Any]]]":
        """
        Send a message to each receiver of a name at once, past the queue.

        Raises:
            ConfigError: there is no such name.
        """
        name = asked.get("name")
        found = [
            each.receiver for each in self._notifier.deliveries.values() if each.target == name
        ]
        if not found:
            known = ", ".join(self._notifier.names) or "none; docs/alerts.md shows how to begin"
            raise ConfigError(f"There is no [notify.{name}]; there is {known}.")
        tries = DeferredList([self._try(each) for each in found])
        return tries.addCallback(lambda results: [result for _, result in results])

    def _try(self, receiver: Receiver) -> "Deferred[dict[str, Any]]":
        thread = self._threads(f"send-{receiver.id}")
        done = thread(receiver.deliver, self._env.section.title, TEST)
        return done.addCallback(
            lambda reason: {"receiver": receiver.label, "taken": reason is None, "reason": reason}
        )
