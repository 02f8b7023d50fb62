"""Jobs as a component of the daemon."""

from functools import partial

from mtnet.daemon.component import Component, DatabaseBackup, Resources, StorageStatus
from mtnet.daemon.environment import Environment
from mtnet.interfaces import (
    IBackup,
    IControlCommands,
    IHttpResources,
    IMetrics,
    ISessionVerbs,
    IStatus,
)
from mtnet.recurring import RecurringCall
from mtnet.services.jobs.commands import JobCommands
from mtnet.services.jobs.metrics import JobMetrics
from mtnet.services.jobs.resources import job_routes
from mtnet.services.jobs.service import JobService
from mtnet.services.jobs.store import JobStore
from mtnet.services.jobs.verbs import job_verbs

SWEEP, LOOK = 0.5, 60.0
"""Seconds between two looks for leases and jobs whose time is over, and for old results."""
FILE = "jobs.sqlite"


def build(env: Environment) -> Component:
    """
    Build the component.

    Raises:
        JournalError: the jobs cannot be read.
    """
    if not env.enabled:
        return Component()
    path = env.file(FILE)
    jobs = JobService(env.section, JobStore(path), env.worker(), env.clock, env.now)
    jobs.load()
    sweep = RecurringCall("The sweep of jobs", jobs.sweep, SWEEP, env.clock)
    removal = RecurringCall("The removal of old jobs", jobs.remove_old, LOOK, env.clock)
    return Component(
        {
            ISessionVerbs: job_verbs(jobs),
            IMetrics: JobMetrics(jobs),
            IHttpResources: Resources(partial(job_routes, jobs)),
            IControlCommands: JobCommands(jobs),
            IStatus: StorageStatus(
                "Jobs are not stored.", lambda: jobs.commits.trouble, jobs.usage
            ),
            IBackup: DatabaseBackup(path),
        },
        start=[sweep.start, removal.start],
        stop=[sweep.stop, removal.stop, jobs.commits.close],
    )
