"""Sign of life to a service on another machine, which raises an alert without it."""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.client import readBody

from mtnet.recurring import RecurringCall
from mtnet.services.alerts.settings import HeartbeatOut

TIMEOUT = 10.0
"""Seconds for one call; the service is on another continent at most."""


class HeartbeatSender:
    """
    Calls a URL from time to time while the daemon is healthy; follows no redirect.

    Args:
        agent: a `twisted.web.iweb.IAgent`, which verifies certificates.
        health: returns the report of `IHealth`.

    Attributes:
        last: why the last call failed; empty = it did not.
    """

    log = Logger()

    def __init__(
        self,
        settings: HeartbeatOut,
        agent: Any,
        clock: IReactorTime,
        health: Callable[[], Mapping[str, Any]],
    ) -> None:
        self._url, self._agent, self._clock = settings.url.encode(), agent, clock
        self._health, self.last = health, ""
        self._loop = RecurringCall("The sign of life", self.step, settings.every, clock)

    def start(self) -> None:
        """Begin, if there is a URL."""
        if self._url:
            self._loop.start()

    def stop(self) -> None:
        """End."""
        self._loop.stop()

    def step(self) -> None:
        """Call the URL once, if the daemon is healthy."""
        if self._health()["healthy"]:
            done: Deferred[Any] = self._agent.request(b"GET", self._url)
            done.addCallback(self._answered).addTimeout(TIMEOUT, self._clock)
            done.addCallbacks(self._ended, self._failed)

    def _answered(self, response: Any) -> "Deferred[str]":
        status = "" if 200 <= response.code < 300 else f"it answers {response.code}"
        return readBody(response).addCallback(lambda _: status)

    def _failed(self, failure: Failure) -> None:
        # Its text may quote the URL, which may hold a secret.
        self._ended(type(failure.value).__name__)

    def _ended(self, trouble: str) -> None:
        if trouble and not self.last:
            text = "The sign of life does not reach alerts.heartbeat_out.url: {why}"
            self.log.warn(text, why=trouble)
        elif self.last and not trouble:
            self.log.info("The sign of life reaches alerts.heartbeat_out.url again.")
        self.last = trouble
