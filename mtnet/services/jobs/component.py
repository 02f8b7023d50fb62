"""Jobs as a component of the daemon."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from mtnet.daemon.disabled import DisabledService
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    IService,
    ISessionVerbs,
    IStatus,
)
from mtnet.recurring import Recurring
from mtnet.services.jobs.commands import JobCommands
from mtnet.services.jobs.metrics import JobMetrics
from mtnet.services.jobs.resources import JobResources
from mtnet.services.jobs.service import JobService
from mtnet.services.jobs.store import JobStore
from mtnet.services.jobs.verbs import JobVerbs
from mtnet.storage.sqlite import copy_database

SWEEP, LOOK = 0.5, 60.0
"""Seconds between two looks for leases and jobs whose time is over, and for old results."""
FILE = "jobs.sqlite"


@implementer(IService, IStatus, IBackup)
class JobsComponent:
    """
    Joins jobs with the daemon.

    Args:
        offers: what provides the other interfaces, by interface.
    """

    obsolete = ()

    def __init__(self, env: Environment, jobs: JobService, offers: Mapping[Any, object]) -> None:
        self._jobs, self._offers, self._path = jobs, offers, env.file(FILE)
        self._loops = {
            _loop("The sweep of jobs", jobs.sweep): SWEEP,
            _loop("The removal of old jobs", jobs.remove_old): LOOK,
        }
        for loop in self._loops:
            loop.clock = env.clock

    def __conform__(self, interface: Any) -> Any:
        return self._offers.get(interface)

    def start(self) -> None:
        """Look for what is over now and then."""
        for loop, seconds in self._loops.items():
            loop.start(seconds)

    def stop(self) -> "Deferred[None]":
        """Store what was taken."""
        for loop in self._loops:
            if loop.running:
                loop.stop()
        return self._jobs.commits.close()

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        trouble = self._jobs.commits.trouble and "Jobs are not stored."
        return {"healthy": trouble is None, "trouble": trouble}

    def status(self) -> dict[str, object]:
        """Report that, and how much is used."""
        trouble, book = self._jobs.commits.trouble, self._jobs.book
        return {
            "healthy": trouble is None,
            "trouble": trouble,
            "queues": len(book.queues),
            "open": book.count,
            "running": book.running,
            "workers": book.workers,
            "kept": self._jobs.kept,
            **{each: self._jobs.counts[each] for each in ("offered", "done", "dead", "late")},
        }

    def backup(self, folder: Path) -> None:
        """Copy the jobs."""
        if self._path.exists():
            copy_database(self._path, folder / FILE)


def build(env: Environment) -> JobsComponent | DisabledService:
    """
    Build the component.

    Raises:
        JournalError: the jobs cannot be read.
    """
    settings = env.section
    if not env.enabled:
        return DisabledService()
    store = JobStore(env.file(FILE))
    jobs = JobService(settings, store, env.worker(), env.clock, env.now)
    jobs.load()
    offers: dict[Any, object] = {
        ISessionVerbs: JobVerbs(jobs),
        IMetrics: JobMetrics(jobs),
        IHttpResources: JobResources(jobs, env.clock),
        IControlCommands: JobCommands(jobs),
    }
    return JobsComponent(env, jobs, offers)


def _loop(what: str, work: Callable[[], Any]) -> LoopingCall:
    return LoopingCall(Recurring(what, work))
