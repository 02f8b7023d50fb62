"""Metrics as a component of the daemon: `/metrics`."""

from functools import cached_property

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from zope.interface import implementer

from mtnet.daemon.environment import Environment
from mtnet.interfaces import IHttpResources, IHttpServer, IMetrics, IService
from mtnet.net.http.route import Answer, Content, HttpRequest, Route
from mtnet.services.metrics.collector import ComponentCollector

METRICS = "metrics"
"""The name of this service in rights."""


@implementer(IService, IHttpResources)
class MetricsComponent:
    """Shows the counters and gauges of all components."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def start(self) -> None:
        """Nothing has to be started."""

    def stop(self) -> None:
        """Nothing has to be stopped."""

    @cached_property
    def registry(self) -> CollectorRegistry:
        """All metrics, those of the process included."""
        registry = CollectorRegistry()
        registry.register(ComponentCollector(self._env.find_all(IMetrics)))
        ProcessCollector(registry=registry)
        return registry

    def routes(self) -> list[Route]:
        """Return the route of `/metrics`."""
        return [
            Route(
                method="GET",
                path="/metrics",
                handler=self._get,
                summary="Counters, gauges and histograms in the text format of Prometheus.",
                answers={200: Content(CONTENT_TYPE_LATEST)},
                errors=(401, 403),
            )
        ]

    def _get(self, request: HttpRequest) -> Answer:
        if not self._env.find(IHttpServer).metrics_open:
            request.demand("read", METRICS)
        body = generate_latest(self.registry)
        return Answer(200, body, {b"Content-Type": CONTENT_TYPE_LATEST.encode()})
