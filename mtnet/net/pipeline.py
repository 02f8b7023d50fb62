"""Connection pipeline: PROXY header, bans, TLS and admission, in this order, below a service."""

from collections.abc import Sequence

from twisted.internet.interfaces import IProtocolFactory

from mtnet.daemon.environment import Environment
from mtnet.net.admission import AdmittedFactory, BanFilterFactory, IPeerFactory
from mtnet.net.endpoints import Listener
from mtnet.net.peer import ListenerAccess, PeerLog
from mtnet.net.proxy.protocol import ProxiedFactory, TrustedProxies
from mtnet.net.tls.handshake import HandshakeFactory, HandshakeLimiter, SecureFactory
from mtnet.net.tls.store import CertificateStore


class Pipeline:
    """
    Wraps the factory of a service in what its endpoint asks for.

    Args:
        certificates: of `secure:` endpoints; None = there are none.

    Attributes:
        handshakes: of all listeners.
    """

    def __init__(self, env: Environment, certificates: CertificateStore | None) -> None:
        settings = env.config.tls
        self._env, self._certificates = env, certificates
        self._peer_log = PeerLog(env.log, env.clock.seconds)
        self._trust = TrustedProxies(env.config.access.proxies)
        self.handshakes = HandshakeLimiter(
            env.clock, self._peer_log, settings.handshake, settings.max_handshakes
        )

    def wrap(
        self, listener: Listener, service: IProtocolFactory, verbs: Sequence[str] = ()
    ) -> IProtocolFactory:
        """
        Return the factory for the bytes that come in at `listener`.

        Args:
            service: an `IPeerFactory`, or an ordinary factory, which is adapted.
            verbs: what a connection to an ordinary factory must be allowed.
        """
        access = ListenerAccess(self._env, listener)
        factory = service
        if not IPeerFactory.providedBy(service):
            factory = AdmittedFactory(factory, access, verbs)
        if listener.secure and self._certificates is not None:
            factory = SecureFactory(self._certificates, factory, self.handshakes)
        elif listener.security == "TLS":  # Twisted's own endpoints: ssl: and tls:
            factory = HandshakeFactory(factory, self.handshakes)
        factory = BanFilterFactory(factory, access)
        if listener.proxied:
            env = self._env
            factory = ProxiedFactory(factory, self._trust, env.clock, self._peer_log)
        return factory
