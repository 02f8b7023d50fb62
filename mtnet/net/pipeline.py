"""What lies between a socket and a service: the PROXY header first, the ban, then TLS."""

from twisted.internet.interfaces import IProtocolFactory

from mtnet.daemon.environment import Hub
from mtnet.interfaces import IListenerAware
from mtnet.net.admission import Barrier, GuardedFactory
from mtnet.net.endpoints import Listener
from mtnet.net.peer import Gate
from mtnet.net.proxy.protocol import ProxiedFactory, Trust
from mtnet.net.tls.handshake import HandshakeFactory, Handshakes, SecureFactory
from mtnet.net.tls.store import Certificates


class Layers:
    """
    Puts a service's factory below what its endpoint asks for.

    Args:
        certificates: of `secure:` endpoints; None = there are none.

    Attributes:
        handshakes: of all listeners.
    """

    def __init__(self, hub: Hub, certificates: Certificates | None) -> None:
        settings = hub.config.tls
        self._hub, self._certificates = hub, certificates
        self._trust = Trust(hub.config.access.proxies)
        self.handshakes = Handshakes(
            hub.clock, hub.log_throttle, settings.handshake, settings.max_handshakes
        )

    def around(self, listener: Listener, service: IProtocolFactory) -> IProtocolFactory:
        """Return the factory for the bytes that come in at `listener`."""
        gate = Gate(self._hub, listener)
        factory = service
        if not IListenerAware.providedBy(service):
            factory = GuardedFactory(factory, gate)
        if listener.secure and self._certificates is not None:
            factory = SecureFactory(self._certificates, factory, self.handshakes)
        elif listener.security == "TLS":  # Twisted's own endpoints: ssl: and tls:
            factory = HandshakeFactory(factory, self.handshakes)
        factory = Barrier(factory, gate)
        if listener.proxied:
            hub = self._hub
            factory = ProxiedFactory(factory, self._trust, hub.clock, hub.log_throttle)
        return factory
