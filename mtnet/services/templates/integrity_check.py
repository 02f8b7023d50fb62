"""The versions on disk, compared with what was stored while the daemon runs."""

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mtnet.daemon.environment import Environment
from mtnet.interfaces import ITemplates
from mtnet.recurring import Recurring

CHECK_INTERVAL = 0.1
"""Seconds from one version to the next: with the largest templates 10 MiB/s, which leaves the
disk, and the thread that stores uploads, to those who wait for them."""
REPORT_INTERVAL = 60.0
"""Seconds between two looks at what was found to be damaged when it was served."""


class IntegrityCheckService(Service):
    """Checks each version that was there at the start once, and logs what is damaged once."""

    log = Logger()

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._reported: set[str] = set()
        self._calls = LoopingCall(Recurring("The check of the templates", self._check))
        self._calls.clock = env.clock

    def startService(self) -> None:
        super().startService()
        self._calls.start(CHECK_INTERVAL)

    def stopService(self) -> None:
        super().stopService()
        if self._calls.running:
            self._calls.stop()

    def _check(self) -> "Deferred[None]":
        return self._env.worker()(self._env.find(ITemplates).library.check_next).addCallback(
            self._checked
        )

    def _checked(self, found: str | None) -> None:
        if found is None:
            self._calls.interval = REPORT_INTERVAL
        for sentence in self._env.find(ITemplates).library.damaged:
            if sentence not in self._reported:
                self._reported.add(sentence)
                self.log.warn("{sentence}", sentence=sentence)
