"""Signals: net positions from publishers to followers."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory
from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IStreamPlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IStreamPlugin)
class Signals:
    """The signals port."""

    name = "signals"
    description = "positions of providers, told to followers"
    defaultEndpoint = "tcp:8081:interface=127.0.0.1"
    rights = ("follow", "publish")

    def buildFactory(self, env: "Environment") -> IProtocolFactory:
        """Build the factory of every signals listener."""
        from mtnet.net.endpoints import Listener
        from mtnet.services.signals.protocol import SignalsFactory

        return SignalsFactory(env, Listener(self.name, ""))


signals = Signals()
