"""Metrics of templates."""

from collections.abc import Callable
from typing import cast

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.templates.library import Library


@implementer(IMetrics)
class TemplateMetrics:
    """Gauges of the library."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def metrics(self) -> list[Metric]:
        """Return the size of the library."""

        def read(key: str) -> Callable[[], int]:
            return lambda: cast(int, self._library.status()[key])

        return [
            Metric("mtnet_templates_keys", "gauge", "Templates.", read("templates")),
            Metric("mtnet_templates_versions", "gauge", "Versions.", read("versions")),
            Metric(
                "mtnet_templates_damaged",
                "gauge",
                "Damaged files.",
                lambda: len(self._library.damaged),
            ),
        ]
