"""Ticks: collected from terminals by datagram and stream, told to subscribers."""

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IDatagramPlugin, IStreamPlugin

if TYPE_CHECKING:
    from mtnet.daemon.environment import Environment
    from mtnet.net.endpoints import Listener


@implementer(IPlugin, IStreamPlugin)
class Ticks:
    """The tick port for streams."""

    name = "ticks"
    description = "ticks, taken and told"
    defaultEndpoint = "tcp:8082:interface=127.0.0.1"
    rights = ("send", "read")

    def buildFactory(self, env: "Environment") -> IProtocolFactory:
        """Build the factory of every stream listener."""
        from mtnet.net.endpoints import Listener
        from mtnet.services.ticks.protocol import TicksFactory

        return TicksFactory(env, Listener(self.name, ""))


@implementer(IPlugin, IDatagramPlugin)
class TicksByDatagram:
    """The tick port for datagrams."""

    name = "ticks"
    description = "ticks, taken"
    defaultEndpoint = "udp:8082:interface=127.0.0.1"
    rights = ("send",)

    def buildProtocol(self, env: "Environment", listener: "Listener") -> DatagramProtocol:
        """Build what hears the datagrams of one listener."""
        from mtnet.services.ticks.udp import TickDatagramProtocol

        return TickDatagramProtocol(env, listener)


ticks = Ticks()
ticks_by_datagram = TicksByDatagram()
