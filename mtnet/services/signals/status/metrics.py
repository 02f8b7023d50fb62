"""Metrics of everybody who takes part in a channel, without their names."""

from mtnet.metrics import Metric
from mtnet.services.signals.status.participants import Participants


def participant_metrics(participants: Participants) -> list[Metric]:
    """Return how many have each status, and each warning."""
    return [
        Metric(
            "mtnet_signals_participants",
            "gauge",
            "Followers and providers by status.",
            participants.by_status,
            ("role", "status"),
        ),
        Metric(
            "mtnet_signals_warnings",
            "gauge",
            "Followers and providers by the code of a warning; one may have several.",
            participants.by_code,
            ("role", "code"),
        ),
    ]
