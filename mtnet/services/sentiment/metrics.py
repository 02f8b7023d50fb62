"""Metrics of sentiment."""

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.sentiment.service import SentimentService


@implementer(IMetrics)
class SentimentMetrics:
    """Counters of what is shown and sent; not even that somebody votes is told below the floor."""

    def __init__(self, sentiment: SentimentService) -> None:
        self._sentiment = sentiment

    def metrics(self) -> list[Metric]:
        """Return how much is shown and sent."""
        sentiment = self._sentiment
        return [
            Metric(
                "mtnet_sentiment_deliveries_total",
                "counter",
                "Rounds of sums that were written to subscribers.",
                lambda: sentiment.fanout.delivered,
            ),
            Metric(
                "mtnet_sentiment_subscribers",
                "gauge",
                "Sessions that are sent sums.",
                sentiment.fanout.asked.total,
            ),
            Metric(
                "mtnet_sentiment_symbols",
                "gauge",
                "Symbols whose sums are shown.",
                lambda: len(sentiment.all()),
            ),
        ]
