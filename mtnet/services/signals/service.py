"""
Signal service: stores the positions of publishers, then sends them to followers.

One commit is under way at a time; what arrives meanwhile is the next one. This is the one owner
of what is stored and of who sets it; a worker below it runs the journal in a thread.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any, Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from mtnet.callbacks import noop
from mtnet.clock import WallClock
from mtnet.errors import ConfigError, NotAskedError, PolicyError, WireError
from mtnet.net.output.broadcast import LOOP
from mtnet.recurring import Recurring
from mtnet.redact import PathRedactor
from mtnet.services.signals import wire
from mtnet.services.signals.book import Book, Channel, Position, latest
from mtnet.services.signals.classic.queue import SharedState
from mtnet.services.signals.fanout import Batch, Fanout
from mtnet.services.signals.histories import Histories
from mtnet.services.signals.journal.commit_loop import CommitLoop
from mtnet.services.signals.journal.group_commit import GroupCommit, Pending
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.worker import JournalWorker, Stored
from mtnet.services.signals.model import (
    FLAT,
    Closed,
    Entry,
    Outcome,
    Repeated,
    Several,
    State,
    Unchanged,
    entries_of,
)
from mtnet.services.signals.ownership.policy import PublishPolicy
from mtnet.services.signals.ownership.policy_store import PolicyStore
from mtnet.services.signals.ownership.publish_rules import OWNER, PublishRules
from mtnet.services.signals.ownership.publishers import (
    UNIDENTIFIED,
    Ownership,
    Producer,
    Publisher,
    PublisherId,
    SymbolKey,
)
from mtnet.services.signals.replay_cache import ReplayCaches
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.values import PauseMode, Take
from mtnet.services.signals.views.ledger import Target
from mtnet.services.signals.views.views import Change, Views

UNKNOWN = "0" * 16
"""The epoch of a channel that is damaged: no journal has it."""
MAX_CHANNELS = 1_000
"""Channels at most; the first signal for an unknown name makes one."""
LOOK = 5.0
"""Seconds between two looks whether the files of the journal are there."""
OVER = "is closed to make it resend its whole state: the reason for refusing its frames has ended"
EXPIRY = 3_600.0
"""Seconds between two looks for flat symbols to forget; they are remembered for days."""


class Client(Protocol):
    """A client of dialect 2."""

    def report(self) -> Mapping[str, object]:
        """Say for `mtnet signals status` how far it is."""

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which it published; the fan-out tells those who follow."""

    def offer(self, channels: Collection[str]) -> None:
        """Say which of these channels it may ask for, of those that it was refused."""

    def renew(self, channel: str) -> None:
        """Send a channel again to a session that follows it."""

    def notify(self, notice: bytes) -> None:
        """Send a NOTICE, which is shown to people."""


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
        rules: who may set what.
        fanout: the followers.
        histories: what followers claim of the history of channels.
        replay_caches: recent entries of each channel.
        sessions: the clients of dialect 2.
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
        self._book = Book()
        views = Views(
            lambda change: Deferred.fromCoroutine(self._change_views(change)),
            self._begin_view,
            self._announce,
            now,
        )
        self.rules = PublishRules(
            settings, self._book, Ownership(now), store, self._unrepeated, views
        )
        self._worker = JournalWorker(journal, store, settings.retry, clock, in_thread, later)
        self._redactor = PathRedactor(journal.path.parent)
        self._commits = CommitLoop(
            GroupCommit(settings.backlog),
            self._worker,
            self.rules,
            clock,
            self._deliver,
            self._sent,
        )
        self.fanout = Fanout(clock)
        self.replay_caches = ReplayCaches(self.read, settings.retain, clock)
        self.histories = Histories(journal.path.with_suffix(".diverged"), now, in_thread)
        self.sessions: dict[Client, None] = {}
        self._shared: dict[str, SharedState] = {}
        self._expiry: IDelayedCall | None = None
        self._loops = {
            EXPIRY: LoopingCall(Recurring("The forgetting of flat symbols", self._expire)),
            LOOK: LoopingCall(Recurring("The look at the journal's files", self._look)),
        }
        for loop in self._loops.values():
            loop.clock = clock

    @property
    def views(self) -> Views:
        """The channels that are derived from others."""
        return self.rules.views

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
        rules.ownership.restore(rules.store.held, self._clock.seconds())
        self._load(loaded.states)
        for name in self._configured() - set(loaded.states) - set(loaded.damaged):
            try:
                journal.create(name)
            except NotAskedError as error:
                self.log.error("{name} is not made: {error}", name=name, error=error)
                continue
            self._load({name: journal.positions(name)})
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
            self._load({name: journal.positions(name)})

    def _load(self, states: Mapping[str, State]) -> None:
        newest = max((s.positions[-1].when for s in states.values() if s.positions), default=0)
        self._now.compare("the newest signal", newest)
        for name, state in states.items():
            self._book.load(name, state, self._now.moment(), self._now.estimate())

    def start(self) -> None:
        """Begin to forget what went flat long ago, and to check what is on the disk."""
        for seconds, loop in self._loops.items():
            loop.start(seconds, now=seconds == EXPIRY)
        self._worker.scrubber.start()
        self._judge_reductions()
        self._schedule_expiry()

    async def close(self) -> None:
        """Store what waits, once, and close the journal; nothing is taken from now on."""
        self._commits.queue.closed = True
        self._worker.scrubber.stop()
        for each in self._loops.values():
            if each.running:
                each.stop()
        self._schedule_expiry()
        left = await self._commits.close()
        self.fanout.close()
        self.replay_caches.budget.close()
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
        producer: Producer,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> Publisher:
        """
        Return a new publisher, newer than all before it.

        Args:
            producer: what is paused while the disk is behind.
            refuse: called with the reason when a classic frame is not stored.
            fence: called with the channel that a newer publisher has taken over.
            close: called with the reason when the connection is to be closed.
            who: login and name, of dialect 2.
            address: where it comes from.
        """
        return self.rules.ownership.join(
            lambda number: Publisher(name, number, producer, refuse, fence, close, who, address)
        )

    def leave(self, publisher: Publisher, bye: bool = False) -> None:
        """
        Free what a publisher owned that is gone; its positions stay.

        Args:
            bye: whether it sent BYE; else its channels are reserved for a while.
        """
        self._commits.queue.forget(publisher)
        self.rules.ownership.leave(publisher, self._clock.seconds(), bye)
        self._send_presence()
        self._judge_refused()
        self._keep_holders()
        self._schedule_expiry()

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
            self._send_presence()
        else:
            self._commits.add(Pending(Entry(channel, symbol, volume, self._now()), publisher))

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
        self._commits.add(Pending(draft, publisher, done, take))
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
            self._check_whole(channel)
        if channel not in self._book and len(self._book) >= MAX_CHANNELS:
            raise WireError("channel", f"There are {MAX_CHANNELS} channels, and this is one more")

    def _check_whole(self, channel: str) -> None:
        why = self._worker.journal.damaged.get(channel)
        if why is not None:
            raise WireError("server", self._redactor.text(why))

    def _judge_refused(self) -> None:
        """Judge again the classic frames whose reason of refusal has ended."""
        when, ownership = self._clock.seconds(), self.rules.ownership
        for publisher, frames in ownership.pop_retryable(self.rules.store.paused, when):
            for key, volume in frames.items():
                self._commits.add(Pending(Entry(*key, volume, self._now()), publisher))
            self.when_processed(publisher).addBoth(_end, publisher)

    def _schedule_expiry(self) -> None:
        """Schedule the release of reservations of publishers that do not reconnect."""
        due = self.rules.ownership.next_expiry()
        if self._expiry is not None and self._expiry.active():
            self._expiry.cancel()
        self._expiry = None
        if due is not None and not self._commits.queue.closed:
            delay = max(0.0, due - self._clock.seconds())
            self._expiry = self._clock.callLater(delay, self._release_expired)

    def _release_expired(self) -> None:
        self.rules.ownership.expire(self._clock.seconds())
        self._judge_refused()
        self._keep_holders()
        self._schedule_expiry()

    def _keep_holders(self) -> None:
        """Let a start know who holds which channel."""
        rules = self.rules
        if rules.store.held is not rules.ownership.held and not self._commits.queue.closed:
            rules.store.held = rules.ownership.held
            self._worker.keep_policy()

    # Pauses

    def mode(self, channel: str) -> PauseMode | None:
        """Return how a channel is paused; None = it is not."""
        if channel in self.views.known:
            return self.views.pause_mode(channel)
        return self.rules.store.paused.get(channel)

    def pause(self, channel: str, mode: PauseMode | None) -> "Deferred[Any]":
        """
        Take only what reduces positions, or nothing at all, or everything again with None.

        Fires once it is known after a restart, too; it counts from now on, whatever the disk does.

        Raises, or fails with:
            WireError: `channel`; there is none of this name.
            JournalError: the disk does not keep it.
        """
        self.channel(channel)
        if channel in self.views.known:
            return Deferred.fromCoroutine(self._pause_view(channel, mode))
        if self.mode(channel) != mode:
            self.rules.store.pause(channel, mode)
            frame = wire.resumed(channel) if mode is None else wire.paused(channel, mode)
            self._announce(channel, frame)
            self._judge_reductions()
            self._judge_refused()
        return self._worker.save_policy()

    async def _pause_view(self, name: str, mode: PauseMode | None) -> None:
        await self.views.set_mode(name, mode or "on")
        self._announce(name, wire.resumed(name) if mode is None else wire.paused(name, mode))

    async def flatten(self, channel: str) -> int:
        """
        Close every position, remove every order, and take only what reduces positions from then
        on; return how many were closed.

        Raises:
            WireError: `channel`, or `server` when the disk failed.
            JournalError: it is flat, but would not be paused after a restart.
        """
        if channel in self.views.known:
            return await self._flatten_view(channel)
        kept = self.pause(channel, "close_only")
        done: Deferred[int] = Deferred()
        self._commits.add(Pending(Entry(channel, "", FLAT, self._now()), OWNER, done))
        try:
            closed = await done
        except WireError:
            await kept
            raise
        await kept
        return closed

    async def _flatten_view(self, name: str) -> int:
        closed = await self.views.flatten(name, "a person closed the view")
        self._announce(name, wire.paused(name, "close_only"))
        self._announce(name, wire.flattened(name))
        return closed

    def release(self, ack: wire.Ack) -> None:
        """Take from the follower of a view that its copy of an entry is gone, or smaller."""
        done = Deferred.fromCoroutine(self._release(ack))
        done.addErrback(lambda failure: self.log.error("{why}", why=failure.getErrorMessage()))

    async def _release(self, ack: wire.Ack) -> None:
        channel = self._book.channel(ack.channel)
        # What stands is known for longer than its entry is kept.
        standing = (each for each in channel.held() if each.seq == ack.seq)
        entry = channel.entry(ack.seq) or next(standing, None)
        if entry is None:
            (entry,) = await self.read(ack.channel, ack.seq - 1, 1)
        target = Target(entry.symbol, entry.ticket)
        await self.views.release(ack.channel, ack.seq, target, ack.volume or FLAT, ack.reason or "")

    async def _change_views(self, change: Change) -> Any:
        """Change views, and send followers what that stored."""
        result, entries = await self._ask(self._worker.journal.change_views, change)
        self._tell(entries)
        return result

    async def _begin_view(self, name: str, anew: bool) -> None:
        """Show everybody a view that was made just now, or begins a new epoch."""
        journal = self._worker.journal
        if name in journal.damaged:
            return
        self._begin(name, await self._ask(journal.begin_epoch if anew else journal.positions, name))

    def _judge_reductions(self) -> None:
        """Judge the reductions first that a channel refused while it was frozen."""
        due = self.rules.store.pop_retryable()
        if due:
            now = self._now()
            self._commits.add_first(
                [Pending(replace(each, when=now), OWNER, refused_reduction=each) for each in due]
            )

    def _announce(self, channel: str, frame: bytes) -> None:
        """Tell those who follow a channel, or have published there."""
        self.fanout.announce(channel, frame)
        for session in list(self.sessions):
            session.announce(channel, frame)

    # What was stored

    def _unrepeated(self) -> int:
        """Return the moment before which what went flat is repeated no more."""
        return self._now.moment() - int(self.settings.repeat_closed * 1000)

    def _sent(self) -> dict[str, int]:
        """Return the number of the last entry of each channel that was sent to followers."""
        return {name: channel.seq for name, channel in self._book.items()}

    def _deliver(
        self, batch: list[Pending], stored: Stored, policy: PublishPolicy
    ) -> list[Pending]:
        """Answer publishers, then send the entries to followers; as `Deliver`."""
        ownership, begun = self.rules.ownership, []
        for name, epoch in stored.epochs.items():
            channel = self._book.channel(name)
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
            if not pending.draft.symbol and isinstance(outcome, Several):
                flattened.append(pending.draft.channel)
        if stored.entries:
            self._tell(stored.entries)
        ownership.presence_deferred = False
        for name in flattened:
            self._announce(name, wire.flattened(name))
        if ownership.presence_changes:
            self._send_presence()
        if begun:
            self._tell_channels(begun)
        if self.rules.store.refused_reductions:
            self._judge_reductions()
        if ownership.may_retry:  # to look at all of them would cost each signal their number
            self._judge_refused()
        if self.rules.store.held is not ownership.held:
            self._keep_holders()
        if self.rules.views.unsure:
            Deferred.fromCoroutine(self.views.refresh()).addErrback(noop)
        return again

    def _send_presence(self) -> None:
        """Send presence changes to followers, after the entries that led to them."""
        ownership = self.rules.ownership
        if ownership.presence_deferred:
            return
        changes, ownership.presence_changes = ownership.presence_changes, []
        for channel, up, since in changes:
            self.fanout.announce(channel, wire.status(channel, up, since))
            for name in self.views.of(channel):
                self.fanout.announce(name, wire.status(name, *self.provider(name)))

    def _tell_channels(self, names: Collection[str]) -> None:
        """Offer new channels to the sessions that asked for them before they existed."""
        for session in list(self.sessions):
            session.offer(names)

    def _answer(self, pending: Pending, outcome: Outcome | None) -> None:
        """Answer a publisher with the outcome of its draft."""
        if outcome is None:
            outcome = WireError("server", f"It is not stored: {self._commits.queue.trouble}")
        if isinstance(outcome, Closed):
            outcome.why.closed = True
            outcome = outcome.why
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
        if isinstance(error, PolicyError):
            key = SymbolKey(pending.draft.channel, pending.draft.symbol)
            volume = None if key in self._commits.queue.keys else pending.draft.volume
            self.rules.ownership.note_refused(pending.publisher, key, volume, error.until)
        pending.publisher.refuse(error)

    def _accept(self, pending: Pending, outcome: Entry | Several | Repeated | Unchanged) -> None:
        draft, publisher = pending.draft, pending.publisher
        if pending.done is not None:
            seq = outcome.seq if isinstance(outcome, Entry) else _result(draft, outcome)
            pending.done.callback(seq)
        if publisher is OWNER:
            return
        if not draft.id:
            self.rules.ownership.claim(publisher, SymbolKey(draft.channel, draft.symbol))
        elif pending.take != "0" and isinstance(outcome, (Entry, Several)):
            self.rules.ownership.take(publisher, draft.channel)
        if publisher.gone:  # it may hold its channel for a while
            self._schedule_expiry()

    def _tell(self, entries: Iterable[Entry]) -> None:
        channels: dict[str, list[Entry]] = {}
        for entry in entries:
            channels.setdefault(entry.channel, []).append(entry)
        when, most = self._now.moment(), self.settings.max_symbols
        for name, found in channels.items():
            channel, changes = self._book.get(name) or self._book.channel(name), []
            for entry in found:
                # A symbol that was long flat makes room for one that is new.
                room = len(channel.net) < most
                if not room and entry.volume and entry.symbol not in channel.net:
                    channel.evict(self._unrepeated())
                    room = len(channel.net) < most
                change = channel.apply(entry, when, room)
                if change is not None:
                    changes.append(change)
            cache = self.replay_caches.get(name)
            if cache is not None:
                cache.extend(found)
            # Paced followers would be sent only the last one of each symbol anyway.
            shown = latest(changes) if self.settings.pace and len(changes) > 1 else changes
            self.fanout.send(name, Batch(found), shown)

    def _expire(self) -> "Deferred[None]":
        age = int(self.settings.remember * 1000)
        before = self._now.moment() - age
        old = self._book.flat_before(before) if self._now.steady else None
        if not old:
            return succeed(None)
        done = self._ask(self._worker.journal.expire, self._now() - age, old)
        return done.addCallback(lambda _: self._book.expire(before)).addErrback(
            lambda failure: self.log.error(
                "Old flat symbols stay for another hour: {reason}",
                reason=failure.getErrorMessage(),
            )
        )

    # Followers

    def positions(self, channel: str) -> Mapping[str, Position]:
        """Return the live view of the net positions that are stored of a channel."""
        return self._book.channel(channel).net

    def shared_state(self, channel: str) -> SharedState:
        """Return what the classic followers of a channel share."""
        if channel not in self._shared:
            self._shared[channel] = SharedState(
                self._book.channel(channel), self.settings.repeat_closed
            )
        return self._shared[channel]

    def channel(self, name: str) -> Channel:
        """
        Return what is stored of a channel.

        Raises:
            WireError: `channel` (there is none of this name) or `server` (it is damaged).
        """
        self._check_whole(name)
        if name not in self._book or not self._book[name].epoch:
            raise WireError("channel", f"There is no channel {name}")
        return self._book[name]

    def is_named(self, name: str) -> bool:
        """Return whether a channel is there: its epoch is known."""
        return name in self._book and bool(self._book[name].epoch)

    def epoch(self, name: str) -> str:
        """Return what names the journal of a channel; zeros where that is damaged."""
        return self._book.channel(name).epoch or UNKNOWN

    def read(self, channel: str, after: int, limit: int) -> "Deferred[list[Entry]]":
        """Fire with entries of a channel from `after` + 1 on; fails with `JournalError`."""
        return self._ask(self._worker.journal.read, channel, after, limit, later=True)

    def _look(self) -> "Deferred[None]":
        commits = self._commits
        return self._worker.check_files().addCallbacks(lambda _: commits.probe(), commits.repair)

    def _ask(
        self, function: Callable[..., Any], *args: object, later: bool = False
    ) -> "Deferred[Any]":
        """Call the journal, for anything but a commit; what fails there is repaired at once."""
        return self._worker.ask(function, *args, later=later).addErrback(self._ask_failed)

    def _ask_failed(self, failure: Failure) -> Failure:
        self._commits.repair(failure)
        return failure

    def hash_at(self, channel: str, seq: int) -> "Deferred[str]":
        """Fire with the `h` of an entry; fails with `JournalError`."""
        return self._ask(self._worker.journal.hash_at, channel, seq, later=True)

    async def accept(self, channel: str, new_epoch: bool = False) -> int:
        """
        Go on with a channel that is damaged, or whose history went back, as it is.

        Args:
            new_epoch: whether followers shall take it for another journal; one that is damaged
                becomes that in any case.

        Returns:
            How many positions and orders it holds.

        Raises:
            WireError: `channel`; there is none of this name, or nothing is wrong with it.
            JournalError: the disk does not keep it.
        """
        journal = self._worker.journal
        damaged = channel in journal.damaged
        if not damaged:
            self.channel(channel)
        if damaged or new_epoch:
            begin = journal.accept if damaged else journal.begin_epoch
            self._begin(channel, await self._ask(begin, channel))
            await self.views.renew(channel)
        else:
            await self.histories.accept(channel)
            for name in self.views.of(channel):
                with suppress(WireError):  # nobody knew more of that one
                    await self.histories.accept(name)
        return len(self._book[channel].held())

    def _begin(self, channel: str, state: State) -> None:
        """Show everybody a channel that has a new epoch."""
        self._worker.log_damage()
        self._book.load(channel, state, self._now.moment(), self._now.estimate())
        self.replay_caches.pop(channel, None)
        self.histories.forget(channel)
        self.rules.store.retry_channel(channel)
        self._judge_reductions()
        for session in list(self.sessions):
            session.renew(channel)
        self._tell_channels([channel])

    def notify(self, text: str) -> int:
        """Send a sentence for people to all sessions; return how many there are."""
        frame, sessions = wire.notice(text), list(self.sessions)
        for session in sessions:
            session.notify(frame)
        return len(sessions)

    def provider(self, channel: str) -> tuple[bool, int]:
        """
        Say whether a channel has a publisher, and since when, in milliseconds; a view has one when
        all its sources have.
        """
        status, view = self.rules.ownership.status, self.views.known.get(channel)
        if view is None:
            return status(channel)
        found = [status(source) for source in view.settings.sources]
        up = all(each for each, _ in found)
        return up, max(since for each, since in found if each == up)

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`; the former leaves the folders out."""
        full, diverged = self.rules.full(self._clock.seconds()), self.histories.sentences()
        causes = [
            *self._worker.causes(self._commits.queue.trouble),
            *diverged,
            *(
                f"{name} has {self.settings.max_symbols} symbols and was sent one more"
                for name in full
            ),
        ]
        return {
            "healthy": not causes,
            "trouble": causes[0] if causes else None,
            "damaged": self._worker.damage(),
            "diverged": diverged,
            "full": full,
            "waiting": len(self._commits.queue),
            "publishers": self.rules.ownership.live,
            "followers": self.fanout.count(),
        }

    def status(self) -> dict[str, object]:
        """Report that, and what each channel holds."""
        names = {*self._book, *self.fanout.channels()}
        channels = {name: self._channel_status(name) for name in sorted(names)}
        sessions = [session.report() for session in self.sessions]
        views = self.views.report()
        shown = {"channels": channels, "views": views, "sessions": sessions}
        return {**self.health(), "loop": LOOP, **shown}

    def _channel_status(self, name: str) -> dict[str, object]:
        channel, (up, since) = self._book.channel(name), self.provider(name)
        return {
            "epoch": channel.epoch,
            "seq": channel.seq,
            "publishers": self.rules.ownership.names(name),
            "provider": "up" if up else "down",
            "since": since,
            "paused": self.mode(name),
            "followers": self.fanout.count(name),
            "positions": {p.symbol: str(p.volume) for p in channel.net.values() if p.volume},
        }


def _end(_: object, publisher: Publisher) -> None:
    publisher.close(OVER)


def _result(draft: Entry, outcome: Entry | Several | Repeated | Unchanged) -> int:
    """Return the seq of what a draft set, or how much a flattening closed."""
    entries = entries_of(outcome)
    if not draft.symbol:
        return len(entries)
    return outcome.seq if isinstance(outcome, Repeated) else entries[-1].seq
