"""Metrics as a component of the daemon: `/metrics`."""

from functools import cache, partial

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from mtnet.daemon.component import Component, Resources
from mtnet.daemon.environment import Environment
from mtnet.interfaces import IHttpResources, IHttpServer, IMetrics
from mtnet.net.http.route import Answer, Content, HttpRequest, Route
from mtnet.services.metrics.collector import ComponentCollector

METRICS = "metrics"
"""The name of this service in rights."""


def build(env: Environment) -> Component:
    """Build the component, which shows the counters and gauges of all components."""

    registry = cache(partial(registry_of, env))

    def show(request: HttpRequest) -> Answer:
        if not env.find(IHttpServer).metrics_open:
            request.demand("read", METRICS)
        body = generate_latest(registry())
        return Answer(200, body, {b"Content-Type": CONTENT_TYPE_LATEST.encode()})

    route = Route(
        method="GET",
        path="/metrics",
        handler=show,
        summary="Counters, gauges and histograms in the text format of Prometheus.",
        answers={200: Content(CONTENT_TYPE_LATEST)},
        errors=(401, 403),
    )
    return Component({IHttpResources: Resources(lambda: [route])})


def registry_of(env: Environment) -> CollectorRegistry:
    """Return all metrics, those of the process included."""
    registry = CollectorRegistry()
    registry.register(ComponentCollector(env.find_all(IMetrics)))
    ProcessCollector(registry=registry)
    return registry
