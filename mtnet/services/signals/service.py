"""
The signal service: takes positions from publishers, stores them, and only then tells followers.

One commit is under way at a time; what arrives meanwhile is the next one.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from decimal import Decimal
from typing import Any, Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mtnet.clock import WallClock
from mtnet.errors import JournalError, NotAskedError, PolicyError, PrunedError, WireError
from mtnet.interfaces import IStatus
from mtnet.net.output.broadcast import LOOP
from mtnet.recurring import Recurring
from mtnet.redact import PathRedactor
from mtnet.services.signals import wire
from mtnet.services.signals.book import Book, Change, Channel, Position, latest
from mtnet.services.signals.classic.queue import SharedState
from mtnet.services.signals.fanout import Batch, Fanout
from mtnet.services.signals.histories import Histories
from mtnet.services.signals.journal.group_commit import Pending, Stored, Writer
from mtnet.services.signals.journal.journal import Journal
from mtnet.services.signals.journal.scrubber import Scrubber
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
from mtnet.services.signals.policy import OPERATOR, Claim, Limits, PublishPolicy, Room
from mtnet.services.signals.policy_store import PolicyStore
from mtnet.services.signals.publishers import (
    UNIDENTIFIED,
    Key,
    Ownership,
    Producer,
    Publisher,
    PublisherId,
)
from mtnet.services.signals.replay_cache import ReplayCaches
from mtnet.services.signals.settings import SignalSettings
from mtnet.services.signals.values import PauseMode, Take

FULL = 60.0
"""Seconds for which a full channel is reported after a symbol was refused, and after which
room is looked for again."""
UNKNOWN = "0" * 16
"""The epoch of a channel that is damaged: no journal has it."""
MAX_CHANNELS = 1_000
"""Channels; whoever may publish can make one by naming it."""
LOOK = 5.0
"""Seconds between two looks whether the files of the journal are there."""
OWNER = Publisher("whoever runs the daemon", OPERATOR)
"""Who flattens, and in whose name reductions are judged that a frozen channel refused."""
OVER = "is closed so that it sends its whole state anew: what its frames were refused for is over"
EXPIRY = 3_600.0
"""Seconds between two looks for flat symbols to forget; they are remembered for days."""


class Client(Protocol):
    """A client of dialect 2."""

    def report(self) -> Mapping[str, object]:
        """Say for `mtnet signals status` how far it is."""

    def announce(self, channel: str, frame: bytes) -> None:
        """Send news of a channel in which it published; who follows it is told by the audience."""

    def offer(self, channels: Collection[str]) -> None:
        """Say which of these channels it may ask for, of those that it was refused."""

    def renew(self, channel: str) -> None:
        """Send a channel anew to one that follows it."""


@implementer(IStatus)
class SignalService:
    """
    Args:
        settings: `[signals]`.
        journal: where positions are stored; called through `in_thread` alone.
        now: wall time, and whether it may be believed.
        in_thread: runs a blocking function off the reactor, one at a time, in order.
        later: does the same behind all that waits for `in_thread`, so that followers far behind
            delay no signal; None = there is no difference.

    Attributes:
        audience: who is told.
        histories: what followers claim of the history of channels.
        replays: what was told of late.
        sessions: the clients of dialect 2.
        records: pauses, fences and reductions that are owed.
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
        self.settings, self.codepage = settings, settings.codepage
        self._journal, self._in_thread, self._later = journal, in_thread, later
        self._clock, self._now = clock, now
        self._book, self._ownership = Book(), Ownership(now)
        self._limits = Limits(settings.max_symbols, settings.max_positions, settings.channels)
        self.records = PolicyStore(
            journal.path.with_suffix(".policy"), journal.path.with_suffix(".paused")
        )
        self.fanout = Fanout(clock)
        self.replay_caches = ReplayCaches(self.read, settings.retain, clock)
        self.histories = Histories(journal.path.with_suffix(".diverged"), now, in_thread)
        self.sessions: dict[Client, None] = {}
        self._writer = Writer(settings, journal, clock, in_thread, self)
        self._scrubber = Scrubber(journal, clock, in_thread)
        self._complained: frozenset[str] = frozenset()
        self._trouble: str | None = None
        self._unsound: str | None = None
        self._heads = ""
        self._policy = PublishPolicy(self._limits, {}, {}, self.records)
        self._answering = False
        self._lapse: IDelayedCall | None = None
        self._symbols: dict[Key, int] = {}
        self._full: dict[str, float] = {}
        self._shared: dict[str, SharedState] = {}
        self._closed = False
        self._public = PathRedactor(journal.path.parent).text
        self._expiry = LoopingCall(Recurring("The forgetting of flat symbols", self._expire))
        self._looking = LoopingCall(Recurring("The look at the journal's files", self._look))
        self._expiry.clock = self._looking.clock = clock

    def open(self) -> None:
        """
        Read the journal; blocks, for use before the reactor runs.

        Raises:
            JournalError: it cannot be read.
        """
        loaded = self._journal.load()
        self.histories.open()
        self.records.open()
        self._ownership.restore(self.records.held, self._clock.seconds())
        self._load(loaded.states)
        for name in self._configured() - set(loaded.states) - set(loaded.damaged):
            try:
                self._journal.create(name)
            except NotAskedError as error:
                self.log.error("{name} is not made: {error}", name=name, error=error)
                continue
            self._load({name: self._journal.positions(name)})
        self._complain()
        try:
            self._journal.check_files()
        except NotAskedError as error:
            self._note_files(str(error))
        # Reopened by the thread that commits, behind the fork of a daemon.
        self._journal.close()

    def _load(self, states: Mapping[str, State]) -> None:
        newest = max((s.positions[-1].when for s in states.values() if s.positions), default=0)
        self._now.compare("the newest signal", newest)
        for name, state in states.items():
            self._book.load(name, state, self._now.moment(), self._now.estimate())

    def start(self) -> None:
        """Begin to forget what went flat long ago, and to check what is on the disk."""
        self._expiry.start(EXPIRY)
        self._looking.start(LOOK, now=False)
        self._scrubber.start()
        self._pay_owed()
        self._wait_for_lapse()

    async def close(self) -> None:
        """Store what waits, once, and close the journal; nothing is taken from now on."""
        self._closed = True
        self._scrubber.stop()
        for each in (self._expiry, self._looking):
            if each.running:
                each.stop()
        self._wait_for_lapse()
        left = await self._writer.close()
        self.fanout.close()
        self.replay_caches.share.close()
        if left:
            self.log.error(
                "The last positions of {symbols} could not be stored before the stop.",
                symbols=", ".join(pending.draft.symbol for pending in left),
            )
        await self._in_thread(self._journal.close)

    def _configured(self) -> set[str]:
        """Name the channels that are there without anybody having published in them."""
        ports, sources = self.settings.ports.values(), self.settings.sources.values()
        named = [*(each.channel for each in ports), *(each.channel for each in sources)]
        return {"main", *self.settings.channels, *named}

    # Publishers

    def join(
        self,
        name: str,
        producer: Producer,
        refuse: Callable[[WireError], object] = lambda error: None,
        fence: Callable[[str], object] = lambda channel: None,
        close: Callable[[str], object] = lambda why: None,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> Publisher:
        """
        Return a new publisher, newer than all before it.

        Args:
            producer: what is paused while the disk is behind.
            refuse: is told what became of a classic frame that is not stored.
            fence: is told the channel in which a newer publisher has taken over.
            close: is told why the connection is closed.
            who: login and name, of dialect 2.
            address: where it comes from.
        """
        return self._ownership.join(
            lambda number: Publisher(name, number, producer, refuse, fence, close, who, address)
        )

    def leave(self, publisher: Publisher, bye: bool = False) -> None:
        """
        Free what a publisher owned that is gone; its positions stay.

        Args:
            bye: whether it said so; else it holds its channels for a while.
        """
        self._writer.left(publisher)
        self._ownership.leave(publisher, self._clock.seconds(), bye)
        self._tell_turns()
        self._hear_refused()
        self._keep_holders()
        self._wait_for_lapse()

    def submit(self, publisher: Publisher, channel: str, symbol: str, volume: Decimal) -> None:
        """
        Take the net position of a symbol, in lots, from a publisher that cannot be answered.

        What changes nothing is no entry. While the disk is behind, the publisher is paused;
        while the disk refuses, the newest volume of each symbol is kept until it does not.

        Raises:
            WireError: `channel` (too many) or `server` (the daemon stops, or the channel is
                damaged). Other refusals are told to the publisher.
        """
        self._check_open(channel)
        key = Key(channel, symbol)
        self._ownership.hear(publisher, key)
        if self._sets_nothing(publisher, key, volume):
            self._ownership.claim(publisher, key)
            self._tell_turns()
        else:
            self._take(Pending(Entry(channel, symbol, volume, self._now()), publisher))

    def _sets_nothing(self, publisher: Publisher, key: Key, volume: Decimal) -> bool:
        """Say whether a classic frame says what is stored, so that no commit need find out."""
        if key in self._symbols or key.channel in self.records.paused:
            return False
        if self._ownership.holder(key.channel) is not None:
            return False
        if self._ownership.is_taken(publisher, key, self._clock.seconds()):
            return False
        return key.channel in self._book and self._book[key.channel].volume(key.symbol) == volume

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
        self._take(Pending(draft, publisher, done, take))
        return done

    def settled(self, publisher: Publisher) -> "Deferred[None]":
        """
        Return what fires once all that was taken from `publisher` is on disk; it fails with
        `JournalError` when the daemon stops before that.
        """
        return self._writer.settled(publisher)

    def _check_open(self, channel: str) -> None:
        if self._closed:
            raise WireError("server", "The daemon is stopping and takes no more positions")
        self._check_whole(channel)
        if channel not in self._book and len(self._book.channels()) >= MAX_CHANNELS:
            raise WireError("channel", f"There are {MAX_CHANNELS} channels, and this is one more")

    def _check_whole(self, channel: str) -> None:
        why = self._journal.damaged.get(channel)
        if why is not None:
            raise WireError("server", self._public(why))

    def _complain(self) -> None:
        """Log which channels are damaged, each once."""
        damaged = self._journal.damaged
        for name in sorted(damaged.keys() - self._complained):
            self.log.error("{sentence}", sentence=damaged[name])
        self._complained = frozenset(damaged)

    def _take(self, pending: Pending) -> None:
        self._note(pending)
        self._writer.take(pending)

    def _note(self, pending: Pending) -> None:
        key = Key(pending.draft.channel, pending.draft.symbol)
        self._symbols[key] = self._symbols.get(key, 0) + 1

    def _hear_refused(self) -> None:
        """Judge again what classic publishers were refused for a reason that is over."""
        when = self._clock.seconds()
        for publisher, frames in self._ownership.settle(self.records.paused, when):
            for key, volume in frames.items():
                self._take(Pending(Entry(*key, volume, self._now()), publisher))
            self.settled(publisher).addBoth(_end, publisher)

    def _wait_for_lapse(self) -> None:
        """Wake up when somebody has not come back in time."""
        due = self._ownership.next_lapse()
        if self._lapse is not None and self._lapse.active():
            self._lapse.cancel()
        self._lapse = None
        if due is not None and not self._closed:
            delay = max(0.0, due - self._clock.seconds())
            self._lapse = self._clock.callLater(delay, self._lapsed)

    def _lapsed(self) -> None:
        self._ownership.lapse(self._clock.seconds())
        self._hear_refused()
        self._keep_holders()
        self._wait_for_lapse()

    def _keep_holders(self) -> None:
        """Let a start know who holds which channel."""
        if self.records.held is not self._ownership.held and not self._closed:
            self.records.held = self._ownership.held
            self._in_thread(self._keep_records)

    # Pauses

    def mode(self, channel: str) -> PauseMode | None:
        """Return how a channel is paused; None = it is not."""
        return self.records.paused.get(channel)

    def pause(self, channel: str, mode: PauseMode | None) -> "Deferred[Any]":
        """
        Take only what reduces positions, or nothing at all, or everything again with None.

        Fires once it is known after a restart, too; it counts from now on, whatever the disk does.

        Raises, or fails with:
            WireError: `channel`; there is none of this name.
            JournalError: the disk does not keep it.
        """
        self.channel(channel)
        if self.mode(channel) != mode:
            self.records.pause(channel, mode)
            told = wire.resumed(channel) if mode is None else wire.paused(channel, mode)
            self._announce(channel, told)
            self._pay_owed()
            self._hear_refused()
        return self._in_thread(self.records.save)

    async def flatten(self, channel: str) -> int:
        """
        Close every position, remove every order, and take only what reduces positions from then
        on; return how many were closed.

        Raises:
            WireError: `channel`, or `server` when the disk failed.
            JournalError: it is flat, but would not be paused after a restart.
        """
        kept = self.pause(channel, "close_only")
        done: Deferred[int] = Deferred()
        self._take(Pending(Entry(channel, "", FLAT, self._now()), OWNER, done))
        try:
            closed = await done
        except WireError:
            await kept
            raise
        await kept
        return closed

    def _pay_owed(self) -> None:
        """Judge the reductions first that a channel refused while it was frozen."""
        now, due = self._now(), self.records.due()
        pendings = [Pending(replace(each, when=now), OWNER, owed=each) for each in due]
        for pending in pendings:
            self._note(pending)
        self._writer.take_first(pendings)

    def _announce(self, channel: str, frame: bytes) -> None:
        """Tell those who follow a channel, or have published there."""
        self.fanout.announce(channel, frame)
        for session in list(self.sessions):
            session.announce(channel, frame)

    # What the writer asks and tells

    def judge(self, batch: list[Pending]) -> PublishPolicy:
        """Return who judges a commit: it knows who publishes where at this moment."""
        when, rooms, holders = self._clock.seconds(), {}, {}
        for name in {pending.draft.channel for pending in batch}:
            rooms[name] = Room()
            if name in self._book:
                spare = self._spare(name, [p.draft for p in batch if p.draft.channel == name])
                rooms[name] = Room(self._book[name].net, self._book[name].keys, spare)
            holder = self._ownership.holder(name)
            if holder is not None:
                holders[name] = holder
        policy = PublishPolicy(self._limits, holders, rooms, self.records)
        for pending in batch:
            draft, publisher = pending.draft, pending.publisher
            taken = self._ownership.is_taken(publisher, Key(draft.channel, draft.symbol), when)
            policy.enter(draft, Claim(publisher, pending.take, pending.owed, taken))
        self._policy = policy
        return policy

    def _spare(self, name: str, drafts: list[Entry]) -> frozenset[str]:
        """Name the symbols that are flat for longer than they are repeated, if there is need."""
        channel = self._book[name]
        fresh = {d.symbol for d in drafts if d.volume and d.symbol not in channel.net}
        over = len(channel.net) + len(fresh) - self.settings.max_symbols
        if not fresh or over <= 0 or self._full.get(name, 0.0) > self._clock.seconds():
            return frozenset()
        return channel.flat(self._unrepeated())

    def _unrepeated(self) -> int:
        """Return the moment before which what went flat is repeated no more."""
        return self._now.moment() - int(self.settings.repeat_closed * 1000)

    def committed(self) -> None:
        """Keep what must outlive the daemon of a commit that is stored; in the thread."""
        if self._policy.finish() or self.records.trouble:
            self._keep_records()

    def _keep_records(self) -> None:
        """Write what has changed; what the disk does not keep is tried again, in the thread."""
        known = self.records.trouble
        try:
            self.records.save()
        except JournalError as error:
            if str(error) != known:
                self.log.error("{error} It is known until the stop.", error=str(error))

    def known(self) -> dict[str, int]:
        """Return the last entry of each channel that was told."""
        return {name: channel.seq for name, channel in self._book.channels().items()}

    def is_named(self, channel: str) -> bool:
        """Say whether the epoch of a channel is known."""
        return channel in self._book and bool(self._book[channel].epoch)

    def stored(self, batch: list[Pending], result: Stored) -> list[Pending]:
        """Answer publishers, then tell followers; return what shall be tried again."""
        for name, epoch in result.epochs.items():
            self._book.channel(name).epoch = epoch
        self._complain()
        until = self._clock.seconds() + FULL
        self._full.update(dict.fromkeys(self._policy.full, until))
        self._policy.full.clear()
        self._answering = True
        pairs = list(zip(batch, result.outcomes, strict=True))
        again = [pending for pending, outcome in pairs if not self._answer(pending, outcome)]
        self._tell(result.entries)
        self._answering = False
        for pending, outcome in pairs:
            if isinstance(outcome, Several) and not pending.draft.symbol:
                self._announce(pending.draft.channel, wire.flattened(pending.draft.channel))
        self._tell_turns()
        self._tell_channels(result.epochs)
        self._pay_owed()
        if self._ownership.moved:  # to look at all of them would cost each signal their number
            self._hear_refused()
        self._keep_holders()
        if self._lapse is None:  # one that is gone by now may hold its channel
            self._wait_for_lapse()
        return again

    def _tell_turns(self) -> None:
        """Say who has come and gone; what they set is told before."""
        if self._answering:
            return
        turns, self._ownership.turns = self._ownership.turns, []
        for channel, up, since in turns:
            self.fanout.announce(channel, wire.status(channel, up, since))

    def _tell_channels(self, names: Collection[str]) -> None:
        """Tell those who were refused a channel that it is there now."""
        for session in list(self.sessions) if names else ():
            session.offer(names)

    def forgotten(self, pending: Pending) -> None:
        """Take note that a draft is dealt with."""
        key = Key(pending.draft.channel, pending.draft.symbol)
        self._symbols[key] -= 1
        if not self._symbols[key]:
            del self._symbols[key]

    def _answer(self, pending: Pending, outcome: Outcome | None) -> bool:
        """Tell a publisher what became of a draft; return whether it is dealt with."""
        if outcome is None and pending.done is None:
            return False
        self.forgotten(pending)
        if outcome is None:
            outcome = WireError("server", f"It is not stored: {self._writer.trouble}")
        if isinstance(outcome, Closed):
            outcome.why.closed = True
            outcome = outcome.why
        if isinstance(outcome, WireError):
            if outcome.code == "server":
                outcome = WireError("server", self._public(str(outcome)))
            self._refuse(pending, outcome)
        else:
            self._accept(pending, outcome)
        return True

    def _refuse(self, pending: Pending, error: WireError) -> None:
        if pending.done is not None:
            pending.done.errback(error)
            return
        key = Key(pending.draft.channel, pending.draft.symbol)
        if isinstance(error, PolicyError):
            volume = None if key in self._symbols else pending.draft.volume
            self._ownership.owe(pending.publisher, key, volume, error.until)
        pending.publisher.refuse(error)

    def _accept(self, pending: Pending, outcome: Entry | Several | Repeated | Unchanged) -> None:
        draft, publisher = pending.draft, pending.publisher
        if pending.done is not None:
            pending.done.callback(_result(draft, outcome))
        if publisher is OWNER:
            return
        if not draft.id:
            self._ownership.claim(publisher, Key(draft.channel, draft.symbol))
        elif pending.take != "0" and isinstance(outcome, (Entry, Several)):
            self._ownership.take(publisher, draft.channel)

    def _tell(self, entries: Iterable[Entry]) -> None:
        channels: dict[str, list[Entry]] = {}
        for entry in entries:
            channels.setdefault(entry.channel, []).append(entry)
        when = self._now.moment()
        for name, found in channels.items():
            channel = self._book.channel(name)
            applied = [self._apply(channel, entry, when) for entry in found]
            changes = [change for change in applied if change is not None]
            self.replay_caches.told(name, found)
            # Paced followers would be told the last one of each symbol anyhow.
            told = latest(changes) if self.settings.pace else changes
            self.fanout.tell(name, Batch(found), told)

    def _apply(self, channel: Channel, entry: Entry, when: int) -> Change | None:
        """Set a position; a symbol that was long flat makes room for one that is new."""
        most = self.settings.max_symbols
        if entry.volume and entry.symbol not in channel.net and len(channel.net) >= most:
            channel.evict(self._unrepeated())
        return channel.apply(entry, when, len(channel.net) < most)

    def _expire(self) -> "Deferred[None]":
        age = int(self.settings.remember * 1000)
        before = self._now.moment() - age
        old = self._book.flat_before(before) if self._now.steady else None
        if not old:
            return succeed(None)
        done = self._ask(self._journal.expire, self._now() - age, old)
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

    def epoch(self, name: str) -> str:
        """Return what names the journal of a channel; zeros where that is damaged."""
        return self._book.channel(name).epoch or UNKNOWN

    def read(self, channel: str, after: int, limit: int) -> "Deferred[list[Entry]]":
        """Fire with entries of a channel from `after` + 1 on; fails with `JournalError`."""
        return self._ask(self._journal.read, channel, after, limit, later=True)

    def _look(self) -> "Deferred[None]":
        if self.records.trouble:
            self._in_thread(self._keep_records)
        looked: Deferred[Any] = self._in_thread(self._journal.check_files)
        return looked.addCallbacks(self._files_found, self._files_failed)

    def _files_found(self, _: None) -> None:
        self._note_files(None)
        self._writer.probe()

    def _files_failed(self, failure: Failure) -> None:
        self._note_files(failure.getErrorMessage())
        if self._journal.unsettled and isinstance(failure.value, Exception):
            self._writer.repair(failure.value)

    def _note_files(self, trouble: str | None) -> None:
        if trouble is not None and trouble != self._unsound:
            self.log.error("{trouble}", trouble=trouble)
        self._unsound = trouble
        if self._journal.trouble and self._journal.trouble != self._heads:
            self.log.error(
                "{trouble} Nothing is lost, but the loss of the journal's end would not be seen.",
                trouble=self._journal.trouble,
            )
        self._heads = self._journal.trouble

    def _ask(
        self, function: Callable[..., Any], *args: object, later: bool = False
    ) -> "Deferred[Any]":
        """Call the journal, for anything but a commit; what fails there is repaired at once."""
        thread = self._later if later and self._later is not None else self._in_thread
        done: Deferred[Any] = thread(function, *args)
        return done.addCallbacks(self._worked, self._failed)

    def _worked(self, result: Any) -> Any:
        self._trouble = None
        return result

    def _failed(self, failure: Failure) -> Failure:
        self._complain()
        error = failure.value
        if self._journal.unsettled and isinstance(error, Exception):
            self._writer.repair(error)
        elif isinstance(error, JournalError) and not isinstance(error, PrunedError):
            known = (self._trouble, *self._journal.damaged.values())
            if str(error) not in known:
                self.log.error("{trouble}", trouble=str(error))
                self._trouble = str(error)
        return failure

    def hash_at(self, channel: str, seq: int) -> "Deferred[str]":
        """Fire with the `h` of an entry; fails with `JournalError`."""
        return self._ask(self._journal.hash_at, channel, seq, later=True)

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
        damaged = channel in self._journal.damaged
        if not damaged:
            self.channel(channel)
        if damaged or new_epoch:
            begin = self._journal.accept if damaged else self._journal.begin_epoch
            self._begin(channel, await self._ask(begin, channel))
        else:
            await self.histories.accept(channel)
        return len(self._book[channel].held())

    def _begin(self, channel: str, state: State) -> None:
        """Show everybody a channel that has a new epoch."""
        self._complain()
        self._book.load(channel, state, self._now.moment(), self._now.estimate())
        self.replay_caches.forget(channel)
        self.histories.forget(channel)
        self.records.repeat(channel)
        self._pay_owed()
        for session in list(self.sessions):
            session.renew(channel)
        self._tell_channels([channel])

    def provider(self, channel: str) -> tuple[bool, int]:
        """Say whether a channel has a publisher, and since when, in milliseconds."""
        return self._ownership.status(channel)

    def health(self) -> dict[str, object]:
        """Report for `/healthz` and `mtnet status`; the former leaves the folders out."""
        when = self._clock.seconds()
        broken = self._journal.damaged
        damaged = [*sorted(broken), *self._scrubber.findings]
        full = sorted(name for name, until in self._full.items() if until > when)
        diverged = self.histories.sentences()
        causes = [
            *filter(
                None,
                (
                    self._unsound,
                    self._writer.trouble,
                    self._trouble,
                    self._journal.trouble,
                    self.records.trouble,
                ),
            ),
            *(broken[name] for name in sorted(broken)),
            *self._scrubber.findings,
            *diverged,
            *(
                f"{name} has {self.settings.max_symbols} symbols and was sent one more"
                for name in full
            ),
        ]
        return {
            "healthy": not causes,
            "trouble": causes[0] if causes else None,
            "damaged": damaged,
            "diverged": diverged,
            "full": full,
            "waiting": self._writer.waiting,
            "publishers": self._ownership.live,
            "followers": self.fanout.count(),
        }

    def status(self) -> dict[str, object]:
        """Report that, and what each channel holds."""
        names = {*self._book.channels(), *self.fanout.channels()}
        channels = {name: self._channel_status(name) for name in sorted(names)}
        sessions = [session.report() for session in self.sessions]
        return {**self.health(), "loop": LOOP, "channels": channels, "sessions": sessions}

    def _channel_status(self, name: str) -> dict[str, object]:
        channel, (up, since) = self._book.channel(name), self._ownership.status(name)
        return {
            "epoch": channel.epoch,
            "seq": channel.seq,
            "publishers": self._ownership.names(name),
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
