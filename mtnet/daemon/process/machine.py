"""The daemon's part of this machine: the data folder, the clock, threads and timers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from mtnet import clock
from mtnet.clock import WallClock
from mtnet.daemon.datadir import DataFolder
from mtnet.daemon.gc_policy import GcPolicy
from mtnet.daemon.ports import raise_limit
from mtnet.recurring import RecurringCall, RecurringService
from mtnet.storage.worker import SerialWorker

RUN_INTERVAL = 300.0
"""Seconds between two notes that the daemon runs, from which the next start judges its clock: half
of `clock.JUMP`, below which it does not matter. Each writes an inode to the disk, 4 KiB."""
SPACE_CHECK_INTERVAL = 5.0
"""Seconds between two looks at the free space of the disk."""


class Machine(MultiService):
    """
    Owns the lock of the data folder, the wall clock and every thread.

    Attributes:
        reactor: of the process.
        now: wall time, and whether it can be trusted.
        folder: the data folder.
        disk: the thread for files that belong to no component.
        connection_limit: connections that there are descriptors for; None = unknown.
        gc_policy: when garbage is collected.

    Raises:
        StartError: the data folder cannot be used.
    """

    log = Logger()

    def __init__(self, data: str, now: WallClock, reactor: Any) -> None:
        super().__init__()
        self.reactor, self.now, self._started = reactor, now, clock.monotonic()
        self.connection_limit = raise_limit()
        self.gc_policy = GcPolicy(reactor)
        self.gc_policy.setServiceParent(self)
        self.folder = DataFolder(data)
        self.folder.check_restored()
        self.folder.check_space()
        now.compare_run(self.folder.last_run())
        now.compare_doubt(*self.folder.doubted_runs())
        self._workers: list[SerialWorker] = []
        self._forked = False
        self.disk = self.make_worker("mtnet-disk")
        self._space_checked: Callable[[], object] | None = None

    @property
    def path(self) -> Path:
        """The path of the data folder."""
        return self.folder.path

    @property
    def since(self) -> int:
        """Start time of the daemon, by the clock of now: milliseconds since the epoch."""
        return self.now() - int((clock.monotonic() - self._started) * 1000)

    def make_worker(self, name: str, niceness: int = 0) -> SerialWorker:
        """Make a thread, which starts and ends with the daemon; at once while it runs."""
        worker = SerialWorker(self.reactor, name, niceness)
        self._workers.append(worker)
        if self._forked:
            worker.start()
        return worker

    def repeat(self, seconds: float, what: str, work: Callable[[], Any]) -> None:
        """Do something every few seconds while the daemon runs."""
        call = RecurringCall(what, work, seconds, self.reactor)
        RecurringService(call).setServiceParent(self)

    def judge_clock(self) -> None:
        """Compare the clock with all that is known by now, and watch it from now on."""
        self.now.check_start()
        self.repeat(RUN_INTERVAL, "The note of the last run", self._note_run)
        self.repeat(clock.CHECK_INTERVAL, "The look at the clock", self.now.watch)

    def watch_space(self, checked: Callable[[], object]) -> None:
        """Look at the free space from time to time, and call `checked` after each look."""
        self._space_checked = checked
        self.repeat(
            SPACE_CHECK_INTERVAL, "The look at the free space of the disk", self._check_space
        )

    def _check_space(self) -> "Deferred[None]":
        return self.disk(self.folder.check_space).addCallback(self._space_known)

    def _space_known(self, _: None) -> None:
        if self.running and self._space_checked is not None:
            self._space_checked()

    def _note_run(self) -> "Deferred[None]":
        right, since, when = self.now.right, self.now.doubted_since, self.now()
        if not right and not since:
            return succeed(None)
        return self.disk(self.folder.record_run, when, right, since)

    def start_workers(self) -> None:
        """Start the threads; after the fork of a daemon."""
        self._forked = True
        for worker in self._workers:
            worker.start()
        if not self.folder.health()["healthy"]:
            self.log.error("{trouble}", trouble=self.folder.health()["trouble"])

    def release(self) -> None:
        """End the threads, and let another daemon use the folder."""
        for worker in self._workers:
            worker.stop()
        self.folder.release()
