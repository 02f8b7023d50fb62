"""Topics: messages between clients."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IServicePlugin
from mtnet.services.topics.settings import TopicSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed)
class Topics:
    """The plugin of messages between clients."""

    name = "topics"
    description = "messages between clients, by topic"
    settings = TopicSettings
    shared = False
    permissions = ("follow", "publish")
    roles: ClassVar = {"member": ("follow:topics", "publish:topics")}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {"stream": None}
    command = "mtnet.cli.topics.command"

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.topics.component import build

        return build(env)


topics = Topics()
