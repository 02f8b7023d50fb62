"""Metrics of ticks."""

from functools import partial

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.ticks.cold.service import ColdService
from mtnet.services.ticks.collector import Collector

COUNTERS = {
    "received": "Records that were read.",
    "stored": "Ticks that were stored.",
    "dropped": "Records that found no room, or that the store rejected.",
    "refused": "Records that could not be read, or were not allowed.",
    "repeated": "Records that were stored before.",
    "kernel_drops": "Datagrams that the kernel dropped.",
}
GAUGES = {
    "waiting": "Ticks that wait for the disk.",
    "missing": "Numbered datagrams and batches that have not come, of all time.",
    "sources": "Senders.",
    "symbols": "Symbols.",
    "subscribers": "Connections that get ticks.",
    "bars": "M1 bars in memory.",
}


@implementer(IMetrics)
class TickMetrics:
    """Counters and gauges of the collector and of the cold store."""

    def __init__(self, collector: Collector, cold: ColdService) -> None:
        self._collector, self._cold = collector, cold

    def metrics(self) -> list[Metric]:
        """Return how much was taken, stored and lost."""
        counters = [
            Metric(f"mtnet_ticks_{name}_total", "counter", text, partial(self._read, name))
            for name, text in COUNTERS.items()
        ]
        gauges = [
            Metric(f"mtnet_ticks_{name}", "gauge", text, partial(self._read, name))
            for name, text in GAUGES.items()
        ]
        return counters + gauges + self._cold.metrics()

    def _read(self, name: str) -> int:
        value = self._collector.health()[name]
        assert isinstance(value, int)
        return value
