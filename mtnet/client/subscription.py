"""SUBSCRIBE with back-off, until the server accepts it."""

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.client.connection import backoff
from mtnet.session.messages import Error

RETRYABLE_CODES = frozenset({"channel", "denied", "server"})
"""Refusals that may end by themselves: a channel is made, a right granted, a disk repaired."""


class RetryingSubscription:
    """
    Retries SUBSCRIBE with back-off: the server keeps the connection of a client that it refused.

    Args:
        ask: sends SUBSCRIBE on the present connection.
        login_again: ends that connection: a right that was granted meanwhile comes with the next
            login. None = the client is anonymous.
    """

    def __init__(
        self,
        channel: str,
        clock: IReactorTime,
        ask: Callable[[], object],
        login_again: Callable[[], object] | None = None,
    ) -> None:
        self.channel = channel
        self._clock, self._ask, self._login_again = clock, ask, login_again
        self._refused = 0
        self._retry: IDelayedCall | None = None

    def begin(self) -> None:
        """Ask on a new connection."""
        self.end()
        self._ask()

    def refused(self, refusal: Error) -> bool:
        """Return whether an ERROR ends the subscription, and ask again later if it does."""
        if refusal.id or refusal.channel != self.channel or refusal.code not in RETRYABLE_CODES:
            return False
        if self._retry is None:
            denied = self._login_again if refusal.code == "denied" else None
            delay = backoff(self._refused)
            self._retry = self._clock.callLater(delay, self._ask_again, denied or self._ask)
            self._refused += 1
        return True

    def offered(self, channels: Iterable[str]) -> None:
        """Ask at once when the server offers the channel (CHANNELS)."""
        if self._retry is not None and self.channel in channels:
            self.end()
            self._ask()

    def granted(self) -> None:
        """Begin with short delays at the next refusal."""
        self._refused = 0

    def end(self) -> None:
        """Ask no more."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _ask_again(self, how: Callable[[], object]) -> None:
        self._retry = None
        how()
