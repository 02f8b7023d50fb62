"""
Signal service: stores the positions of publishers, then sends them to followers.

One commit is under way at a time; what arrives meanwhile is the next one. This is the one owner
of what is stored and of who sets it; a worker below it runs the journal in a thread.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from mtnet.callbacks import noop
from mtnet.clock import WallClock
from mtnet.errors import WireError
from mtnet.redact import PathRedactor
from mtnet.services.signals.book import Channel
from mtnet.services.signals.channels import Channels
from mtnet.services.signals.history.histories import Histories
from mtnet.services.signals.journal.group_commit import Commit, GroupCommit, Pending, Stored
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.worker import JournalWorker
from mtnet.services.signals.model import (
    Entry,
    Outcome,
    State,
    Taken,
    WholeState,
)
from mtnet.services.signals.ownership.policy import OWNER, PublishRules
from mtnet.services.signals.ownership.publishers import Publisher, SymbolKey
from mtnet.services.signals.ownership.retries import Retries
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.values import Take
from mtnet.services.signals.views.views import Views
from mtnet.services.signals.wire import answers, requests

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
        views: the channels that are derived from others.
        fanout: the followers.
        join: returns a new publisher, as `Ownership.join`.
        positions: returns the live view of the net positions that are stored of a channel.
        worker: runs the journal in its thread.
        commits: stores what publishers hand in.
        retries: what was refused, and is judged again.
        histories: what followers claim of the history of channels.
        now: wall time, and whether it may be believed.
        codepage: of classic programs.
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
        self.settings, self._clock, self.now = settings, clock, now
        self.codepage = settings.codepage
        path, self._redactor = journal.path, PathRedactor(journal.path.parent)
        self.channels = channels = Channels(settings, clock, now, self.read)
        self.fanout, self.positions = channels.fanout, channels.positions
        self.views = views = Views(
            channels,
            lambda change: Deferred.fromCoroutine(self._change_views(change)),
            self._begin_view,
            now,
        )
        self.rules = rules = PublishRules(
            settings, channels.book, now, path, channels.unrepeated, views
        )
        rules.ownership.fenced = channels.events.fenced
        self.join = rules.ownership.join
        self.worker = worker = JournalWorker(
            journal, rules.store, settings.retry, clock, in_thread, later
        )
        worker.on_damage = channels.recheck
        self.commits = commits = GroupCommit(
            settings.backlog,
            worker,
            lambda batch, when: Commit(journal, rules.policy(batch, when)),
            clock,
            self._deliver,
            channels.sent,
        )
        channels.replay_caches.budget.yields = commits.is_busy
        diverged = path.with_suffix(".diverged")
        self.histories = Histories(diverged, now, in_thread, channels.events)
        self.retries = Retries(rules, commits, worker, clock, now)

    def open(self) -> None:
        """
        Read the journal; blocks, for use before the reactor runs.

        Raises:
            JournalError: it cannot be read.
            ConfigError: a view cannot be as configured.
        """
        states, rules = self.worker.open(self.settings.channel_names()), self.rules
        self.histories.open()
        rules.open(states, self._clock.seconds())
        self.channels.load(states)
        self.views.open(self.worker.journal, self.settings.views)
        self.worker.opened()

    def start(self) -> None:
        """Judge what was refused before the stop, and release reservations in time."""
        self.retries.judge_reductions()
        self.retries.schedule()

    async def close(self) -> None:
        """Store what waits, once, and close the journal; nothing is taken from now on."""
        self.commits.queue.closed = True
        self.retries.schedule()
        left = await self.commits.close()
        self.channels.close()
        if left:
            self.log.error(
                "The last positions of {symbols} could not be stored before the stop.",
                symbols=", ".join(pending.draft.symbol for pending in left),
            )
        await self.worker.close()

    # Publishers

    def resume(self, publisher: Publisher, channel: str) -> None:
        """Let a publisher go on that was gone, and still holds a channel."""
        self.rules.ownership.resume(publisher, channel)
        self._send_presence()
        self.retries.schedule()

    def leave(self, publisher: Publisher, bye: bool = False) -> None:
        """
        Free what a publisher owned that is gone; its positions stay.

        Args:
            bye: whether it sent BYE; else its channels are reserved for a while.
        """
        self.commits.queue.forget(publisher)
        self.rules.ownership.leave(publisher, self._clock.seconds(), bye)
        self._send_presence()
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
        when, waits = self._clock.seconds(), key in self.commits.queue.keys
        if not waits and self.rules.says_nothing_new(publisher, key, volume, when):
            ownership.claim(publisher, key)
            self._send_presence()
        else:
            self.commits.add(Pending(Entry(channel, symbol, volume, self.now.time()), publisher))

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
        self.commits.add(Pending(draft, publisher, take, done=done))
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
        self.commits.add(Pending(whole, publisher, take, done=done))
        return done

    def when_processed(self, publisher: Publisher) -> "Deferred[None]":
        """
        Return what fires once all that was taken from `publisher` is on disk; it fails with
        `JournalError` when the daemon stops before that.
        """
        return self.commits.queue.when_processed(publisher)

    def _check_open(self, channel: str) -> None:
        if self.commits.queue.closed:
            raise WireError("server", "The daemon is stopping and takes no more positions")
        if channel in self.views.known:
            self.views.refuse_publish(channel)
        if channel in self.worker.journal.damaged:
            self._check_whole(channel)
        book = self.channels.book
        if channel not in book and len(book) - len(self.views.names) >= MAX_CHANNELS:
            raise WireError("channel", f"There are {MAX_CHANNELS} channels, and this is one more")

    def acknowledge_copy(self, ack: requests.Ack) -> None:
        """Take from the follower of a view what became of its copy of an entry."""
        self.views.acknowledged(ack.channel)
        if ack.status == "released":
            self._release_copy(ack)

    def _release_copy(self, ack: requests.Ack) -> None:
        """Take that a copy is gone, or smaller."""
        done = Deferred.fromCoroutine(self._release(ack))
        done.addErrback(lambda failure: self.log.error("{why}", why=failure.getErrorMessage()))

    async def _release(self, ack: requests.Ack) -> None:
        channel = self.channels.book.channel(ack.channel)
        # What stands is known for longer than its entry is kept.
        standing = (each for each in channel.held() if each.seq == ack.seq)
        entry = channel.entry(ack.seq) or next(standing, None)
        found = [entry] if entry is not None else await self.read(ack.channel, ack.seq - 1, 1)
        for each in found:  # none, if there is no such entry yet
            await self.views.release(ack, each)

    async def _change_views(self, change: Callable[..., Any]) -> Any:
        """Change views, and send followers what that stored."""
        result, entries = await self.commits.ask(self.worker.journal.change_views, change)
        self.channels.append(entries)
        return result

    async def _begin_view(self, name: str) -> None:
        """Show everybody a view that was made just now."""
        journal = self.worker.journal
        if name not in journal.damaged:
            self.begin(name, await self.commits.ask(journal.positions, name))

    def begin(self, name: str, state: State) -> None:
        """Show everybody a channel that has a new epoch; what it refused is judged again."""
        self.worker.log_damage()
        self.channels.begin(name, state)
        self.histories.forget(name)
        self.rules.store.retry_channel(name)
        self.retries.judge_reductions()

    # What was stored

    def _deliver(self, batch: list[Pending], stored: Stored) -> list[Pending]:
        """Answer publishers, then send the entries to followers; as `Deliver`."""
        ownership, begun = self.rules.ownership, []
        for name, epoch in stored.epochs.items():
            channel = self.channels.book.channel(name)
            if not channel.epoch:
                channel.epoch = epoch
                begun.append(name)
        if self.worker.journal.damaged is not self.worker.logged:
            self.worker.log_damage()
        if stored.full:
            self.rules.note_full(stored.full, self._clock.seconds())
        ownership.presence.deferred, again, flattened = True, [], []
        for pending, outcome in zip(batch, stored.outcomes, strict=True):
            if outcome is None and pending.done is None:
                again.append(pending)
                continue
            self.commits.queue.answered(pending)
            try:
                if isinstance(outcome, Entry):
                    self._accept(pending, outcome)
                    continue
                self._answer(pending, outcome)
            except Exception:
                # One that cannot be told must keep nothing from the others, and from followers.
                self.log.failure("A publisher failed at its answer.")
            if isinstance(outcome, Taken) and _flattens(pending.draft):
                flattened.append(pending.draft.channel)
        if stored.entries:
            self.channels.append(stored.entries)
        ownership.presence.deferred = False
        for name in flattened:
            self.channels.announce(name, answers.flattened(name))
        if ownership.presence.changes:
            self._send_presence()
        if begun:
            self.channels.offer(begun)
        if self.rules.store.refused_reductions:
            self.retries.judge_reductions()
        if ownership.may_retry:  # to look at all of them would cost each signal their number
            self.retries.judge_frames()
        if self.rules.store.held is not ownership.held:
            self.retries.keep_holders()
        if self.views.unsure:
            Deferred.fromCoroutine(self.views.refresh()).addErrback(noop)
        return again

    def _send_presence(self) -> None:
        """Tell followers which channels have a publisher now, after the entries that led to it."""
        ownership, channels = self.rules.ownership, self.channels
        if ownership.presence.deferred:
            return
        changes, ownership.presence.changes = ownership.presence.changes, []
        for name, up, since in changes:
            channels.events.provider(name, up, ownership.presence.of(name).last)
            self.fanout.announce(name, answers.status(name, up, since))
            for view in self.views.of(name):
                self.fanout.announce(view, answers.status(view, *self.rules.presence_of(view)))

    def _answer(self, pending: Pending, outcome: Outcome | None) -> None:
        """Answer a publisher with the outcome of its draft."""
        if outcome is None:
            outcome = WireError("server", f"It is not stored: {self.commits.queue.trouble}")
        if isinstance(outcome, Taken) and outcome.refused and pending.draft.symbol:
            ((_, outcome),) = outcome.refused  # the opening of a reversal
        if isinstance(outcome, WireError):
            if outcome.code == "server":
                outcome = WireError("server", self._redactor.text(str(outcome)))
            self._refuse(pending, outcome)
        else:
            self._accept(pending, outcome)

    def _refuse(self, pending: Pending, error: WireError) -> None:
        if pending.done is not None:
            pending.done.errback(error)
            return
        if error.until:
            key = SymbolKey(pending.draft.channel, pending.draft.symbol)
            volume = None if key in self.commits.queue.keys else pending.draft.volume
            self.rules.ownership.note_refused(pending.publisher, key, volume, error.until)
        pending.publisher.refuse(error)

    def _accept(self, pending: Pending, outcome: Entry | Taken) -> None:
        draft, publisher = pending.draft, pending.publisher
        # An answer says whether there is a publisher: it is noted first.
        if publisher is OWNER:
            pass
        elif isinstance(draft, WholeState):
            if pending.take != "0" and isinstance(outcome, Taken) and outcome.accepted:
                self.rules.ownership.take(publisher, draft.channel)
        elif not draft.id:
            self.rules.ownership.claim(publisher, SymbolKey(draft.channel, draft.symbol))
        elif pending.take != "0" and (isinstance(outcome, Entry) or outcome.entries):
            self.rules.ownership.take(publisher, draft.channel)
        if publisher.gone:  # it may hold its channel for a while
            self.retries.schedule()
        if pending.done is not None:
            result = outcome.seq if isinstance(outcome, Entry) else _result(draft, outcome)
            pending.done.callback(result)

    # What is read

    def channel(self, name: str) -> Channel:
        """
        Return what is stored of a channel.

        Raises:
            WireError: `channel` (there is none of this name) or `server` (it is damaged).
        """
        self._check_whole(name)
        return self.channels.named(name)

    def _check_whole(self, channel: str) -> None:
        """
        Refuse a channel that is damaged.

        Raises:
            WireError: `server`.
        """
        why = self.worker.journal.damaged.get(channel)
        if why is not None:
            raise WireError("server", self._redactor.text(why))

    def damaged(self) -> dict[str, str]:
        """Return the channels that are damaged, each with a sentence without a path."""
        damaged = self.worker.journal.damaged
        return {name: self._redactor.text(why) for name, why in damaged.items()}

    def full(self) -> list[str]:
        """Name the channels that had no room for a symbol within the last minute."""
        return self.rules.full(self._clock.seconds())

    def is_lost(self, name: str) -> bool:
        """Return whether a channel is a view that is damaged: nobody is told what it holds."""
        return name in self.views.names and name in self.worker.journal.damaged

    def read(self, channel: str, after: int, limit: int) -> "Deferred[list[Entry]]":
        """Fire with entries of a channel from `after` + 1 on; fails with `JournalError`."""
        return self.commits.ask(self.worker.journal.read, channel, after, limit, later=True)

    def hash_at(self, channel: str, seq: int) -> "Deferred[str]":
        """Fire with the `h` of an entry; fails with `JournalError`."""
        return self.commits.ask(self.worker.journal.hash_at, channel, seq, later=True)


def _flattens(draft: Entry) -> bool:
    return not draft.symbol and not isinstance(draft, WholeState)


def _result(draft: Entry, outcome: Taken) -> Any:
    """Return the seq of what a draft set, how much a flattening closed, or a whole state did."""
    if isinstance(draft, WholeState):
        return outcome
    if not draft.symbol:
        return len(outcome.entries)
    return outcome.entries[-1].seq if outcome.entries else outcome.seq
