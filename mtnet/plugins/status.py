"""Status: what happened, and how everything is."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IServicePlugin
from mtnet.services.status.settings import StatusSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed)
class Status:
    """The plugin of events and status."""

    name = "status"
    description = "events, and how everything is, for people"
    settings = StatusSettings
    shared = False
    connections: ClassVar[dict[str, int]] = {}
    permissions = ("read",)
    roles: ClassVar = {"watcher": ("read:status",)}
    listens: ClassVar[dict[str, str | None]] = {}
    command = None

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.status.component import build

        return build(env)


status = Status()
