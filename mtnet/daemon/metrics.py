"""The daemon's own metrics: connections, logins, bans, certificates, health."""

import platform
from collections.abc import Mapping
from typing import Any

from zope.interface import implementer

from mtnet import __version__
from mtnet.access.control import AccessControl
from mtnet.access.throttle import LogThrottle
from mtnet.interfaces import IHealth, IMetrics
from mtnet.metrics import Metric, Value

ENDS = ("right", "wrong", "barred")
"""The ends of a login that are counted."""


@implementer(IMetrics)
class DaemonMetrics:
    """
    Args:
        log: limits the log lines about one peer.
        health: an `IHealth`.
    """

    def __init__(self, access: AccessControl, log: LogThrottle, health: Any) -> None:
        self._access, self._log, self._health = access, log, IHealth(health)

    def metrics(self) -> list[Metric]:
        """Return what concerns no single service."""
        access = self._access
        return [
            Metric("mtnet_daemon_info", "gauge", "Always 1.", _versions, ("version", "python")),
            Metric(
                "mtnet_daemon_connections", "gauge", "Connections.", self._connections, ("service",)
            ),
            Metric(
                "mtnet_daemon_connections_refused_total",
                "counter",
                "Connections that were closed for a limit.",
                self._refused,
                ("service", "reason"),
            ),
            Metric(
                "mtnet_daemon_logins_total",
                "counter",
                "Logins: right, wrong, refused for a ban (barred).",
                lambda: {(end,): access.authenticator.counts[end] for end in ENDS},
                ("result",),
            ),
            Metric(
                "mtnet_daemon_logins_waiting",
                "gauge",
                "Logins whose password waits to be checked.",
                lambda: access.authenticator.report()["waiting"],
            ),
            Metric("mtnet_daemon_penalties", "gauge", "Bans and lesser penalties.", self._bans),
            Metric(
                "mtnet_daemon_log_lines_left_out_total",
                "counter",
                "Log lines that were not written, so that no peer fills the disk.",
                lambda: self._log.left_out + access.log.left_out,
            ),
            Metric("mtnet_daemon_healthy", "gauge", "1 = nobody must act.", self._parts, ("part",)),
            Metric(
                "mtnet_daemon_certificate_days",
                "gauge",
                "Days that the certificate which expires first is still valid; absent without TLS.",
                self._certificate_days,
                (),
            ),
        ]

    def _connections(self) -> Value:
        return {(name,): each.total for name, each in self._access.limiters.items()}

    def _refused(self) -> Value:
        limiters = self._access.limiters.items()
        return {
            (name, reason): count
            for name, limiter in limiters
            for reason, count in limiter.refused.items()
        }

    def _bans(self) -> Value:
        return len(self._access.bans)

    def _parts(self) -> Value:
        parts = self._health.health().items()
        return {(name,): int(part["healthy"]) for name, part in parts if isinstance(part, Mapping)}

    def _certificate_days(self) -> Value:
        tls = self._health.health().get("tls")
        return {} if tls is None else {(): tls["days_left"]}


def _versions() -> Value:
    return {(__version__, platform.python_version()): 1}
