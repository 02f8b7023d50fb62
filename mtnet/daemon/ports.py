"""Bound ports: how the daemon listens, how many connections it can take, and what it reports."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from mtnet.access.addresses import is_loopback
from mtnet.access.anonymous import AnonymousAccess
from mtnet.daemon.components import Components, stream_listener
from mtnet.daemon.process.stale_locks import clear_socket
from mtnet.errors import StartError
from mtnet.interfaces import IDatagramListener
from mtnet.net.accept_errors import limit_accept_errors
from mtnet.net.endpoints import Listener, host_of, show
from mtnet.net.keepalive import watch_half_closed
from mtnet.net.pipeline import Pipeline
from mtnet.net.udp import BatchingUdpPort

try:
    import resource
except ImportError:  # pragma: no cover - Windows counts them otherwise
    resource = None  # type: ignore[assignment]

ACCEPTS_PER_WAKEUP = 16
"""Connections; one that is closed unheard takes less than a tenth of a millisecond."""
RESERVE = 200
"""Descriptors that are not for connections: files, listeners, pipes between threads."""


@dataclass(frozen=True)
class BoundListener:
    """
    A listener and the port that it got.

    Attributes:
        verbs: what connections to it can ask for.
        welcomes: a connection that sends nothing is answered, so that `nc` shows something.
    """

    listener: Listener
    port: IListeningPort
    verbs: tuple[str, ...]
    welcomes: bool

    def example_command(self) -> str:
        """Return a command that speaks to it."""
        secure = self.listener.security == "TLS"
        if path := self.listener.path:
            return f"openssl s_client -quiet -unix {path}" if secure else f"nc -U {path}"
        host, port = host_of(self.port.getHost()), getattr(self.port.getHost(), "port", "")
        host = host if is_loopback(host) else "127.0.0.1"
        if secure:
            return f"openssl s_client -quiet -connect {host}:{port}"
        return f"nc {host} {port}"

    def report(self, rules: AnonymousAccess) -> dict[str, str]:
        """Return one row of the table that the daemon prints and `mtnet status` shows."""
        host, service = host_of(self.port.getHost()), self.listener.service
        # A socket for datagrams on all addresses does not learn which one they came to.
        blind = self.listener.datagrams and not is_loopback(host)
        owner = rules.loopback and not self.listener.proxied and not blind
        strangers = ", ".join(rules.describe(self.verbs, service)) or "nothing"
        return {
            "service": service,
            "address": show(self.port.getHost()),
            "security": self.listener.security,
            "loopback": ", ".join(self.verbs) if owner else strangers,
            "strangers": "" if is_loopback(host) and owner else strangers,
        }


def bind(
    listener: Listener, components: Components, pipeline: Pipeline, reactor: Any
) -> BoundListener:
    """
    Bind a component to an endpoint, below the connection pipeline.

    Raises:
        StartError: the endpoint does not work.
    """
    if listener.datagrams:
        datagrams = IDatagramListener(components.services[listener.service])
        udp = listen_udp(listener, datagrams.protocol(listener), reactor, datagrams.turn)
        return BoundListener(listener, udp, datagrams.datagram_verbs, False)
    stream = stream_listener(components, listener.service)
    if listener.path:
        clear_socket(Path(listener.path))
    factory = pipeline.wrap(listener, stream.factory(listener), stream.verbs)
    port = listen(listener, factory, reactor)
    return BoundListener(listener, port, stream.verbs, stream.welcomes)


def listen(listener: Listener, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    """
    Listen at a stream endpoint.

    Raises:
        StartError: it does not work.
    """
    results: list[Any] = []
    listening = listener.server(reactor).listen(factory)
    listening.addBoth(results.append)
    if results and not isinstance(results[0], Failure):
        port: IListeningPort = results[0]
        limit_accepts_per_wakeup(port)
        watch_half_closed(port, reactor)
        limit_accept_errors(port, listener.service, reactor.seconds)
        return port
    why = reason(results[0].value) if results else "it does not answer at once"
    raise cannot_listen(listener, why)


def listen_udp(
    listener: Listener, protocol: DatagramProtocol, reactor: Any, turn: float
) -> IListeningPort:
    """
    Listen at a datagram endpoint.

    Args:
        turn: seconds for which datagrams may keep the reactor at once.

    Raises:
        StartError: it does not work.
    """
    port = BatchingUdpPort(listener.port, protocol, listener.interface, reactor, turn)
    try:
        port.startListening()
    except CannotListenError as error:
        raise cannot_listen(listener, reason(error)) from error
    return port


def limit_accepts_per_wakeup(port: IListeningPort) -> None:
    """
    Let a port accept at most `ACCEPTS_PER_WAKEUP` connections a turn; the kernel keeps the rest.

    Twisted accepts a hundred, and the more the longer a rush lasts: established connections
    would wait for all of them.
    """
    if isinstance(port, Port):
        _limit(port)


def cannot_listen(listener: Listener, why: str) -> StartError:
    """Return the error of an endpoint that does not work."""
    return StartError(f"{listener.service} cannot listen on {listener.endpoint}: {why}.")


def reason(error: BaseException) -> str:
    """Return why a socket could not be made, in the words of the system."""
    cause = getattr(error, "socketError", error)
    if cause == "Cannot acquire lock":  # Twisted's, of a Unix socket
        return "another process listens there"
    return getattr(cause, "strerror", None) or str(cause)


def raise_limit() -> int | None:
    """
    Raise the soft limit of open files to the hard one.

    Returns:
        Connections that this leaves descriptors for; None = the system does not say.
    """
    if resource is None:
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
        except (OSError, ValueError):  # macOS has an unlimited hard one that it does not grant
            pass
    return None if soft == resource.RLIM_INFINITY else max(0, soft - RESERVE)


def _limit(port: Any) -> None:
    accept = port.doRead

    def accept_some() -> None:
        port.numberAccepts = min(port.numberAccepts, ACCEPTS_PER_WAKEUP)
        accept()

    port.doRead = accept_some
