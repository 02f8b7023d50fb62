"""Metrics of topics."""

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.topics.service import TopicService


@implementer(IMetrics)
class TopicMetrics:
    """Counters of messages, members and retained values."""

    def __init__(self, topics: TopicService) -> None:
        self._topics = topics

    def metrics(self) -> list[Metric]:
        """Return how much is sent, and to how many."""
        topics = self._topics
        return [
            Metric(
                "mtnet_topics_messages_total",
                "counter",
                "Messages that clients sent.",
                lambda: topics.sent,
            ),
            Metric(
                "mtnet_topics_deliveries_total",
                "counter",
                "Messages that were written to members.",
                lambda: topics.fanout.delivered,
            ),
            Metric(
                "mtnet_topics_memberships",
                "gauge",
                "Topics and patterns that sessions have joined, each counted for each session.",
                lambda: topics.index.count,
            ),
            Metric(
                "mtnet_topics_retained",
                "gauge",
                "Retained values.",
                lambda: topics.book.retained,
            ),
        ]
