"""Reports of the signal service: its health, and what each channel holds."""

from zope.interface import implementer

from mtnet.interfaces import IStatus, IStatusDetails
from mtnet.net.output.broadcast import LOOP
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.participants import Participants


class Status:
    """Status report: what is stored, who is connected, and what needs a person."""

    def __init__(self, signals: SignalService) -> None:
        self._signals = signals

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`; the former leaves the folders out."""
        signals = self._signals
        rules, worker, queue = signals.rules, signals.worker, signals.commits.queue
        full, most = signals.full(), signals.settings.max_symbols
        diverged = signals.histories.sentences(public=True)
        causes = [
            *worker.causes(queue.trouble),
            *diverged,
            *(f"{name} has {most} symbols and was sent one more" for name in full),
        ]
        return {
            "healthy": not causes,
            "trouble": causes[0] if causes else None,
            "damaged": worker.damage(),
            "diverged": diverged,
            "full": full,
            "waiting": len(queue),
            "publishers": rules.ownership.live,
            "followers": signals.fanout.count(),
        }

    def details(self) -> dict[str, object]:
        """Report that, and what each channel and view holds."""
        signals = self._signals
        names = {*signals.channels.book, *signals.fanout.channels()}
        return {
            **self.health(),
            "diverged": signals.histories.sentences(),
            "loop": LOOP,
            "channels": {name: self._channel(name) for name in sorted(names)},
            "views": signals.views.report(),
        }

    def status(self) -> dict[str, object]:
        """Report that, and who is connected."""
        sessions = [session.report() for session in self._signals.channels.sessions]
        return {**self.details(), "sessions": sessions}

    def _channel(self, name: str) -> dict[str, object]:
        signals, rules = self._signals, self._signals.rules
        channel, (up, since) = signals.channels.book.channel(name), rules.presence_of(name)
        return {
            "epoch": channel.epoch,
            "seq": channel.seq,
            "publishers": rules.ownership.presence.names(name),
            "provider": "up" if up else "down",
            "since": since,
            "paused": rules.pause_mode(name),
            "followers": signals.fanout.count(name),
            "positions": {p.symbol: str(p.volume) for p in channel.net.values() if p.volume},
        }


@implementer(IStatus, IStatusDetails)
class SignalStatus:
    """
    Status of the component: that of the service, who takes part, and what terminals told.

    Args:
        terminals: remembers what terminals tell about themselves.
    """

    def __init__(
        self, signals: SignalService, participants: Participants, terminals: ReportStore
    ) -> None:
        self._status, self._participants, self._terminals = Status(signals), participants, terminals

    def health(self) -> dict[str, object]:
        """Report for `/healthz`."""
        return {**self._status.health(), **self._participants.health()}

    def details(self) -> dict[str, object]:
        """Report that, what each channel and view holds, and the last REPORT of each terminal."""
        terminals = self._terminals.reports.newest()
        return {**self._status.details(), **self._participants.health(), "terminals": terminals}

    def status(self) -> dict[str, object]:
        """Report that, who is connected, and everybody who takes part."""
        return {
            **self._status.status(),
            **self._participants.health(),
            "terminals": self._terminals.reports.status(),
            "participants": [each.row() for each in self._participants.judged()],
        }
