"""One subscription of dialect 2: catch-up from the journal, then the live feed."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.errors import JournalError, PrunedError
from mtnet.net.output.queue import SendQueue
from mtnet.services.signals.book import Channel
from mtnet.services.signals.fanout import Batch, ITail, Progress
from mtnet.services.signals.history.catch_up import (
    Known,
    compare,
    first_wanted,
    read_page,
    wanted,
    wants,
)
from mtnet.services.signals.model import Entry
from mtnet.services.signals.replay_cache import PAGE
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.status.followers import Follower
from mtnet.services.signals.wire import answers, requests


@implementer(ITail)
class Subscription:
    """
    Args:
        symbols: entries of others are left out; None = it wants all.
        send_queue: where frames go.
        follower: what is known of the client in this channel.

    Attributes:
        live: whether news is sent as it comes.
        shared: where frames go that are the same for everybody; None = it leaves some out.
    """

    __slots__ = (
        "_channel", "_group", "_prev", "_running", "_send_queue", "_sent", "_signals", "_symbols",
        "_synced", "follower", "live", "shared",
    )  # fmt: skip

    log = Logger()

    def __init__(
        self,
        signals: SignalService,
        channel: Channel,
        symbols: frozenset[str] | None,
        send_queue: SendQueue,
        follower: Follower,
    ) -> None:
        self._signals, self._channel, self._symbols = signals, channel, symbols
        self._send_queue, self.follower = send_queue, follower
        self.shared = send_queue if symbols is None else None
        self._group: Progress | None = None
        self._prev = self._sent = 0
        self._synced = self.live = False
        self._running: Deferred[None] | None = None
        follower.feed = self

    def follow_as(self, follower: Follower) -> None:
        """Go on as another follower: the client has logged in anew."""
        self.follower, follower.feed = follower, self
        follower.begin(self._channel.epoch, self.position)

    @property
    def name(self) -> str:
        """The channel's."""
        return self._channel.name

    @property
    def observes(self) -> bool:
        """Whether the client shows the channel, and copies nothing."""
        return self.follower.observes

    @property
    def symbols(self) -> frozenset[str] | None:
        """The filter; None = all."""
        return self._symbols

    @property
    def position(self) -> int:
        """The entry up to which all was sent, or left out."""
        return self._sent if self._group is None else max(self._sent, self._group.sequence)

    def start(self, asked: requests.Subscribe, who: str, fail: Callable[[], None]) -> None:
        """
        Send the missed entries, then the live ones.

        Args:
            asked: names the last entry that the client knows.
            who: the client whose claim of another history is recorded; empty = an anonymous one,
                whose claims do not count.
            fail: called when the journal cannot be read.
        """
        self._running = Deferred.fromCoroutine(self._catch_up(asked, who))
        self._running.addErrback(self._failed, fail).addBoth(self._caught_up)

    def stop(self) -> None:
        """End the subscription."""
        self._signals.fanout.detach(self._channel.name, self)
        if self._running is not None:
            self._running.cancel()

    def committed(self, batch: Batch) -> None:
        """Send new entries."""
        self._send(batch)

    def announced(self, news: Batch) -> None:
        """Send other news of the channel."""
        self._send_queue.write(news.encoded(self._send_queue.encoder))

    def pending(self, acked: int) -> int:
        """Return the first entry behind `acked` that it was sent; 0 = there is none."""
        if self._symbols is None:
            return acked + 1 if acked < self.position else 0
        if acked >= self._prev:
            return 0
        # Of a filter that lets little pass, the last one stands for all.
        return first_wanted(self._channel, self._symbols, acked, self._prev) or self._prev

    def acknowledge(self, ack: requests.Ack, when: int) -> None:
        """Note the result of an entry at the client; `when` is milliseconds."""
        entry = self._channel.entry(ack.seq)
        net = None if entry is None else self._channel.volume(entry.symbol)
        self.follower.acknowledge(ack, entry, net, when)

    def report(self, now: int) -> dict[str, object]:
        """Return its progress for `mtnet signals status`; `now` is milliseconds."""
        oldest = self._channel.entry(self.pending(self.follower.acked))
        late = 0 if oldest is None else now - oldest.when
        return self.follower.progress(self._channel.seq, late)

    async def _catch_up(self, asked: requests.Subscribe, who: str) -> None:
        known = await compare(self._signals, self._channel, asked, who)
        if known is Known.THIS:
            self._prev = self._sent = asked.after or 0
            self.follower.begin(self._channel.epoch, self._sent)
        else:
            await self._snapshot(known is Known.DIVERGED)
        # Entries that are committed and not sent yet go to the subscriptions attached by then.
        while self._sent < self._channel.seq:
            await self._page()
        if not self._synced:
            self._sync(self._channel.h)
        self._group = self._signals.fanout.attach(self._channel.name, self, self._symbols)
        self.live = True
        name, mode = self._channel.name, self._signals.rules.pause_mode(self._channel.name)
        self._send_queue.send(answers.status(name, *self._signals.rules.presence_of(name)))
        if mode is not None:
            self._send_queue.send(answers.paused(name, mode))

    def _caught_up(self, result: object) -> object:
        self._running = None
        return result

    async def _page(self) -> None:
        try:
            batch = await read_page(self._signals, self._channel, self._sent)
        except PrunedError:
            await self._snapshot()
            return
        await self._send_queue.when_empty()
        await self._signals.channels.replay_caches.budget.take()
        self._send(batch)

    async def _snapshot(self, diverged: bool = False) -> None:
        channel, seq, h = self._channel, self._channel.seq, self._channel.h
        held = wanted(self._symbols, channel.held())
        self._send_queue.send(
            answers.snapshot(channel.name, channel.epoch, seq, len(held), diverged)
        )
        for page in _pages(held):
            await self._send_queue.when_empty()
            frames = [answers.position(entry) for entry in page]
            self._send_queue.send(b"".join(frames))
        self._prev = self._sent = seq
        self.follower.begin_whole(channel.epoch, seq, held)
        self._sync(h)

    def _sync(self, h: str) -> None:
        self._synced = True
        self._prev = self._sent
        channel = self._channel
        limits = self._signals.views.limits(channel.name)
        self._send_queue.send(answers.synced(channel.name, channel.epoch, self._sent, h, **limits))

    def _send(self, batch: Batch) -> None:
        self._sent = batch.entries[-1].seq if batch.entries else self._sent
        if self._symbols is None:
            self._send_queue.write(batch.encoded(self._send_queue.encoder))
            return
        frames: list[bytes] = []
        for entry, frame in zip(batch.entries, batch.frames, strict=True):
            if wants(self._symbols, entry):
                frames.append(answers.with_prev(frame, self._prev))
                self._prev = entry.seq
        if frames:
            self._send_queue.send(b"".join(frames))

    def _failed(self, failure: Failure, fail: Callable[[], None]) -> None:
        if failure.check(CancelledError):
            return
        if not failure.check(JournalError):
            self.log.failure("A follower could not be caught up.", failure)
        fail()


def _pages(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    rest = iter(entries)
    while page := list(islice(rest, PAGE)):
        yield page
