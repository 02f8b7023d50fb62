"""Sentiment: what clients hold, as sums."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IServicePlugin
from mtnet.services.sentiment.settings import SentimentSettings

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed)
class Sentiment:
    """The plugin of market sentiment."""

    name = "sentiment"
    description = "what clients hold, as sums"
    settings = SentimentSettings
    shared = False
    permissions = ("follow", "publish")
    roles: ClassVar = {"voter": ("follow:sentiment", "publish:sentiment")}
    connections: ClassVar[dict[str, int]] = {}
    listens: ClassVar[dict[str, str | None]] = {"stream": None}
    command = "mtnet.cli.sentiment.command"

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.sentiment.component import build

        return build(env)


sentiment = Sentiment()
