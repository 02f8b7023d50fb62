"""
PROXY protocol: the real addresses of connections that come through a load balancer.

The header comes first, in clear, before TLS. The service gets the connection after the header, so
it knows its peer from the beginning.
"""

from collections.abc import Iterable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocolFactory, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure

from mtnet.access.addresses import parse_address, parse_network
from mtnet.errors import WireError
from mtnet.net.endpoints import host_of
from mtnet.net.peer import PeerLog
from mtnet.net.proxy.header import Address, parse
from mtnet.net.transport import Transport
from mtnet.net.wrappers import HalfCloseable

HEADER_TIMEOUT = 5.0
"""Seconds for the header; a balancer sends it with its first packet."""


class TrustedProxies:
    """
    The load balancers whose PROXY headers are trusted.

    Args:
        networks: addresses and networks, as texts.

    Raises:
        ValueError: one is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [parse_network(each) for each in networks]

    def includes(self, peer: IAddress) -> bool:
        """Return whether the header of `peer` is trusted; a Unix socket always is."""
        address = parse_address(host_of(peer))
        if address is None:
            return not host_of(peer)
        return any(address in network for network in self._networks)


class Proxied(HalfCloseable):
    """One connection: a PROXY header, then the protocol of the service."""

    factory: "ProxiedFactory"
    transport: Transport  # type: ignore[assignment]

    def __init__(self, factory: "ProxiedFactory") -> None:
        super().__init__(factory, Protocol())
        self._head: bytes | None = b""
        self._peer: IAddress | None = None
        self._host: IAddress | None = None
        self._deadline: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._deadline = self.factory.clock.callLater(HEADER_TIMEOUT, self._late)

    def dataReceived(self, data: bytes) -> None:
        if self._head is None:
            super().dataReceived(data)
            return
        self._head += data
        try:
            header = parse(self._head)
        except WireError as error:
            self._refuse(str(error))
            return
        if header is not None:
            rest, self._head = self._head[header.size :], None
            self._peer, self._host = _address(header.peer), _address(header.host)
            self._begin(rest)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop()
        super().connectionLost(reason)

    def getPeer(self) -> IAddress:
        return self._peer or self.transport.getPeer()

    def getHost(self) -> IAddress:
        return self._host or self.transport.getHost()

    def _begin(self, rest: bytes) -> None:
        self._stop()
        protocol = self.factory.wrappedFactory.buildProtocol(self.getPeer())
        if protocol is None:
            self.transport.abortConnection()
            return
        self.wrappedProtocol = protocol
        self.offer_halves()
        protocol.makeConnection(self)
        if rest and not getattr(self.transport, "disconnecting", False):
            protocol.dataReceived(rest)

    def _late(self) -> None:
        self._deadline = None
        self._refuse(f"No PROXY header within {HEADER_TIMEOUT:g} s")

    def _refuse(self, why: str) -> None:
        self._stop()
        self.factory.warn(self.transport.getPeer(), why)
        self.transport.abortConnection()

    def _stop(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class ProxiedFactory(WrappingFactory[Proxied]):
    """
    Adds the PROXY header to the connections of a service.

    Args:
        trust: whose header is trusted; connections of others are closed.
    """

    log = Logger()
    noisy = False

    def __init__(
        self,
        service: IProtocolFactory,
        trust: TrustedProxies,
        clock: IReactorTime,
        log: PeerLog,
    ) -> None:
        super().__init__(service)
        self.clock, self._trust, self._peer_log = clock, trust, log

    def buildProtocol(self, addr: IAddress | None) -> Proxied | None:  # type: ignore[override]
        if addr is not None and not self._trust.includes(addr):
            self.warn(addr, "It is none of access.proxies")
            return None
        return Proxied(self)

    def warn(self, peer: IAddress, why: str) -> None:
        """Log why a connection is closed, rate-limited."""
        self._peer_log.warn(self.log, peer, "proxy", "haproxy: {peer} is closed. {why}.", why=why)


def _address(found: Address | None) -> IAddress | None:
    if found is None:
        return None
    kind = IPv6Address if ":" in found[0] else IPv4Address
    return kind("TCP", *found)
