"""Metrics: what Prometheus reads."""

from typing import TYPE_CHECKING, ClassVar

from twisted.plugin import IPlugin
from zope.interface import implementer

from mtnet.interfaces import IAlwaysNamed, IServicePlugin

if TYPE_CHECKING:
    from mtnet.daemon.component import Component
    from mtnet.daemon.environment import Environment


@implementer(IPlugin, IServicePlugin, IAlwaysNamed)
class Metrics:
    """The plugin of metrics."""

    name = "metrics"
    description = "counters and gauges of all services, for Prometheus"
    settings = None
    shared = False
    connections: ClassVar[dict[str, int]] = {}
    permissions = ("read",)
    roles: ClassVar = {"monitor": ("read:metrics",)}
    listens: ClassVar[dict[str, str | None]] = {}
    command = None

    def build(self, env: "Environment") -> "Component":
        """Build the service."""
        from mtnet.services.metrics.component import build

        return build(env)


metrics = Metrics()
