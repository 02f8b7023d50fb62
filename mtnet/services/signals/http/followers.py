"""Followers by HTTP: who they are between their requests, and what wakes those that wait."""

from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from itertools import islice
from operator import attrgetter

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.net.time_slices import TimeSlicer
from mtnet.services.signals.book import Channel
from mtnet.services.signals.fanout import Batch, ITail
from mtnet.services.signals.history.catch_up import first_wanted, wants
from mtnet.services.signals.http.access import RequestAccess
from mtnet.services.signals.http.expiry import Present
from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.followers import Follower
from mtnet.services.signals.wire.requests import Ack

TURN = 0.003
"""Seconds of each turn of the reactor in which polls are answered."""
AT_ONCE = 8
"""Polls that are answered between two looks at the clock: less than a millisecond."""
Filter = frozenset[str] | None


Wake = Callable[..., None]
"""Answers a poll that waits."""


class WokenPolls:
    """
    Answers the polls that there is news for, in time slices: one signal wakes a thousand, and the
    next one must not wait for all of them.
    """

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._slicer = TimeSlicer(clock, TURN)
        self._waiting: dict[Wake, None] = {}

    def add(self, poll: Wake) -> None:
        """Answer a poll soon; what happens until then is in the same answer."""
        self._waiting[poll] = None
        if len(self._waiting) == 1:
            self._slicer.run(self._answer(), self._failed)

    def _answer(self) -> Iterator[None]:
        while self._waiting:
            for poll in [*islice(self._waiting, AT_ONCE)]:
                poll()
                del self._waiting[poll]
            yield

    def _failed(self, failure: Failure) -> None:
        self._waiting.clear()
        self.log.failure("Long polls could not be answered.", failure)


@implementer(ITail)
class PollingFollower:
    """
    A follower of one channel that asks again and again.

    Args:
        host: where it comes from.
        join: makes it a follower of its channel.
        wake: answers one of its polls soon.

    Attributes:
        client: the same.
        position: the entry up to which all was sent, or left out.
        shown: the state of its channel that it knows, see `Page`; None = none.
        follower: what is known of it, for the status.
        reported: its last REPORT; None = it has sent none.
    """

    shared = None
    output: None = None

    def __init__(
        self,
        channel: Channel,
        clock: IReactorTime,
        host: str,
        join: Callable[["PollingFollower"], Follower],
        wake: Callable[[Wake], None],
    ) -> None:
        self._channel, self._clock, self._wake_poll = channel, clock, wake
        self.client, self.position = "", 0
        self.shown: object = None
        self.reported: Reported | None = None
        self._symbols: Filter = None
        self._polls: dict[Wake, Filter] = {}
        self._last = clock.seconds()
        self._address, self.follower = host, join(self)
        self.follower.feed = self

    def asks(self, agent: str, symbols: Filter, epoch: str | None, after: int | None) -> None:
        """Note a request, and what it says of what the follower has."""
        self.client, self._symbols, self._last = agent, symbols, self._clock.seconds()
        if epoch == self._channel.epoch and after is not None:
            if self.follower.epoch != epoch or not self.position:
                self.follower.begin(epoch, after)
            self.position = max(self.position, after)

    def sent(self, seq: int, whole: bool) -> None:
        """Note an answer; `whole` = it was a snapshot."""
        self._last = self._clock.seconds()
        if whole:
            self.follower.begin(self._channel.epoch, seq)
        self.position = seq

    def acknowledge(self, ack: Ack, when: int) -> None:
        """Note the result of an entry at the follower; `when` is milliseconds."""
        self._last = self._clock.seconds()
        self.position = max(self.position, min(ack.seq, self._channel.seq))
        entry = self._channel.entry(ack.seq)
        net = None if entry is None else self._channel.volume(entry.symbol)
        self.follower.acknowledge(ack, entry, net, when)

    # Waiting

    def hold(self, poll: Wake, symbols: Filter) -> None:
        """Wake a poll with the next news."""
        self._polls[poll] = symbols

    def release(self, poll: Wake) -> None:
        """A poll waits no longer."""
        self._polls.pop(poll, None)
        self._last = self._clock.seconds()

    @property
    def heard(self) -> float:
        """Seconds of the clock at its last sign of life; while it waits it is there."""
        return self._clock.seconds() if self._polls else self._last

    def committed(self, batch: Batch) -> None:
        wakes = [
            poll
            for poll, symbols in self._polls.items()
            if symbols is None or any(wants(symbols, entry) for entry in batch.entries)
        ]
        if self._polls and not wakes:
            self.position = batch.entries[-1].seq  # all that it wants
        for poll in wakes:
            self._wake_poll(poll)

    def announced(self, news: Batch) -> None:
        self._wake()

    def _wake(self) -> None:
        for poll in self._polls:
            self._wake_poll(poll)

    # A client of the channels

    def renew(self, channel: str) -> None:
        """Answer: the channel has a new epoch, or the view other limits."""
        if channel == self._channel.name:
            self._wake()

    def recheck(self) -> None:
        """Answer: `main` may be another channel now, or a view is damaged."""
        self._wake()

    def announce(self, channel: str, frame: bytes) -> None:
        """Nothing: the fan-out tells those who follow."""

    def offer(self, channels: Collection[str]) -> None:
        """Nothing: what was refused is asked for again."""

    def notify(self, notice: bytes) -> None:
        """Nothing: an answer has no room for sentences."""

    # The status

    @property
    def symbols(self) -> Filter:
        """The filter of its last request; None = all."""
        return self._symbols

    def pending(self, acked: int) -> int:
        """Return the first entry behind `acked` that it was sent; 0 = there is none."""
        return first_wanted(self._channel, self._symbols, acked, self.position) or 0

    def report(self) -> Mapping[str, object]:
        """Return who it is and how far, for `mtnet signals status`."""
        login, name = self.follower.key
        return {
            "peer": self._address,
            "login": login,
            "name": name,
            "client": self.client,
            "channels": {self._channel.name: self.follower.progress(self._channel.seq)},
            "report": {},
        }


class PollingFollowers:
    """Registry of the followers by HTTP."""

    def __init__(self, signals: SignalService, clock: IReactorTime) -> None:
        self._signals, self._clock, self._woken = signals, clock, WokenPolls(clock)
        # By channel, login and name, and without a login by the host, too.
        self._present: Present[tuple[str, str, str, str], PollingFollower] = Present(
            clock, attrgetter("heard"), self._leave
        )

    def of(self, access: RequestAccess, channel: Channel, name: str) -> PollingFollower:
        """Return the follower that a request comes from."""
        terminal = access.terminal(name)
        key = channel.name, *terminal, "" if terminal.login else access.host
        found = self._present.get(key)
        if found is None:
            followers, when = self._signals.channels.followers, self._signals.now()
            join = partial(followers.join, channel.name, *terminal, access.host, when=when)
            found = PollingFollower(channel, self._clock, access.host, join, self._woken.add)
            self._signals.fanout.attach(channel.name, found)
            self._signals.channels.sessions[found] = None
            self._present.add(key, found)
        return found

    def reported(self, login: str, name: str, reported: Reported) -> None:
        """Note the REPORT of a terminal that follows."""
        for session in self._signals.channels.sessions:
            if isinstance(session, PollingFollower) and session.follower.key == (login, name):
                session.reported = reported

    def _leave(self, gone: PollingFollower) -> None:
        self._signals.channels.sessions.pop(gone)
        self._signals.fanout.detach(gone.follower.channel, gone)
        self._signals.channels.followers.leave(gone.follower, self._signals.now())
        gone.recheck()  # if it had to make room, its polls would hear of nothing more
