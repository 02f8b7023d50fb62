"""Metrics of indicators."""

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.indicators.service import IndicatorService


@implementer(IMetrics)
class IndicatorMetrics:
    """Counters of values, followers and series."""

    def __init__(self, indicators: IndicatorService) -> None:
        self._indicators = indicators

    def metrics(self) -> list[Metric]:
        """Return how much is kept, and sent to how many."""
        indicators = self._indicators
        return [
            Metric(
                "mtnet_indicators_values_total",
                "counter",
                "Values of bars that were stored.",
                lambda: indicators.book.kept,
            ),
            Metric(
                "mtnet_indicators_deliveries_total",
                "counter",
                "Values of bars that were written to followers when they came.",
                lambda: indicators.broadcast.fanout.delivered,
            ),
            Metric(
                "mtnet_indicators_followers",
                "gauge",
                "Series that sessions follow, each counted for each session.",
                lambda: indicators.broadcast.followers,
            ),
            Metric(
                "mtnet_indicators_series",
                "gauge",
                "Series: indicators of a symbol and a period.",
                lambda: len(indicators.book.known),
            ),
        ]
