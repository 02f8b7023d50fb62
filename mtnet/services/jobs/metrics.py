"""Metrics of jobs."""

from collections.abc import Callable

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.jobs.service import JobService


@implementer(IMetrics)
class JobMetrics:
    """Counters of jobs, tasks and workers."""

    def __init__(self, jobs: JobService) -> None:
        self._jobs = jobs

    def metrics(self) -> list[Metric]:
        """Return how much is offered, and what becomes of it."""
        counts, book = self._jobs.counts, self._jobs.book
        return [
            _counter("offered", "Jobs that were stored.", lambda: counts["offered"]),
            _counter("done", "Jobs that have ended with a result.", lambda: counts["done"]),
            _counter("dead", "Jobs that have ended without a result.", lambda: counts["dead"]),
            _counter("late", "Results that came when the lease was lost.", lambda: counts["late"]),
            _gauge("open", "Jobs that are neither done nor dead.", lambda: book.count),
            _gauge("running", "Tasks that workers have.", lambda: book.running),
            _gauge(
                "workers", "Workers, each counted for each of its queues.", lambda: book.workers
            ),
        ]


def _counter(name: str, text: str, read: Callable[[], int]) -> Metric:
    return Metric(f"mtnet_jobs_{name}_total", "counter", text, read)


def _gauge(name: str, text: str, read: Callable[[], int]) -> Metric:
    return Metric(f"mtnet_jobs_{name}", "gauge", text, read)
