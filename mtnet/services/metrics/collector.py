"""Collector: the metrics of components as families of prometheus-client."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import (
    Metric as Family,
)
from prometheus_client.registry import Collector
from twisted.logger import Logger

from mtnet.metrics import Histogram, Metric


class ComponentCollector(Collector):
    """
    Reads every component when Prometheus asks, so that nothing is kept twice.

    Args:
        providers: `IMetrics` by name of the component.
    """

    log = Logger()

    def __init__(self, providers: Mapping[str, Any]) -> None:
        self._providers = providers
        self._failed: set[str] = set()

    def describe(self) -> Iterable[Family]:
        """Describe nothing ahead: what there is depends on the components."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Yield a family for each metric; a component that fails is logged once and left out."""
        for name, provider in self._providers.items():
            try:
                yield from [family(metric) for metric in provider.metrics()]
            except Exception:
                if name not in self._failed:
                    self.log.failure("The metrics of {name} cannot be read.", name=name)
                self._failed.add(name)
        failed = GaugeMetricFamily(
            "mtnet_metrics_failed", "Components whose metrics could not be read since the start."
        )
        failed.add_metric([], len(self._failed))
        yield failed


def family(metric: Metric) -> Family:
    """Return a metric as it is now, with its samples."""
    name, kind, text, read, labels = metric
    value = read()
    if isinstance(value, Histogram):
        histogram = HistogramMetricFamily(name, text)
        histogram.add_metric([], value.buckets(), value.sum)
        return histogram
    of_kind = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    found = of_kind(name, text, labels=labels)
    for texts, number in value.items() if isinstance(value, Mapping) else [((), value)]:
        found.add_metric(texts, number)
    return found
