"""
SUBSCRIBE with back-off, until the server accepts it.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Iterable

from mtnet.backoff import backoff
from mtnet.session.messages import Error

RETRYABLE_CODES = frozenset({"channel", "denied", "server"})
"""Refusals that may end by themselves: a channel is made, a right granted, a disk repaired."""


class RetryingSubscription:
    """
    Retries SUBSCRIBE with back-off: the server keeps the connection of a client that it refused.

    Attributes:
        deadline: when to ask again; None = not by itself.
        denied: whether the last refusal was for the lack of a right.
    """

    def __init__(self, channel: str) -> None:
        self.channel = channel
        self.deadline: float | None = None
        self.denied = False
        self._refused = 0

    def refused(self, refusal: Error, when: float) -> bool:
        """Return whether an ERROR ends the subscription, which is asked for again then."""
        if refusal.id or refusal.channel != self.channel or refusal.code not in RETRYABLE_CODES:
            return False
        if self.deadline is None:
            self.deadline, self.denied = when + backoff(self._refused), refusal.code == "denied"
            self._refused += 1
        return True

    def offered(self, channels: Iterable[str]) -> bool:
        """Return whether the server's offer (CHANNELS) is to be taken at once."""
        taken = self.deadline is not None and self.channel in channels
        if taken:
            self.end()
        return taken

    def due(self, when: float) -> bool:
        """Return whether to ask now."""
        due = self.deadline is not None and self.deadline <= when
        if due:
            self.end()
        return due

    def granted(self) -> None:
        """Begin with short delays at the next refusal."""
        self._refused = 0

    def end(self) -> None:
        """Ask no more."""
        self.deadline = None
