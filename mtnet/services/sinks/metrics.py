"""Metrics of sinks."""

from collections.abc import Callable, Sequence
from typing import Literal

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.sinks.sink import Sink

Kind = Literal["counter", "gauge"]


@implementer(IMetrics)
class SinkMetrics:
    """Counters of each sink, and what waits."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def metrics(self) -> list[Metric]:
        """Return how much each sink was sent, and how much waits."""
        return [
            self._metric(
                "sent_total",
                "counter",
                "Ticks that servers took.",
                lambda sink: sink.writer.counts.sent,
            ),
            self._metric(
                "refused_total",
                "counter",
                "Ticks that servers will never take.",
                lambda sink: sink.writer.counts.refused,
            ),
            self._metric(
                "dropped_total",
                "counter",
                "Ticks that found no room in a queue, of all time.",
                lambda sink: sink.dropped,
            ),
            self._metric(
                "waiting",
                "gauge",
                "Ticks that wait for a server.",
                lambda sink: sink.queue.waiting.ticks,
            ),
            self._metric(
                "waiting_bytes",
                "gauge",
                "Bytes on disk of the ticks that wait.",
                lambda sink: sink.queue.waiting.bytes,
            ),
            self._metric(
                "failures",
                "gauge",
                "Writes that failed since the last one that did not.",
                lambda sink: sink.failures,
            ),
        ]

    def _metric(self, name: str, kind: Kind, text: str, read: Callable[[Sink], int]) -> Metric:
        """Return a metric of each sink."""
        return Metric(
            f"mtnet_sinks_{name}",
            kind,
            text,
            lambda: {(each.name,): read(each) for each in self._sinks},
            ("sink",),
        )
