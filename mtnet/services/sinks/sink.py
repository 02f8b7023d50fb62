"""Sink: sends the ticks of a queue until a server has them."""

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mtnet.errors import JournalError
from mtnet.services.sinks.losses import RecentLosses
from mtnet.services.sinks.queue import TickQueue
from mtnet.services.sinks.settings import SinksSettings
from mtnet.services.sinks.target import TargetError
from mtnet.services.sinks.writer import BatchWriter


class Sink:
    """
    Sender with exponential backoff: one batch at a time, in order, at least once.

    Attributes:
        failures: attempts that failed since the last success.
        reason: why the last one failed; empty = it did not.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        settings: SinksSettings,
        queue: TickQueue,
        writer: BatchWriter,
        clock: IReactorTime,
    ) -> None:
        self.name, self._settings = name, settings
        self.queue, self.writer, self._clock = queue, writer, clock
        self.failures, self.reason, self._failing_since = 0, "", 0.0
        self._losses = RecentLosses(self.dropped)
        self._running = self._busy = False
        self._timer: IDelayedCall | None = None

    def start(self) -> None:
        """Send what waits, and what comes."""
        self._running, self.queue.added = True, self._wake
        self._wake()

    def stop(self) -> None:
        """Send no more; what waits is sent after the next start."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wake(self) -> None:
        """Send, unless that is under way or waits."""
        self._losses.look(self._lost(), self._clock.seconds())
        if self._running and not self._busy and self._timer is None and self.queue.waiting.ticks:
            self._busy = True
            Deferred.fromCoroutine(self._send()).addErrback(self._broken)

    async def _send(self) -> None:
        try:
            while self._running:
                batch = await self.queue.next(self._settings.batch)
                if batch is None:
                    break
                while self._running and not self.writer.has(batch):
                    await self.writer.write(self.name, self.queue.origin, batch)
                    self._succeeded()
                if self.writer.has(batch):
                    await self.queue.remove(batch.last)
        except (TargetError, JournalError) as error:
            self._failed(str(error))
        finally:
            self._busy = False

    def _broken(self, failure: Any) -> None:
        """Treat an error of this program as one of the server: the ticks wait."""
        self.log.failure("The sink {name} failed", failure, name=self.name)
        self._failed(failure.getErrorMessage())

    def _succeeded(self) -> None:
        if self.failures:
            self.log.info("The sink {name} takes ticks again.", name=self.name)
        self.failures, self.reason = 0, ""

    def _failed(self, reason: str) -> None:
        if not self.failures:
            self._failing_since = self._clock.seconds()
            text = "The sink {name} took no ticks, which are sent again later: {reason}"
            self.log.warn(text, name=self.name, reason=reason)
        delay = self._settings.retry * 2.0 ** min(self.failures, 64)
        self.failures, self.reason = self.failures + 1, reason
        if self._running:
            most = self._settings.max_retry
            self._timer = self._clock.callLater(min(most, delay), self._due)

    def _due(self) -> None:
        self._timer = None
        self._wake()

    @property
    def dropped(self) -> int:
        """Ticks that found no room in the queue, or that the disk did not take."""
        return self.queue.waiting.dropped + self.queue.unstored

    @property
    def failing(self) -> float | None:
        """Seconds since which the server takes nothing; None = it takes ticks."""
        return self._clock.seconds() - self._failing_since if self.failures else None

    @property
    def losing(self) -> int:
        """Ticks that the server does not get, until an hour has passed without one more."""
        return self._losses.look(self._lost(), self._clock.seconds())

    def _lost(self) -> int:
        return self.dropped + self.writer.counts.refused

    def down(self) -> str:
        """Return the sentence for a server that takes nothing."""
        waiting = self.queue.waiting.ticks
        return f"The sink {self.name} takes nothing, and {waiting} ticks wait: {self.reason}"

    def drops(self) -> str:
        """Return the sentence for ticks that the server does not get."""
        refused = f" ({self.writer.counts.refusal})" if self.writer.counts.refusal else ""
        return (
            f"The sink {self.name} lost {self.losing} ticks of late, as its queue was full, the "
            f"disk failed, or its server refused them{refused}; the store of ticks has them."
        )

    def warnings(self) -> Iterator[str]:
        """Yield what somebody should look at."""
        failing = self.failing
        if failing is not None and failing >= self._settings.overdue:
            yield self.down()
        if self.losing:
            yield self.drops()

    def status(self) -> dict[str, Any]:
        """Report for `mtnet status`."""
        waiting = self.queue.waiting
        return {
            "name": self.name,
            "server": self.writer.label,
            "sent": self.writer.counts.sent,
            "waiting": waiting.ticks,
            "bytes": waiting.bytes,
            "dropped": self.dropped,
            "refused": self.writer.counts.refused,
            "failures": self.failures,
            "reason": self.reason or self.writer.counts.refusal or None,
        }
