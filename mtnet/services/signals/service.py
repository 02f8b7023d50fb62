"""
Signal service: stores the positions of publishers, then sends them to followers.

One commit is under way at a time; what arrives meanwhile is the next one. This is the one owner
of what is stored and of who sets it; a worker below it runs the journal in a thread.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mtnet.callbacks import noop
from mtnet.clock import WallClock
from mtnet.errors import ConfigError, NotAskedError, PolicyError, WireError
from mtnet.services.signals import wire
from mtnet.services.signals.book import Channel, Position
from mtnet.services.signals.channels import Channels
from mtnet.services.signals.fanout import Fanout
from mtnet.services.signals.history.epochs import Epochs
from mtnet.services.signals.history.histories import Histories
from mtnet.services.signals.journal.group_commit import GroupCommit, Pending
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.upkeep import Upkeep
from mtnet.services.signals.journal.worker import JournalWorker, Stored
from mtnet.services.signals.metrics import SignalMetrics
from mtnet.services.signals.model import (
    FLAT,
    Entry,
    Outcome,
    Taken,
    WholeState,
    entries_of,
)
from mtnet.services.signals.ownership.pauses import Pauses
from mtnet.services.signals.ownership.policy import OWNER, PublishPolicy, PublishRules
from mtnet.services.signals.ownership.policy_store import PolicyStore
from mtnet.services.signals.ownership.presence import Presence
from mtnet.services.signals.ownership.publishers import (
    UNIDENTIFIED,
    Ownership,
    Producer,
    Publisher,
    PublisherId,
    SymbolKey,
)
from mtnet.services.signals.ownership.retries import Retries
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.status.collect import FactCollector
from mtnet.services.signals.status.metrics import participant_metrics
from mtnet.services.signals.status.participants import Participants
from mtnet.services.signals.status.report import Status
from mtnet.services.signals.values import Take
from mtnet.services.signals.views.ledger import Target
from mtnet.services.signals.views.views import Change, Views

MAX_CHANNELS = 1_000
"""Channels at most that are no views; the first signal for an unknown name makes one."""


class SignalService:
    """
    Owner of every channel: its positions, its publishers and its followers.

    Args:
        settings: `[signals]`.
        journal: where positions are stored; called through `in_thread` alone.
        now: wall time, and whether it may be believed.
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        later: does the same behind all that waits for `in_thread`, so that followers far behind
            delay no signal; None = there is no difference.

    Attributes:
        channels: what is stored, and everybody to whom it is sent.
        rules: who may set what.
        presence: which channels have a publisher.
        pauses: which channels and views a person has paused.
        retries: what was refused, and is judged again.
        histories: what followers claim of the history of channels.
        epochs: begins channels anew, and accepts what is wrong with them.
        upkeep: the recurring work on the journal.
        participants: everybody who follows or publishes, each with a status.
    """

    log = Logger()

    def __init__(
        self,
        settings: SignalSettings,
        journal: Journal,
        clock: IReactorTime,
        now: WallClock,
        in_thread: Callable[..., "Deferred[Any]"],
        later: Callable[..., "Deferred[Any]"] | None = None,
    ) -> None:
        self.settings, self._clock, self._now = settings, clock, now
        store = PolicyStore(
            journal.path.with_suffix(".policy"), journal.path.with_suffix(".paused")
        )
        self.channels = channels = Channels(settings, clock, now, self.read)
        events = channels.events
        views = Views(
            lambda change: Deferred.fromCoroutine(self._change_views(change)),
            lambda name: self.epochs.begin_view(name),
            channels.announce,
            now,
            channels.recheck,
            events,
            lambda name: channels.book.channel(name).seq,
            channels.renew,
        )
        self.rules = rules = PublishRules(
            settings, channels.book, Ownership(now), store, channels.unrepeated, views
        )
        self._worker = worker = JournalWorker(
            journal, store, settings.retry, clock, in_thread, later
        )
        worker.on_damage = channels.recheck
        self._commits = commits = GroupCommit(
            settings.backlog, worker, rules.policy, clock, self._deliver, channels.sent
        )
        channels.replay_caches.budget.yields = commits.is_busy
        self.histories = Histories(journal.path.with_suffix(".diverged"), now, in_thread, events)
        self.presence = Presence(rules, channels.fanout, events)
        self.retries = Retries(rules, commits, worker, clock, now)
        self.pauses = Pauses(rules, channels, commits, worker, self.retries, now)
        self.epochs = Epochs(channels, rules, self.histories, worker, commits, self.retries, now)
        collector = FactCollector(
            channels, rules, self.pauses.mode, self.histories.is_open, lambda: journal.damaged
        )
        self.participants = Participants(collector, channels.followers, clock, now)
        self._status = Status(
            channels,
            rules,
            self.presence,
            self.pauses,
            self.histories,
            worker,
            commits.queue,
            clock,
        )
        self.upkeep = Upkeep(channels.book, worker, commits, settings.remember, clock, now)

    @property
    def fanout(self) -> Fanout:
        """The followers."""
        return self.channels.fanout

    @property
    def views(self) -> Views:
        """The channels that are derived from others."""
        return self.rules.views

    @property
    def metrics(self) -> SignalMetrics:
        """Counters, gauges and histograms."""
        return SignalMetrics(
            self.channels,
            self.rules,
            self.presence,
            self._worker,
            self._commits,
            lambda: participant_metrics(self.participants),
        )

    @property
    def now(self) -> WallClock:
        """Wall time, milliseconds since the Unix epoch, UTC."""
        return self._now

    @property
    def codepage(self) -> str:
        """The code page of classic programs."""
        return self.settings.codepage

    def open(self) -> None:
        """
        Read the journal; blocks, for use before the reactor runs.

        Raises:
            JournalError: it cannot be read.
            ConfigError: a view cannot be as configured.
        """
        journal, rules = self._worker.journal, self.rules
        loaded = journal.load()
        self.histories.open()
        rules.store.open()
        rules.store.count({n: each.counted for n, each in loaded.states.items() if each.counted})
        rules.ownership.restore(rules.store.held, self._clock.seconds())
        self.channels.load(loaded.states)
        for name in self._configured() - set(loaded.states) - set(loaded.damaged):
            try:
                journal.create(name)
            except NotAskedError as error:
                self.log.error("{name} is not made: {error}", name=name, error=error)
                continue
            self.channels.load({name: journal.positions(name)})
        self._open_views(journal)
        self._worker.log_damage()
        try:
            journal.check_files()
        except NotAskedError as error:
            self._worker.note_files(str(error))
        # Reopened by the thread that commits, behind the fork of a daemon.
        journal.close()

    def _open_views(self, journal: Journal) -> None:
        try:
            self.views.open(journal, self.settings.views)
        except WireError as error:
            raise ConfigError(f"Invalid signals.views: {error}.") from error
        except NotAskedError as error:
            self.log.error("Views stay as they are: {error}", error=error)
        for name in self.views.known:
            self.channels.load({name: journal.positions(name)})

    def start(self) -> None:
        """Begin to forget what went flat long ago, and to check what is on the disk."""
        self.upkeep.start()
        self.retries.judge_reductions()
        self.retries.schedule()

    async def close(self) -> None:
        """Store what waits, once, and close the journal; nothing is taken from now on."""
        self._commits.queue.closed = True
        self.upkeep.stop()
        self.retries.schedule()
        left = await self._commits.close()
        self.channels.close()
        if left:
            self.log.error(
                "The last positions of {symbols} could not be stored before the stop.",
                symbols=", ".join(pending.draft.symbol for pending in left),
            )
        await self._worker.close()

    def _configured(self) -> set[str]:
        """Name the channels that are there without anybody having published in them."""
        ports, sources = self.settings.ports.values(), self.settings.sources.values()
        named = [*(each.channel for each in ports), *(each.channel for each in sources)]
        viewed = [name for view in self.settings.views.values() for name in view.sources]
        return {"main", *self.settings.channels, *named, *viewed}

    # Publishers

    def join(
        self,
        name: str,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> Publisher:
        """
        Return a new publisher, newer than all before it.

        Args:
            producer: what is paused while the disk is behind; None = it waits for its answer.
            refuse: called with the reason when a classic frame is not stored.
            fence: called with the channel that a newer publisher has taken over.
            close: called with the reason when the connection is to be closed.
            who: login and name, of dialect 2 or by HTTP.
            address: where it comes from.
        """
        ownership = self.rules.ownership

        def lose(channel: str) -> None:
            now = ownership.holders.get(channel)
            if not publisher.gone or now is None or now.who != publisher.who:
                self.channels.events.fenced(channel, publisher, now)
            fence(channel)

        publisher = ownership.join(
            lambda number: Publisher(name, number, producer, refuse, lose, close, who, address)
        )
        return publisher

    def resume(self, publisher: Publisher, channel: str) -> None:
        """Let a publisher go on that was gone, and still holds a channel."""
        self.rules.ownership.resume(publisher, channel)
        self.presence.send()
        self.retries.schedule()

    def leave(self, publisher: Publisher, bye: bool = False) -> None:
        """
        Free what a publisher owned that is gone; its positions stay.

        Args:
            bye: whether it sent BYE; else its channels are reserved for a while.
        """
        self._commits.queue.forget(publisher)
        self.rules.ownership.leave(publisher, self._clock.seconds(), bye)
        self.presence.send()
        self.retries.note_ownership()

    def submit(self, publisher: Publisher, channel: str, symbol: str, volume: Decimal) -> None:
        """
        Take the net position of a symbol, in lots, from a publisher that cannot be answered.

        A draft that changes nothing makes no entry. While the disk is behind, the publisher is
        paused; while the disk fails, the newest volume of each symbol is kept.

        Raises:
            WireError: `channel` (too many) or `server` (the daemon stops, or the channel is
                damaged). Other refusals are sent to the publisher.
        """
        self._check_open(channel)
        key, ownership = SymbolKey(channel, symbol), self.rules.ownership
        if publisher.refused:
            ownership.note_newer_frame(publisher, key)
        when, waits = self._clock.seconds(), key in self._commits.queue.keys
        if not waits and self.rules.says_nothing_new(publisher, key, volume, when):
            ownership.claim(publisher, key)
            self.presence.send()
        else:
            self._commits.add(Pending(Entry(channel, symbol, volume, self._now.time()), publisher))

    def publish(
        self, publisher: Publisher, draft: Entry, take: Take | None = None
    ) -> "Deferred[int]":
        """
        Take a draft that has an id; fires with the seq of its entry once that is on disk.

        Args:
            take: whether it takes the channel over; None = it does.

        Raises, or fails with:
            WireError: it is not stored; the code says why. `server`: the disk failed, or the
                daemon stops. `PolicyError`: who sets what does not let it be.
        """
        self._check_open(draft.channel)
        done: Deferred[int] = Deferred()
        self._commits.add(Pending(draft, publisher, take, done=done))
        return done

    def replace(
        self, publisher: Publisher, whole: WholeState, take: Take | None = None
    ) -> "Deferred[Taken]":
        """
        Take all that a publisher holds; fires with what became of it once that is on disk.

        Args:
            take: as in `publish`.

        Raises, or fails with:
            WireError: it was not compared; as `publish`.
        """
        self._check_open(whole.channel)
        done: Deferred[Any] = Deferred()
        self._commits.add(Pending(whole, publisher, take, done=done))
        return done

    def when_processed(self, publisher: Publisher) -> "Deferred[None]":
        """
        Return what fires once all that was taken from `publisher` is on disk; it fails with
        `JournalError` when the daemon stops before that.
        """
        return self._commits.queue.when_processed(publisher)

    def _check_open(self, channel: str) -> None:
        if self._commits.queue.closed:
            raise WireError("server", "The daemon is stopping and takes no more positions")
        if channel in self.rules.views.known:
            self.views.refuse_publish(channel)
        if channel in self._worker.journal.damaged:
            self._worker.check_whole(channel)
        book = self.channels.book
        if channel not in book and len(book) - len(self.views.names) >= MAX_CHANNELS:
            raise WireError("channel", f"There are {MAX_CHANNELS} channels, and this is one more")

    def release(self, ack: wire.Ack) -> None:
        """Take from the follower of a view that its copy of an entry is gone, or smaller."""
        done = Deferred.fromCoroutine(self._release(ack))
        done.addErrback(lambda failure: self.log.error("{why}", why=failure.getErrorMessage()))

    async def _release(self, ack: wire.Ack) -> None:
        channel = self.channels.book.channel(ack.channel)
        # What stands is known for longer than its entry is kept.
        standing = (each for each in channel.held() if each.seq == ack.seq)
        entry = channel.entry(ack.seq) or next(standing, None)
        if entry is None:
            (entry,) = await self.read(ack.channel, ack.seq - 1, 1)
        target = Target(entry.symbol, entry.ticket)
        await self.views.release(ack.channel, ack.seq, target, ack.volume or FLAT, ack.reason or "")

    async def _change_views(self, change: Change) -> Any:
        """Change views, and send followers what that stored."""
        result, entries = await self._commits.ask(self._worker.journal.change_views, change)
        self.channels.append(entries)
        return result

    # What was stored

    def _deliver(
        self, batch: list[Pending], stored: Stored, policy: PublishPolicy
    ) -> list[Pending]:
        """Answer publishers, then send the entries to followers; as `Deliver`."""
        ownership, begun = self.rules.ownership, []
        for name, epoch in stored.epochs.items():
            channel = self.channels.book.channel(name)
            if not channel.epoch:
                channel.epoch = epoch
                begun.append(name)
        if self._worker.journal.damaged is not self._worker.logged:
            self._worker.log_damage()
        if policy.full:
            self.rules.note_full(policy.full, self._clock.seconds())
            policy.full = set()
        ownership.presence_deferred, again, flattened = True, [], []
        for pending, outcome in zip(batch, stored.outcomes, strict=True):
            if outcome is None and pending.done is None:
                again.append(pending)
                continue
            self._commits.queue.answered(pending)
            if isinstance(outcome, Entry):
                self._accept(pending, outcome)
                continue
            self._answer(pending, outcome)
            if _flattens(pending.draft):
                flattened.append(pending.draft.channel)
        if stored.entries:
            self.channels.append(stored.entries)
        ownership.presence_deferred = False
        for name in flattened:
            self.channels.announce(name, wire.flattened(name))
        if ownership.presence_changes:
            self.presence.send()
        if begun:
            self.channels.offer(begun)
        if self.rules.store.refused_reductions:
            self.retries.judge_reductions()
        if ownership.may_retry:  # to look at all of them would cost each signal their number
            self.retries.judge_frames()
        if self.rules.store.held is not ownership.held:
            self.retries.keep_holders()
        if self.rules.views.unsure:
            Deferred.fromCoroutine(self.views.refresh()).addErrback(noop)
        return again

    def _answer(self, pending: Pending, outcome: Outcome | None) -> None:
        """Answer a publisher with the outcome of its draft."""
        if outcome is None:
            outcome = WireError("server", f"It is not stored: {self._commits.queue.trouble}")
        if isinstance(outcome, Taken) and outcome.refused and pending.draft.symbol:
            ((_, outcome),) = outcome.refused  # the opening of a reversal
        if isinstance(outcome, WireError):
            if outcome.code == "server":
                outcome = WireError("server", self._worker.redactor.text(str(outcome)))
            self._refuse(pending, outcome)
        else:
            self._accept(pending, outcome)

    def _refuse(self, pending: Pending, error: WireError) -> None:
        if pending.done is not None:
            pending.done.errback(error)
            return
        if isinstance(error, PolicyError):
            key = SymbolKey(pending.draft.channel, pending.draft.symbol)
            volume = None if key in self._commits.queue.keys else pending.draft.volume
            self.rules.ownership.note_refused(pending.publisher, key, volume, error.until)
        pending.publisher.refuse(error)

    def _accept(self, pending: Pending, outcome: Entry | Taken) -> None:
        draft, publisher = pending.draft, pending.publisher
        # An answer says whether there is a publisher: it is noted first.
        if publisher is OWNER:
            pass
        elif isinstance(draft, WholeState):
            # Nobody holds a channel that is not there.
            whole = isinstance(outcome, Taken) and (outcome.entries or not outcome.refused)
            if outcome.seq and whole:
                self.rules.ownership.take(publisher, draft.channel)
        elif not draft.id:
            self.rules.ownership.claim(publisher, SymbolKey(draft.channel, draft.symbol))
        elif pending.take != "0" and entries_of(outcome):
            self.rules.ownership.take(publisher, draft.channel)
        if publisher.gone:  # it may hold its channel for a while
            self.retries.schedule()
        if pending.done is not None:
            result = outcome.seq if isinstance(outcome, Entry) else _result(draft, outcome)
            pending.done.callback(result)

    # What is read

    def positions(self, channel: str) -> Mapping[str, Position]:
        """Return the live view of the net positions that are stored of a channel."""
        return self.channels.positions(channel)

    def channel(self, name: str) -> Channel:
        """
        Return what is stored of a channel.

        Raises:
            WireError: `channel` (there is none of this name) or `server` (it is damaged).
        """
        self._worker.check_whole(name)
        return self.channels.named(name)

    def damaged(self) -> dict[str, str]:
        """Return the channels that are damaged, each with a sentence without a path."""
        worker = self._worker
        return {name: worker.redactor.text(why) for name, why in worker.journal.damaged.items()}

    def is_lost(self, name: str) -> bool:
        """Return whether a channel is a view that is damaged: nobody is told what it holds."""
        return name in self.views.names and name in self._worker.journal.damaged

    def read(self, channel: str, after: int, limit: int) -> "Deferred[list[Entry]]":
        """Fire with entries of a channel from `after` + 1 on; fails with `JournalError`."""
        return self._commits.ask(self._worker.journal.read, channel, after, limit, later=True)

    def hash_at(self, channel: str, seq: int) -> "Deferred[str]":
        """Fire with the `h` of an entry; fails with `JournalError`."""
        return self._commits.ask(self._worker.journal.hash_at, channel, seq, later=True)

    # Reports

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`."""
        return {**self._status.health(), **self.participants.health()}

    def details(self) -> dict[str, object]:
        """Report that, and what each channel and view holds."""
        return {**self.health(), **self._status.details()}

    def status(self) -> dict[str, object]:
        """Report that, who is connected, and everybody who takes part."""
        rows = [each.row() for each in self.participants.judged()]
        return {**self.details(), "sessions": self._status.sessions(), "participants": rows}


def _flattens(draft: Entry) -> bool:
    return not draft.symbol and not isinstance(draft, WholeState)


def _result(draft: Entry, outcome: Taken) -> Any:
    """Return the seq of what a draft set, how much a flattening closed, or a whole state did."""
    if isinstance(draft, WholeState):
        return outcome
    if not draft.symbol:
        return len(outcome.entries)
    return outcome.entries[-1].seq if outcome.entries else outcome.seq
