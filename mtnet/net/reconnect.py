"""Reconnecting client: connects again with exponential backoff and jitter."""

from collections.abc import Callable

from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.interfaces import IProtocolFactory, IReactorTime, IStreamClientEndpoint

from mtnet.backoff import FIRST_DELAY, LONGEST_DELAY

Delay = Callable[[int], float]
"""Returns the seconds before the next attempt, by the number that failed since a success."""
DELAY: Delay = backoffPolicy(FIRST_DELAY, LONGEST_DELAY)
"""With up to a second of jitter, which `backoffPolicy` adds."""


def stay_connected(
    endpoint: IStreamClientEndpoint,
    factory: IProtocolFactory,
    clock: IReactorTime,
    turned_away: Callable[[], int] = lambda: 0,
    delay: Delay = DELAY,
) -> ClientService:
    """
    Return a service that stays connected to a server.

    Args:
        turned_away: returns how many connections in a row were refused after they were made; they
            count as failed attempts, so that a refused login does not come back every second.
        delay: must have jitter: the clients of a restarted server must not return all at once.
    """
    return ClientService(
        endpoint,
        factory,
        retryPolicy=lambda attempt: delay(max(attempt, turned_away())),
        clock=clock,
    )
