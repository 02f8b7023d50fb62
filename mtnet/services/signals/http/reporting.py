"""Acknowledgements, REPORT and SPEC by HTTP."""

from mtnet.net.http.route import HttpRequest
from mtnet.services.signals.http.access import RequestAccess, terminal_of
from mtnet.services.signals.http.followers import PollingFollowers
from mtnet.services.signals.http.wire import ChannelPath, NewAcks, NewReport, NewSpec
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.reports.store import ReportStore
from mtnet.services.signals.service import SignalService


class Acknowledging:
    """Takes the results of signals at followers."""

    def __init__(self, signals: SignalService, followers: PollingFollowers) -> None:
        self._signals, self._followers = signals, followers

    def post(self, request: HttpRequest, path: ChannelPath, asked: NewAcks) -> None:
        """Note what became of signals at a follower."""
        access = RequestAccess(request, self._signals)
        channel = access.find(path.channel)
        acks = [each.ack(channel.name) for each in asked.acks]
        follower = self._followers.of(access, channel, asked.name)
        mine = self._signals.views.is_follower(channel.name, access.login, asked.name)
        for ack in acks:
            follower.acknowledge(ack, self._signals.now())
            if mine:
                self._signals.acknowledge_copy(ack)


class Reporting:
    """Takes what terminals tell about themselves; of one without a login nothing is kept."""

    def __init__(
        self, signals: SignalService, followers: PollingFollowers, store: ReportStore
    ) -> None:
        self._signals, self._followers, self._store = signals, followers, store

    def report(self, request: HttpRequest, asked: NewReport) -> None:
        """Note what a terminal tells about its account."""
        terminal, now = terminal_of(request, self._signals, asked.name), self._signals.now()
        report = asked.report()
        if terminal.login:
            self._store.report(terminal, report, now)
        self._followers.reported(*terminal, Reported(report, now))

    def describe(self, request: HttpRequest, asked: NewSpec) -> None:
        """Note how the broker of a terminal specifies a symbol."""
        terminal, spec = terminal_of(request, self._signals, asked.name), asked.spec()
        if terminal.login:
            self._store.describe(terminal, spec, self._signals.now())
