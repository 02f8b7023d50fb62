"""Notify: messages to people, by e-mail, to a phone or to a chat."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IReceiverNames, IServicePlugin, ISettingsCheck
from mtnet.services.notify.settings import NotifySettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, ISettingsCheck, IReceiverNames, IAlwaysNamed)
class Notify:
    """The plugin of messages to people."""

    name = "notify"
    description = "messages to people, by e-mail, to a phone or to a chat"
    settings = NotifySettings
    shared = False
    permissions = ("send",)
    roles: ClassVar[dict[str, tuple[str, ...]]] = {}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {}
    command = "mtnet.cli.alerts.notify"

    def check(self, section: Any, endpoints: Sequence[str], reactor: Any) -> None:
        """Check the URLs."""
        from mtnet.services.notify.receivers import open_receivers

        open_receivers(section.tables)

    def receivers(self, section: Any) -> Sequence[str]:
        """Return the names of [notify.NAME]."""
        return [*section.tables]

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.notify.component import build

        return build(env)


notify = Notify()
