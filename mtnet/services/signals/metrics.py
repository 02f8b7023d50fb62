"""Metrics of the signal service."""

from collections.abc import Mapping

from zope.interface import implementer

from mtnet.interfaces import IMetrics
from mtnet.metrics import Metric
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.followers import Follower
from mtnet.services.signals.status.metrics import participant_metrics
from mtnet.services.signals.status.participants import Participants

CHANNEL = ("channel",)
"""The label of what is shown for each channel; views are left out, since people name them after
their followers."""


@implementer(IMetrics)
class SignalMetrics:
    """Reads who is connected, what was stored and sent, and how long that took."""

    def __init__(self, signals: SignalService, participants: Participants) -> None:
        self._signals, self._participants = signals, participants

    def metrics(self) -> list[Metric]:
        """Return the metrics."""
        people = participant_metrics(self._participants)
        return [*self._counts(), *people, *self._by_channel(), *self._durations()]

    def _counts(self) -> list[Metric]:
        channels, fanout = self._signals.channels, self._signals.fanout
        return [
            Metric("mtnet_signals_followers", "gauge", "Followers.", fanout.count),
            Metric(
                "mtnet_signals_publishers",
                "gauge",
                "Publishers.",
                lambda: self._signals.rules.ownership.live,
            ),
            Metric(
                "mtnet_signals_waiting",
                "gauge",
                "Signals that wait for the disk.",
                lambda: len(self._signals.commits.queue),
            ),
            Metric(
                "mtnet_signals_stored_total",
                "counter",
                "Signals stored since the start, those of views included.",
                lambda: channels.stored,
            ),
            Metric(
                "mtnet_signals_deliveries_total",
                "counter",
                "Writes to followers: the signals of one commit, a net position, or news.",
                lambda: fanout.delivered,
            ),
            Metric(
                "mtnet_signals_follower_lag_signals",
                "gauge",
                "Signals that the follower farthest behind has not acknowledged.",
                self._lag,
            ),
            Metric(
                "mtnet_signals_damaged_channels",
                "gauge",
                "Channels and views that nothing is told of until a person accepts them.",
                lambda: len(self._signals.worker.journal.damaged),
            ),
        ]

    def _by_channel(self) -> list[Metric]:
        return [
            Metric(
                "mtnet_signals_channel_seq",
                "gauge",
                "Number of the last signal of a channel.",
                lambda: {
                    (name,): self._signals.channels.book.channel(name).seq for name in self._names()
                },
                CHANNEL,
            ),
            Metric(
                "mtnet_signals_publisher_up",
                "gauge",
                "1 = the channel has a publisher.",
                lambda: {
                    (name,): int(self._signals.rules.presence_of(name)[0]) for name in self._names()
                },
                CHANNEL,
            ),
        ]

    def _durations(self) -> list[Metric]:
        return [
            Metric(
                "mtnet_signals_commit_seconds",
                "histogram",
                "Time of a commit, from the queue to the disk.",
                lambda: self._signals.commits.commit_seconds,
            ),
            Metric(
                "mtnet_signals_fsync_seconds",
                "histogram",
                "Part of a commit in which the disk is waited for.",
                lambda: self._signals.worker.journal.sync_seconds,
            ),
            Metric(
                "mtnet_signals_publish_seconds",
                "histogram",
                "From the arrival of a signal until it was written to the followers' sockets.",
                lambda: self._signals.commits.publish_seconds,
            ),
        ]

    def _names(self) -> list[str]:
        return [
            name for name in self._signals.channels.book if name not in self._signals.views.known
        ]

    def _lag(self) -> float:
        found = self._signals.channels.followers
        seq = {name: channel.seq for name, channel in self._signals.channels.book.items()}
        return max((_behind(each, seq) for each in found if each.acked_at), default=0)


def _behind(follower: Follower, seq: Mapping[str, int]) -> int:
    # Of those who leave symbols out, all that they were sent may be acknowledged.
    if follower.feed is None or not follower.feed.pending(follower.acked):
        return 0
    return seq.get(follower.channel, 0) - follower.acked
