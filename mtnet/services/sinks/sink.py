"""Sink: sends the ticks of a queue until a server has them."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from mtnet.errors import JournalError
from mtnet.services.sinks.queue import TickQueue
from mtnet.services.sinks.settings import SinksSettings
from mtnet.services.sinks.target import Target, TargetError
from mtnet.storage.worker import InThread


class Sink:
    """
    Sender with exponential backoff: one batch at a time, in order, at least once.

    Args:
        network: runs a blocking function off the reactor, in a thread of its own: a server that
            hangs holds up nothing else.

    Attributes:
        sent, refused: ticks that the server took, or will never take, since the start.
        failures: attempts that failed since the last success.
        reason: why the last one failed; empty = it did not.
    """

    log = Logger()

    def __init__(
        self,
        name: str,
        settings: SinksSettings,
        queue: TickQueue,
        target: Target,
        network: InThread,
        clock: IReactorTime,
    ) -> None:
        self.name, self._settings = name, settings
        self.queue, self.target = queue, target
        self._network, self._clock = network, clock
        self.sent = self.refused = self.failures = 0
        self.reason, self._failing_since = "", 0.0
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

    def check(self) -> "Deferred[None]":
        """
        Return what fires once the server has said that it takes ticks.

        It fails with `TargetError`: the server does not.
        """
        return self._network(self.target.check)

    def _wake(self) -> None:
        """Send, unless that is under way or waits."""
        if self._running and not self._busy and self._timer is None and self.queue.waiting.ticks:
            self._busy = True
            Deferred.fromCoroutine(self._send()).addErrback(self._broken)

    async def _send(self) -> None:
        try:
            while self._running:
                batch = await self.queue.next(self._settings.batch)
                if batch is None:
                    break
                refused = await self._network(self.target.write, self.queue.origin, batch)
                await self.queue.remove(batch.last)
                self.refused += refused
                self.sent += len(batch.ticks) - refused
                self._succeeded()
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
    def overdue(self) -> str | None:
        """A sentence, when the server has taken nothing for long; None = it takes ticks."""
        since = self._clock.seconds() - self._failing_since
        if not self.failures or since < self._settings.overdue:
            return None
        waiting = self.queue.waiting.ticks
        return f"The sink {self.name} takes nothing, and {waiting} ticks wait: {self.reason}"

    def status(self) -> dict[str, Any]:
        """Report for `mtnet status`."""
        waiting = self.queue.waiting
        return {
            "name": self.name,
            "server": self.target.label,
            "sent": self.sent,
            "waiting": waiting.ticks,
            "bytes": waiting.bytes,
            "dropped": self.dropped,
            "refused": self.refused,
            "failures": self.failures,
            "reason": self.reason or None,
        }
