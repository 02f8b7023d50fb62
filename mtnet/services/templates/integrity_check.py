"""Integrity check of the templates on disk, in the background."""

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mtnet.daemon.environment import Environment
from mtnet.recurring import RecurringCall
from mtnet.services.templates.library import Library

CHECK_INTERVAL = 0.1
"""Seconds from one version to the next: with the largest templates 10 MiB/s, which leaves the
disk and the worker thread to uploads."""
REPORT_INTERVAL = 60.0
"""Seconds between two reports of versions that were found damaged when they were served."""


class IntegrityCheckService(Service):
    """Scrubber: verifies each version that was there at the start, and logs damaged ones once."""

    log = Logger()

    def __init__(self, env: Environment, library: Library) -> None:
        self._library, self._worker = library, env.worker()
        self._reported: set[str] = set()
        what = "The check of the templates"
        self._calls = RecurringCall(what, self._check, CHECK_INTERVAL, env.clock)

    def startService(self) -> None:
        super().startService()
        self._calls.start()

    def stopService(self) -> None:
        super().stopService()
        self._calls.stop()

    def _check(self) -> "Deferred[None]":
        return self._worker(self._library.check_next).addCallback(self._checked)

    def _checked(self, found: str | None) -> None:
        if found is None:
            self._calls.slow_down(REPORT_INTERVAL)
        for sentence in self._library.damaged:
            if sentence not in self._reported:
                self._reported.add(sentence)
                self.log.warn("{sentence}", sentence=sentence)
