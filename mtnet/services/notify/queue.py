"""
Retry queue of one receiver.

Pure: methods take `when`, in seconds of one monotonic clock.
"""

from bisect import bisect_left
from collections.abc import Iterable

from mtnet.services.notify.rate_limit import RateLimit
from mtnet.services.notify.settings import NotifySettings
from mtnet.services.notify.store import Message


class RetryQueue:
    """
    Retry queue: messages in order, growing delays, and a rate limit.

    After a failure the next message is tried: one that the receiver never takes must not hold up
    the others. After a success the oldest is.

    Attributes:
        failures: attempts that failed since the last success.
        reason: why the last one failed; empty = none did since a success.
        sent: how many messages were taken.
    """

    def __init__(self, settings: NotifySettings, messages: Iterable[Message] = ()) -> None:
        self._settings = settings
        self._messages = {each.number: each for each in messages}
        self._limit = RateLimit(settings.rate)
        self._paused_until, self._tried = 0.0, 0
        self.failures, self.reason, self.sent = 0, "", 0

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def is_full(self) -> bool:
        """Whether there is no room for one more message."""
        return len(self) >= self._settings.max_waiting

    @property
    def oldest(self) -> int | None:
        """Time of the oldest message, milliseconds since the Unix epoch; None = none waits."""
        return next((each.time for each in self._messages.values()), None)

    def add(self, message: Message) -> None:
        """Append a message."""
        self._messages[message.number] = message

    def next(self, when: float) -> Message | None:
        """Return the message to try now; None = none, or not yet."""
        if not self._messages or when < self._paused_until or self._limit.wait(when):
            return None
        numbers = list(self._messages)
        at = bisect_left(numbers, self._tried + 1)
        return self._messages[numbers[at if at < len(numbers) else 0]]

    def taken(self, message: Message, when: float) -> None:
        """Drop a message that the receiver took."""
        self._messages.pop(message.number, None)
        self._limit.spend(when)
        self.failures, self.reason, self._tried = 0, "", 0
        self.sent += 1

    def failed(self, message: Message, reason: str, when: float) -> None:
        """Pause; each failure in a row doubles the pause."""
        most = self._settings.max_retry
        # Every receiver's limit is reached long before the power overflows.
        self._paused_until = when + min(most, self._settings.retry * 2.0 ** min(self.failures, 64))
        self.failures, self.reason, self._tried = self.failures + 1, reason, message.number

    def expire(self, before: int) -> list[Message]:
        """Drop and return messages that are older than a time, in ms since the Unix epoch."""
        old = [each for each in self._messages.values() if each.time < before]
        for each in old:
            del self._messages[each.number]
        return old
