"""Metrics of messages to people."""

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.notify.notifier import Notifier


@implementer(IMetrics)
class NotifyMetrics:
    """Counters of messages."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier

    def metrics(self) -> list[Metric]:
        """Return how much was sent, and how much waits."""
        queues = [each.queue for each in self._notifier.deliveries.values()]
        return [
            Metric(
                "mtnet_notify_sent_total",
                "counter",
                "Messages that their receivers took.",
                lambda: sum(each.sent for each in queues),
            ),
            Metric(
                "mtnet_notify_waiting",
                "gauge",
                "Messages that no receiver has taken yet.",
                lambda: sum(map(len, queues)),
            ),
        ]
