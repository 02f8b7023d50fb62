"""How the daemon begins to listen, and how many connections it takes in one turn."""

from typing import Any

from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.tcp import Port
from twisted.python.failure import Failure

from mtnet.errors import StartError
from mtnet.net.accept_errors import limit_accept_errors
from mtnet.net.endpoints import Listener
from mtnet.net.half_closed import watch_half_closed

ACCEPTS = 16
"""Connections; one that is closed unheard takes less than a tenth of a millisecond."""


def listen(listener: Listener, factory: IProtocolFactory, reactor: Any) -> IListeningPort:
    """
    Listen at an endpoint.

    Raises:
        StartError: it does not work.
    """
    results: list[Any] = []
    listening = listener.server(reactor).listen(factory)
    listening.addBoth(results.append)
    if results and not isinstance(results[0], Failure):
        port: IListeningPort = results[0]
        take_few(port)
        watch_half_closed(port, reactor)
        limit_accept_errors(port, listener.service, reactor.seconds)
        return port
    why = reason(results[0].value) if results else "it does not answer at once"
    raise cannot_listen(listener, why)


def take_few(port: IListeningPort) -> None:
    """
    Let a port take no more than `ACCEPTS` connections in a turn; the kernel keeps the others.

    Twisted takes a hundred, and the more the longer a rush lasts: whoever is connected already
    would wait for all of them.
    """
    if isinstance(port, Port):
        _limit(port)


def cannot_listen(listener: Listener, why: str) -> StartError:
    """Return what is said of an endpoint that does not work."""
    return StartError(f"{listener.service} cannot listen on {listener.endpoint}: {why}.")


def reason(error: BaseException) -> str:
    """Return why a socket could not be made, in the words of the system."""
    cause = getattr(error, "socketError", error)
    if cause == "Cannot acquire lock":  # Twisted's, of a Unix socket
        return "another process listens there"
    return getattr(cause, "strerror", None) or str(cause)


def _limit(port: Any) -> None:
    take = port.doRead

    def take_some() -> None:
        port.numberAccepts = min(port.numberAccepts, ACCEPTS)
        take()

    port.doRead = take_some
