"""How a program stays connected to a server: it dials again, after delays that grow."""

from collections.abc import Callable

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint

FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0
"""Seconds between attempts to connect again: a server's restart is noticed in half a minute."""

Delay = Callable[[int], float]
"""Returns the seconds before the next attempt, by how many were in vain since the last success."""
DELAY: Delay = backoffPolicy(FIRST_DELAY, LONGEST_DELAY)
"""With up to a second of jitter, which `backoffPolicy` adds by itself."""


def stay_connected(
    endpoint: IStreamClientEndpoint,
    factory: IProtocolFactory,
    clock: IReactorTime,
    turned_away: Callable[[], int] = lambda: 0,
    delay: Delay = DELAY,
) -> ClientService:
    """
    Return the service that keeps dialling a server.

    Args:
        turned_away: returns how many connections in a row were made and did not help; they count
            as attempts in vain, so that one whose login is refused does not knock every second.
        delay: must have jitter: the crowd of a server that comes back must not come all at once.
    """
    return ClientService(
        endpoint,
        factory,
        retryPolicy=lambda attempt: delay(max(attempt, turned_away())),
        clock=clock,
    )
