"""The part of a Twisted transport that the protocols use."""

from typing import Any, Protocol

from twisted.internet.interfaces import IAddress


class Transport(Protocol):
    """Twisted spreads this over ITCPTransport, IConsumer and IPushProducer."""

    def write(self, data: bytes) -> None: ...

    def loseConnection(self) -> None: ...

    def abortConnection(self) -> None: ...

    def getPeer(self) -> IAddress: ...

    def getHost(self) -> IAddress: ...

    def getHandle(self) -> Any: ...

    def registerProducer(self, producer: Any, streaming: bool) -> None: ...

    def unregisterProducer(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class StreamTransport(Transport, Protocol):
    """A bare TCP transport of Twisted, which can do more."""

    def startWriting(self) -> None: ...

    def loseWriteConnection(self) -> None: ...


def innermost(transport: Transport) -> Transport:
    """Return the transport below TLS and every other wrapper."""
    while (inner := getattr(transport, "transport", None)) is not None:
        transport = inner
    return transport
