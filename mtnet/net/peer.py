"""Connections as their services see them: rights, login and places of each peer of a listener."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.logger import Logger

from mtnet.access.accounts.cred import Certificate, Credentials
from mtnet.access.accounts.identity import Identity
from mtnet.access.addresses import is_loopback, network_of
from mtnet.access.bans.policy import OUR_TROUBLE, Offence
from mtnet.access.rights import NOTHING, Rights
from mtnet.access.security_log import Origin
from mtnet.access.throttle import LogThrottle
from mtnet.daemon.environment import Environment
from mtnet.errors import WireError
from mtnet.net.closing import PROGRESS, LingeringClose
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.tls.certificates import subject_names
from mtnet.net.transport import Transport

PLAIN = (
    "A password is not taken where others can listen: connect to a secure: endpoint, or set "
    "access.allow_plaintext_login"
)


class PeerLog:
    """
    Rate-limited log: warnings about peers, of which no network can fill the log.

    Args:
        throttle: the limit; shared by all services.
        seconds: monotonic.
    """

    __slots__ = ("_seconds", "_throttle")

    def __init__(self, throttle: LogThrottle, seconds: Callable[[], float]) -> None:
        self._throttle, self._seconds = throttle, seconds

    def warn(self, log: Logger, address: IAddress, kind: str, text: str, **fields: object) -> None:
        """
        Log a warning, unless there were too many of its kind about this network.

        Args:
            log: of the protocol.
            kind: what is counted together.
            text: a format of `twisted.logger`; `{peer}` is the address.
        """
        if self._throttle.admits(host_of(address), self._seconds(), kind):
            log.warn(text, peer=show(address), **fields)


class RightsListener(Protocol):
    """An object that is notified when a peer may do more than before."""

    def rights_gained(self) -> None:
        """It may do more."""


class Evictable(Protocol):
    """A connection that goes when it has to."""

    def evicted(self) -> None:
        """Close: others need the place, or the account may do less than before."""


class HasPeer(Protocol):
    """A protocol that has a peer."""

    log: Logger
    transport: Any
    peer: "Peer"


P = TypeVar("P", bound=HasPeer)


class Peer:
    """
    The other end of a connection: its address, login and rights.

    Attributes:
        host: the address it comes from; empty = a Unix socket.
        trusted: it comes from the owner of this machine; neither limits nor bans apply.
        known: it is not trusted, and there was a login from its network before.
        number: set by the limiter while it has done nothing: how many came so before it; 0 = it
            has done something.
        local: it stays on this machine.
        first_byte: seconds of the clock at its first byte, on a shared port; 0 = elsewhere.
        rights: what it may do now.
        identity: the account that has logged in; None = none.
    """

    __slots__ = (
        "_access", "_closing", "_connection", "_listener", "_login", "_transport", "first_byte",
        "host", "identity", "known", "local", "number", "open", "rights", "trusted",
    )  # fmt: skip

    def __init__(self, access: "ListenerAccess", host: str) -> None:
        self._access, self.host = access, host
        self.trusted = access.is_trusted(host)
        self.known = not self.trusted and access.is_known_network(host)
        self.number = 0
        self.rights = NOTHING
        self.identity: Identity | None = None
        self.open = True
        self.local = False
        self.first_byte = 0.0
        self._closing: LingeringClose | None = None
        self._connection: Evictable | None = None
        self._listener: RightsListener | None = None
        self._transport: Transport | None = None
        self._login: Deferred[Identity] | None = None

    @property
    def proxied(self) -> bool:
        """Whether it came through a load balancer."""
        return self._access.proxied

    @property
    def listener(self) -> Listener:
        """The listener that accepted it."""
        return self._access.listener

    def may(self, verb: str, name: str, service: str = "") -> bool:
        """Return whether it may do something to one thing of its service, or of another."""
        return self.rights.may(verb, service or self._access.listener.service, name)

    def may_all(self, verbs: Sequence[str]) -> bool:
        """Return whether it may do each of `verbs` to something of its service."""
        service = self._access.listener.service
        return all(self.rights.any(verb, service) for verb in verbs)

    def connected(self, transport: Transport, connection: Evictable) -> None:
        """
        The connection is usable; called again by a protocol that it is handed over to.

        Args:
            connection: evicted when its account may do less than before, and when it has to make
                room for others.
        """
        self._connection = connection
        if self._transport is not None:
            return
        self._transport = transport
        own = self._access.host or host_of(transport.getHost())
        secure = ISSLTransport.providedBy(transport)
        self.local = self._access.is_local(own)
        self.rights = self._access.rights(own, self.host)
        if secure and self._access.listener.secure:
            self._show_certificate(transport)

    def mark_unauthenticated(self, silent: bool = True) -> None:
        """
        It has done nothing yet, and may be evicted for others until it is active or has logged in.

        A connection that has rights here without a login is evicted last, as long as it is silent;
        one that has begun a command and not ended it counts as unauthenticated.
        """
        if self.identity is None and not self.trusted and not self.known:
            self._access.limiter.mark_unauthenticated(
                self, silent and self._access.allows(self.rights)
            )

    def mark_active(self) -> None:
        """It has logged in, or uses a right that it has without."""
        if self.number:
            self.number = 0
            self._access.limiter.mark_active(self)

    def disconnected(self) -> None:
        """The connection is gone."""
        if self.open:
            self.open = False
            self._access.limiter.remove(self)
            self._unwatch()
            self._connection = self._listener = None
            if self._closing is not None:
                self._closing.stop()
            if self._login is not None:
                self._login.cancel()

    def warn(self, log: Logger, kind: str, text: str, **fields: object) -> None:
        """
        Log a warning about it, at a limited rate.

        Args:
            log: of the protocol.
            kind: what is counted together.
            text: a format of `twisted.logger`; `{service}` and `{peer}` are filled in.
        """
        if self._transport is not None:
            address, service = self._transport.getPeer(), self._access.listener.service
            self._access.peer_log.warn(log, address, kind, text, service=service, **fields)

    def linger(self, seconds: float = PROGRESS, unsent: Callable[[], int] = int) -> None:
        """
        Reset the connection when its last bytes do not move.

        Args:
            seconds: without progress, before it is reset.
            unsent: returns how many bytes were not written yet, besides the transport's.
        """
        if self.open and self._transport is not None and self._closing is None:
            clock = self._access.clock
            self._closing = LingeringClose(clock, self._transport, seconds, unsent)

    def close(self, half: bool = False, seconds: float = PROGRESS) -> None:
        """
        Close the connection after the bytes on their way, and reset it when those do not move.

        Args:
            half: close our half alone, and wait for the peer's; TLS has no halves.
            seconds: without progress, before it is reset.
        """
        self.linger(seconds)
        if self._closing is not None:
            self._closing.begin(half)

    @property
    def closing(self) -> bool:
        """Whether `close` was called."""
        return self._closing is not None

    @property
    def private(self) -> bool:
        """Whether a password may be sent on this connection."""
        secure = ISSLTransport.providedBy(self._transport)
        return self.local or secure or self._access.access.settings.allow_plaintext_login

    def check_private(self) -> None:
        """
        Check that others cannot read a login, before it is parsed.

        Raises:
            WireError: `login`; others can listen on the way.
        """
        if not self.private:
            self._access.access.log.refused(self._origin(), "plain")
            raise WireError("login", PLAIN)

    def hello_refused(self, why: str) -> None:
        """Log that a greeting was refused; `why` is one word."""
        self._access.access.log.hello_refused(self._origin(), why)

    def login(self, credentials: Credentials) -> "Deferred[Identity]":
        """
        Log the connection in; it is done at once unless a password has to be hashed.

        Fails with:
            WireError: as `Authenticator.authenticate`; or `login`, see `check_private`.
        """
        return Deferred.fromCoroutine(self._log_in(credentials))

    def verify(self, credentials: Credentials) -> "Deferred[Identity]":
        """
        Authenticate one request; the connection stays as it is.

        Fails with:
            WireError: as `login`.
        """
        origin = self._origin()._replace(repeats=True)
        return Deferred.fromCoroutine(self._verify(credentials, origin))

    def become(self, identity: Identity) -> None:
        """It is an account from now on, whose credentials were verified."""
        self._unwatch()
        self.identity, self.rights = identity, self.rights_of(identity)
        self._access.access.accounts.watch(identity.name, self)
        self.mark_active()

    async def _log_in(self, credentials: Credentials) -> Identity:
        identity = await self._verify(credentials, self._origin())
        if self.open:
            self.become(identity)
        return identity

    async def _verify(self, credentials: Credentials, origin: Origin) -> Identity:
        self.check_private()
        self._login = self._access.access.authenticator.authenticate(
            credentials, origin, self.trusted
        )
        try:
            return await self._login
        finally:
            self._login = None

    def rights_of(self, identity: Identity) -> Rights:
        """Return the rights of an account here, together with those of its network."""
        return identity.rights | self._access.access.anonymous.of_network(self.host)

    def report_abuse(self, offence: Offence, cause: BaseException | None = None) -> None:
        """
        Count an offence: something that an honest client does not do.

        Args:
            cause: what failed; a failure of ours is not counted.
        """
        if not self.trusted and not isinstance(cause, OUR_TROUBLE):
            self._access.report_abuse(self.host, offence)

    @property
    def login_pending(self) -> bool:
        """Whether its login is being checked."""
        return self._login is not None

    def evict(self) -> None:
        """
        Close the connection: for others, or since its account has fewer rights now; a new login
        gets those.
        """
        if self._connection is not None:
            self._connection.evicted()

    def on_rights_gained(self, listener: "RightsListener") -> None:
        """Notify a listener each time that it may do more than before."""
        self._listener = listener

    def gain(self, former: Rights, rights: Rights) -> None:
        """
        Take over new rights of the account. A token, or a certificate with fewer rights, keeps its
        own.
        """
        if self.identity is not None and self.identity.rights == former:
            self.identity = self.identity._replace(rights=rights)
            self.rights = self.rights_of(self.identity)
            if self._listener is not None:
                self._listener.rights_gained()

    def _origin(self) -> Origin:
        transport, listener = self._transport, self._access.listener
        peer = "" if transport is None else show(transport.getPeer())
        return Origin(self.host, listener.service, listener.endpoint, peer)

    def _unwatch(self) -> None:
        if self.identity is not None:
            self._access.access.accounts.unwatch(self.identity.name, self)

    def _show_certificate(self, transport: Transport) -> None:
        shown: Any = ISSLTransport(transport).getPeerCertificate()
        names = [] if shown is None else subject_names(shown.to_cryptography())
        if names:
            authenticate = self._access.access.authenticator.authenticate
            found = authenticate(Certificate(tuple(names)), self._origin(), self.trusted)
            found.addCallbacks(self.become, lambda failure: failure.trap(WireError))


class ListenerAccess:
    """
    Access control of one listener: admission, bans, rates and rights of its peers.

    Attributes:
        access: accounts, bans and rights.
        listener: where it is.
        limiter: counts the connections of the service.
        clock: of the reactor.
        peer_log: limits log lines about peers.
        proxied: whether it is behind a load balancer.
        host: our end of each connection; empty = they differ, and the kernel is asked for it.
    """

    def __init__(self, env: Environment, listener: Listener) -> None:
        self.access, self.listener = env.access, listener
        self.limiter = env.access.limiter(listener.service)
        self.proxied, self.host = listener.proxied, listener.host
        self.clock, self._seconds, self._now = env.clock, env.clock.seconds, env.now
        self.peer_log = PeerLog(env.log, env.clock.seconds)
        self._judged: tuple[Rights, bool] = NOTHING, False

    def admit(self, address: IAddress | None) -> Peer | None:
        """Return the peer of a new connection; None = there are too many."""
        peer = Peer(self, "" if address is None else host_of(address))
        return peer if self.limiter.admit(peer) else None

    def is_banned(self, host: str) -> bool:
        """
        Return whether connections from an address are closed unread.

        A network with an earlier login stays open, unless the owner has banned it: the guesses may
        have come from others at the same address.
        """
        bans, when = self.access.bans, self._seconds()
        if not bans.ban_left(host, when) or self.is_trusted(host):
            return False
        return bans.manual_ban_left(host, when) > 0 or not self.is_known_network(host)

    def log_banned(self, addr: IAddress) -> None:
        """Log a connection that was closed unread for a ban."""
        origin = Origin(host_of(addr), self.listener.service, self.listener.endpoint, show(addr))
        self.access.log.connection_refused(origin)

    def over_rate(self, host: str) -> bool:
        """
        Return whether an unauthenticated connection exceeds the rate limit.

        Known clients would wait while each of them is read and refused.
        """
        if self.is_trusted(host) or self.access.anonymous.of_network(host) != NOTHING:
            return False
        return not self.is_known_network(host) and self.limiter.over_rate(self._seconds())

    def rights(self, own: str, peer: str) -> Rights:
        """Return the rights of a connection without a login."""
        return self.access.anonymous.rights(own, peer, self.proxied)

    def allows(self, rights: Rights) -> bool:
        """Return whether these rights concern the service."""
        if rights is not self._judged[0]:  # most have the same
            self._judged = rights, self.access.permissions.concerns(rights, self.listener.service)
        return self._judged[1]

    def is_trusted(self, host: str) -> bool:
        """Return whether a peer is the owner of this machine."""
        return self.access.anonymous.is_owner(host, self.proxied)

    def is_local(self, own: str) -> bool:
        """Return whether a connection stays on this machine: loopback, or a Unix socket."""
        return (is_loopback(own) or not own) and not self.proxied

    def is_known_network(self, host: str) -> bool:
        """Return whether there was a login from the peer's network before."""
        return self.access.accounts.is_known_network(network_of(host), self._now())

    def report_abuse(self, host: str, offence: Offence) -> None:
        """Count an offence; a missed deadline does not count while this process was stalled."""
        if offence is Offence.DEADLINE and self._now.stalled():
            return
        self.access.bans.punish(host, offence, self._seconds())


def abort_on_error(receive: "Callable[[P, bytes], None]") -> "Callable[[P, bytes], None]":
    """Decorator: an unhandled error aborts its connection, and no other."""

    @wraps(receive)
    def received(self: P, data: bytes) -> None:
        try:
            receive(self, data)
        except Exception as error:
            self.log.failure("Unhandled error in a connection; closing it.")
            self.peer.report_abuse(Offence.ERROR, error)
            self.transport.abortConnection()

    return received
