"""The owner's commands on messages to people."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from zope.interface import implementer

from mtnet.errors import ConfigError
from mtnet.interfaces import IControlCommands
from mtnet.services.notify.notifier import Notifier
from mtnet.services.notify.receivers import Receiver
from mtnet.storage.worker import InThread

TEST = "This is a test: messages of mtnet arrive here."


@implementer(IControlCommands)
class NotifyCommands:
    """
    The commands of the control socket.

    Args:
        title: of the messages.
        thread: returns the thread of this name.
    """

    def __init__(self, notifier: Notifier, title: str, thread: Callable[[str], InThread]) -> None:
        self._notifier, self._title, self._thread = notifier, title, thread

    def commands(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Return the commands by name."""
        return {"notify test": self.test}

    def test(self, asked: Mapping[str, Any]) -> "Deferred[list[dict[str, Any]]]":
        """
        Send a message to each receiver of `name` at once, past the queue.

        Returns:
            A Deferred with `receiver`, `taken` and `reason` of each.

        Raises:
            ConfigError: there is no such name.
        """
        name, deliveries = asked.get("name"), self._notifier.deliveries.values()
        found = [each.receiver for each in deliveries if each.target == name]
        if not found:
            known = ", ".join(self._notifier.names) or "none; docs/alerts.md shows how to begin"
            raise ConfigError(f"There is no [notify.{name}]; there is {known}.")
        return gatherResults(map(self._try, found))

    def _try(self, receiver: Receiver) -> "Deferred[dict[str, Any]]":
        done = self._thread(f"send-{receiver.id}")(receiver.deliver, self._title, TEST)
        return done.addCallback(
            lambda reason: {"receiver": receiver.label, "taken": reason is None, "reason": reason}
        )
