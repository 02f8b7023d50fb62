"""Wrappers of factories and protocols that pass on what they do not handle."""

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.protocols.policies import ProtocolWrapper
from zope.interface import alsoProvides


class FactoryWrapper(Factory):
    """
    Factory wrapper: started, stopped and named as the factory that it wraps.

    Attributes:
        service: the factory.
    """

    noisy = False

    def __init__(self, service: IProtocolFactory) -> None:
        self.service = service

    def logPrefix(self) -> str:
        """Name the service in Twisted's own log lines."""
        return type(self.service).__name__

    def doStart(self) -> None:
        self.service.doStart()

    def doStop(self) -> None:
        self.service.doStop()


class HalfCloseable(ProtocolWrapper):
    """Protocol wrapper that passes on closed halves, when the wrapped protocol handles them."""

    def offer_halves(self) -> None:
        """Provide `IHalfCloseableProtocol`, once the wrapped protocol is known."""
        # Not in the class: a half-closeable protocol has to close the connection by itself.
        if IHalfCloseableProtocol.providedBy(self.wrappedProtocol):
            alsoProvides(self, IHalfCloseableProtocol)

    def readConnectionLost(self) -> None:
        """Pass on that the peer has closed its half."""
        IHalfCloseableProtocol(self.wrappedProtocol).readConnectionLost()

    def writeConnectionLost(self) -> None:
        """Pass on that our half is closed."""
        IHalfCloseableProtocol(self.wrappedProtocol).writeConnectionLost()
