"""Reports of the signal service: its health, and what each channel holds."""

from collections.abc import Mapping

from twisted.internet.interfaces import IReactorTime

from mtnet.net.output.broadcast import LOOP
from mtnet.services.signals.channels import Channels
from mtnet.services.signals.history.histories import Histories
from mtnet.services.signals.journal.group_commit import CommitQueue
from mtnet.services.signals.journal.worker import JournalWorker
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.ownership.policy import PublishRules
from mtnet.services.signals.ownership.presence import Presence


class Status:
    """Status report: what `/healthz` and `mtnet status` show of signals."""

    def __init__(
        self,
        channels: Channels,
        rules: PublishRules,
        presence: Presence,
        pauses: Pauses,
        histories: Histories,
        worker: JournalWorker,
        queue: CommitQueue,
        clock: IReactorTime,
    ) -> None:
        self._channels, self._rules, self._presence = channels, rules, presence
        self._pauses, self._histories, self._worker = pauses, histories, worker
        self._queue, self._clock = queue, clock

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`; the former leaves the folders out."""
        full = self._rules.full(self._clock.seconds())
        diverged = self._histories.sentences(public=True)
        causes = [
            *self._worker.causes(self._queue.trouble),
            *diverged,
            *(
                f"{name} has {self._rules.max_symbols} symbols and was sent one more"
                for name in full
            ),
        ]
        return {
            "healthy": not causes,
            "trouble": causes[0] if causes else None,
            "damaged": self._worker.damage(),
            "diverged": diverged,
            "full": full,
            "waiting": len(self._queue),
            "publishers": self._rules.ownership.live,
            "followers": self._channels.fanout.count(),
        }

    def details(self) -> dict[str, object]:
        """Report what each channel and view holds."""
        names = {*self._channels.book, *self._channels.fanout.channels()}
        channels = {name: self._channel(name) for name in sorted(names)}
        shown = {"channels": channels, "views": self._rules.views.report()}
        return {"diverged": self._histories.sentences(), "loop": LOOP, **shown}

    def sessions(self) -> list[Mapping[str, object]]:
        """Return who is connected, for `mtnet status`."""
        return [session.report() for session in self._channels.sessions]

    def _channel(self, name: str) -> dict[str, object]:
        channel, (up, since) = self._channels.book.channel(name), self._presence.of(name)
        return {
            "epoch": channel.epoch,
            "seq": channel.seq,
            "publishers": self._rules.ownership.names(name),
            "provider": "up" if up else "down",
            "since": since,
            "paused": self._pauses.mode(name),
            "followers": self._channels.fanout.count(name),
            "positions": {p.symbol: str(p.volume) for p in channel.net.values() if p.volume},
        }
