"""
Publish policy: accepts or refuses each draft of a commit, in order of arrival.

Pure. A policy judges one commit, in the thread that writes it. Everything that it knows of
publishers and channels is handed to it by value before the commit begins; what the drafts before
a draft change, it counts itself.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from mtnet.errors import PolicyError
from mtnet.services.signals.book import Book, Channel
from mtnet.services.signals.journal.hash_chain import Held
from mtnet.services.signals.model import FLAT, Counted, Entry, State, WholeState
from mtnet.services.signals.ownership.ownership import Ownership
from mtnet.services.signals.ownership.policy_store import (
    PolicyStore,
    Position,
    position_of,
)
from mtnet.services.signals.ownership.publishers import Publisher, PublisherId, SymbolKey
from mtnet.services.signals.ownership.transitions import (
    CommitPolicy,
    Transition,
    Verdict,
    reduction_of,
    transition,
)
from mtnet.services.signals.settings import RiskLimits, SignalSettings
from mtnet.services.signals.values import PauseMode, Take
from mtnet.services.signals.views.views import Views

OPERATOR = 0
"""The publisher number of the operator, whom no rule stops; publishers count from 1."""
FROZEN = "The channel {channel} is frozen by its owner and takes nothing, not even a closing"
TAKE_1 = "take=1 takes it over"
TAKE = '"take": true takes it over'
CLOSE_ONLY = "The channel {channel} is paused by its owner (close only) and opens nothing"
FULL = 60.0
"""Seconds for which a full channel is reported after a symbol was refused, and after which
room is looked for again."""
OWNER = Publisher("the operator", OPERATOR)
"""The publisher of flattening, and of reductions that a frozen channel refused before."""


class Submission(Struct, eq=False):
    """
    A draft that its publisher hands in.

    Attributes:
        take: whether it takes its channel over; None = it does.
        refused_reduction: the draft is this reduction, which a frozen channel refused; it is
            stored if it still is one, and no later signal of its position was judged.
    """

    draft: Entry
    publisher: Publisher
    take: Take | None = None
    refused_reduction: Entry | None = None


class Claim(Struct, frozen=True):
    """
    A publisher and its rights to a channel when the commit began: of a draft, or the holder.

    Attributes:
        number, who: the publisher's.
        take, refused_reduction: as in `Submission`.
        taken: the symbol is a newer classic publisher's.
        fenced: a newer publisher of dialect 2 took the channel from it.
        known: something is known of the symbol.
        gone: the publisher has left, and may come back; a holder by HTTP counts as there.
        part: the draft is a difference that a whole state has led to, which was admitted.
    """

    number: int
    who: PublisherId
    take: Take | None = None
    refused_reduction: Entry | None = None
    taken: bool = False
    fenced: bool = False
    known: bool = False
    gone: bool = False
    part: bool = False


class Room(Struct):
    """
    Symbols and positions of a channel, counted against its limits.

    Attributes:
        symbols: how many something is known of.
        positions: how many positions and orders stand.
        spare: symbols that may be forgotten for fresh ones.
        fresh: symbols that this commit makes known.
    """

    symbols: int = 0
    positions: int = 0
    spare: frozenset[str] = frozenset()
    fresh: set[str] = set()


class PublishPolicy(CommitPolicy):
    """
    Publish policy of one commit: pauses, holders, fences, risk limits and room.

    Args:
        drafts: those of the commit.
        claims: by the `id` of each draft.
        holders: by channel, who holds it.
        rooms: what each channel of the commit holds.

    Attributes:
        full: channels in which something was refused for want of room.
    """

    def __init__(
        self,
        drafts: Sequence[Entry],
        settings: SignalSettings,
        claims: dict[int, Claim],
        holders: Mapping[str, Claim],
        rooms: Mapping[str, Room],
        store: PolicyStore,
    ) -> None:
        self.drafts, self._settings, self._claims, self._store = drafts, settings, claims, store
        self._paused: Mapping[str, PauseMode] = store.paused
        self._parts: list[Entry] = []
        self._before = holders, rooms
        self._reductions: dict[Position, Entry | None] = {}
        self._fences: list[tuple[str, PublisherId, bool]] = []
        self._counted: dict[str, Counted] = {}
        self.full: set[str] = set()

    def begin(self) -> None:
        holders, rooms = self._before
        self._holders = dict(holders)
        self._rooms = {}
        for name, room in rooms.items():
            self._rooms[name] = Room(room.symbols, room.positions, room.spare)
        self._replaced: set[tuple[str, int]] = set()
        self._owners: dict[tuple[str, str], int] = {}
        self._reductions, self._fences, self.full = {}, [], set()
        self._counted = {}

    def finish(self) -> None:
        """Keep, once, what must outlive the daemon of this commit, which is stored; blocks."""
        store = self._store
        if not (self._fences or self._reductions or self._counted or store.trouble):
            return
        fences, reductions, counted = self._fences, self._reductions, self._counted
        self._fences, self._reductions, self._counted = [], {}, {}
        for channel, who, fenced in fences:
            (store.fence if fenced else store.unfence)(channel, who)
        changes = {k: d for k, d in reductions.items() if d or k in store.refused_reductions}
        if changes:
            store.keep_refused(changes)
        store.count(counted)
        if changes or fences or store.trouble:
            store.keep()

    def judge(self, draft: Entry, held: Mapping[str, Held]) -> Verdict | None:
        claim = self._claims[id(draft)]
        if claim.number == OPERATOR:
            return self._judge_own(draft, held, claim)
        classic = not (draft.id or claim.part)
        if classic:
            self._admit_classic(draft, claim)
        elif not claim.part and (claim.fenced or claim.take == "free" or self._replaced):
            self._admit_publish(draft.channel, claim)
        change = transition(draft, held, classic and not draft.ticket)
        mode = self._paused.get(draft.channel)
        if mode == "frozen":
            self._refuse_frozen(draft, change)
        elif self._reductions or self._store.refused_reductions:
            self._reductions[position_of(draft)] = None
        remember = bool(draft.volume or held) or self._has_room(draft, claim)
        if change.effect == "nothing" or (classic and not (remember or draft.ticket)):
            self._owners[draft.channel, draft.symbol] = claim.number
            return None
        if change.effect in ("opening", "reversal"):
            refused = self._refuse_opening(draft, change, claim, mode)
            if refused is not None:
                return self._close_only(draft, change, refused)
        self._count(draft, change, claim)
        if classic:
            self._owners[draft.channel, draft.symbol] = claim.number
        elif claim.take != "0" and not claim.part:
            self._take(draft.channel, claim)
        return Verdict(change, remember)

    def flattened(self, draft: Entry, count: int) -> None:
        self._rooms[draft.channel].positions -= count

    # Whole states

    def admit(self, whole: WholeState) -> None:
        claim = self._claims[id(whole)]
        self._admit_publish(whole.channel, claim)
        last = self._counted.get(whole.channel) or self._store.counted.get(whole.channel)
        if whole.n is None or last is None or last.who != claim.who:
            return
        if (whole.n, whole.digest) != (last.n, last.digest) and whole.n <= last.n:
            raise PolicyError(
                "id",
                f"n rises with each whole state of a publisher; that of {whole.channel} was "
                f"{last.n}, and this one is {whole.n}",
            )

    def add_part(self, whole: WholeState, draft: Entry, known: bool) -> None:
        self._claims[id(draft)] = replace(self._claims[id(whole)], known=known, part=True)
        self._parts.append(draft)  # an id is that of an object that lives

    def confirm(self, whole: WholeState, draft: Entry) -> None:
        if self._reductions or self._store.refused_reductions:
            self._reductions[position_of(draft)] = None

    def replaced(self, whole: WholeState, accepted: bool) -> Counted | None:
        claim = self._claims[id(whole)]
        if accepted and claim.take != "0":
            self._take(whole.channel, claim)
        if whole.n is None:
            return None
        counted = self._counted[whole.channel] = Counted(claim.who, whole.n, whole.digest)
        return counted

    def _judge_own(self, draft: Entry, held: Mapping[str, Held], claim: Claim) -> Verdict | None:
        # What closes all closes orders too.
        classic = (
            not (draft.id or draft.ticket)
            and claim.refused_reduction is not None
            and bool(draft.volume)
        )
        change = transition(draft, held, classic)
        if claim.refused_reduction is not None:
            self._judge_reduction(draft, claim.refused_reduction, change)
        remember = bool(draft.volume or held) or self._has_room(draft, claim)
        if change.effect == "nothing" or (classic and not remember):
            return None
        self._count(draft, change, claim)
        return Verdict(change, remember)

    def _judge_reduction(self, draft: Entry, reduction: Entry, change: Transition) -> None:
        position = position_of(draft)
        if (
            self._reductions.get(position, self._store.refused_reductions.get(position))
            is not reduction
        ):
            raise PolicyError("denied", f"A later signal of {draft.symbol} has come")
        if self._paused.get(draft.channel) == "frozen":  # again; it is judged when that ends
            raise PolicyError("denied", FROZEN.format(channel=draft.channel))
        self._reductions[position] = None
        if change.effect != "reduction" or reduction_of(draft, change) is None:
            raise PolicyError("denied", f"{draft.symbol} needs no closing any more")

    def _refuse_frozen(self, draft: Entry, change: Transition) -> None:
        self._reductions[position_of(draft)] = reduction_of(draft, change)
        if change.effect != "nothing":
            raise PolicyError("denied", FROZEN.format(channel=draft.channel), until="frozen")

    def _close_only(self, draft: Entry, change: Transition, refused: PolicyError) -> Verdict:
        """Store the closing of a reversal whose opening is refused."""
        if change.effect != "reversal":
            raise refused
        self._rooms[draft.channel].positions -= len(change.tickets) or 1
        return Verdict(change, refused=refused)

    def _count(self, draft: Entry, change: Transition, claim: Claim) -> None:
        """Update the counts for a draft that will be stored."""
        room = self._rooms[draft.channel]
        room.positions += bool(draft.volume) - (not change.new_key) - len(change.tickets)
        if not claim.known and self._has_room(draft, claim):
            room.fresh.add(draft.symbol)
        if room.spare:
            room.spare -= {draft.symbol}

    # Rights

    def _admit_classic(self, draft: Entry, claim: Claim) -> None:
        if draft.channel in self._holders:
            raise PolicyError(
                "fenced",
                f"A publisher of dialect 2 sets {draft.channel}; classic frames are not heard "
                "until it leaves",
                until="holder",
            )
        newest = self._owners.get((draft.channel, draft.symbol), 0)
        if claim.taken or newest > claim.number:
            raise PolicyError(
                "fenced",
                f"A newer publisher sets {draft.symbol} in {draft.channel}; this one is not "
                "heard on it until that one leaves",
                until="owner",
            )

    def _admit_publish(self, channel: str, claim: Claim) -> None:
        if claim.fenced or (channel, claim.number) in self._replaced:
            way = TAKE if claim.who.http else "send HELLO again to take it over"
            raise _fenced(channel, "A newer publisher sets {}; " + way)
        if claim.take != "free":
            return
        holder, way = self._holders.get(channel), TAKE if claim.who.http else TAKE_1
        if self._is_fenced(channel, claim.who):
            raise _fenced(channel, "Another publisher took {} over; " + way)
        if holder is None or holder.gone or holder.who == claim.who:
            return
        if not claim.who.succeeds(holder.who):
            self._fences.append((channel, claim.who, True))
            raise _fenced(channel, "Another publisher sets {}; " + way)

    def _is_fenced(self, channel: str, who: PublisherId) -> bool:
        now = [fenced for name, each, fenced in self._fences if (name, each) == (channel, who)]
        return now[-1] if now else who in self._store.fenced.get(channel, ())

    def _take(self, channel: str, claim: Claim) -> None:
        before = self._holders.get(channel)
        if before is not None and before.number != claim.number:
            self._replaced.add((channel, before.number))
            if before.who != claim.who:
                self._fences.append((channel, before.who, True))
        if (self._fences or self._store.fenced) and self._is_fenced(channel, claim.who):
            self._fences.append((channel, claim.who, False))
        if before is None or before.number != claim.number:
            self._holders[channel] = claim

    # Limits

    def _has_room(self, draft: Entry, claim: Claim) -> bool:
        """Return whether a symbol may be remembered."""
        room = self._rooms[draft.channel]
        if claim.known or draft.symbol in room.fresh:
            return True
        return room.symbols - len(room.spare) + len(room.fresh) < self._settings.max_symbols

    def _refuse_opening(
        self, draft: Entry, change: Transition, claim: Claim, mode: PauseMode | None
    ) -> PolicyError | None:
        """Return why an opening, or an increase, is refused; None = it is not."""
        if mode is not None:
            text = CLOSE_ONLY.format(channel=draft.channel)
            return PolicyError("denied", text, until="close_only")
        risk = self._settings.channels.get(draft.channel)
        if risk is not None:
            start = change.before if change.effect == "opening" else FLAT
            refused = exceeded(risk, draft, start)
            if refused is not None:
                return refused
        if not (claim.known or self._has_room(draft, claim)):
            most = f"{self._settings.max_symbols} symbols (signals.max_symbols)"
            return self._refuse_full(draft.channel, most, draft.symbol)
        limit, more = self._settings.max_positions, change.new_key > len(change.tickets)
        if more and self._rooms[draft.channel].positions >= limit:
            most = f"{limit} positions and orders (signals.max_positions)"
            return self._refuse_full(draft.channel, most, draft.ticket)
        return None

    def _refuse_full(self, channel: str, most: str, name: str) -> PolicyError:
        self.full.add(channel)
        text = f"The channel {channel} has its {most}, and this is one more"
        return PolicyError("field", text, name.encode())


class PublishRules:
    """
    Factory of publish policies: what is known of publishers and channels, by value.

    Args:
        book: what is stored.
        now: milliseconds since the Unix epoch, UTC.
        journal: the file of the journal, beside which the policy store has its files.
        unrepeated: returns the moment before which what went flat is repeated no more.

    Attributes:
        ownership: who holds channels and symbols.
        store: pauses, fences and refused reductions.
        views: the channels that are derived from others.
    """

    def __init__(
        self,
        settings: SignalSettings,
        book: Book,
        now: Callable[[], int],
        journal: Path,
        unrepeated: Callable[[], float],
        views: Views,
    ) -> None:
        self.ownership = Ownership(now)
        self.store = PolicyStore(journal.with_suffix(".policy"), journal.with_suffix(".paused"))
        self._settings, self.views = settings, views
        self._book, self._unrepeated = book, unrepeated
        self._full: dict[str, float] = {}

    def open(self, states: Mapping[str, State], when: float) -> None:
        """
        Read who holds what, and what is paused; blocks.

        Args:
            states: what is stored of each channel.
            when: seconds of the clock.

        Raises:
            JournalError: a file cannot be read.
        """
        self.store.open()
        self.store.count({name: each.counted for name, each in states.items() if each.counted})
        self.ownership.restore(self.store.held, when)

    def pause_mode(self, channel: str) -> PauseMode | None:
        """Return how a channel or a view is paused; None = it is not."""
        if channel in self.views.known:
            return self.views.pause_mode(channel)
        return self.store.paused.get(channel)

    def presence_of(self, channel: str) -> tuple[bool, int]:
        """
        Say whether a channel has a publisher, and since when, in milliseconds; a view has one when
        all its sources have.
        """
        status, view = self.ownership.presence.status, self.views.known.get(channel)
        if view is None:
            return status(channel)
        found = [status(source) for source in view.settings.sources]
        up = all(each for each, _ in found)
        return up, max(since for each, since in found if each == up)

    def policy(self, batch: Sequence[Submission], when: float) -> PublishPolicy:
        """Return the policy of a commit: it knows who publishes where at this moment."""
        drafts: list[Entry] = []
        claims: dict[int, Claim] = {}
        holders: dict[str, Claim] = {}
        rooms: dict[str, Room] = {}
        ownership = self.ownership
        for pending in batch:
            draft, publisher, known = pending.draft, pending.publisher, False
            name = draft.channel
            channel = self._book.get(name)
            if name not in rooms:
                if channel is None:
                    rooms[name] = Room()
                else:
                    room = rooms[name] = Room(len(channel.net), channel.keys)
                    if room.symbols + len(batch) > self._settings.max_symbols:
                        room.spare = self._spare(channel, batch, when)
                holder = ownership.holders.get(name)
                if holder is not None:
                    gone = holder.gone and not holder.who.http
                    holders[name] = Claim(holder.number, holder.who, gone=gone)
            if channel is not None:
                known = draft.symbol in channel.net
                if isinstance(draft, WholeState) and not rooms[name].spare:
                    rooms[name].spare = self._spare(channel, batch, when)
            drafts.append(draft)
            claims[id(draft)] = Claim(
                publisher.number,
                publisher.who,
                pending.take,
                pending.refused_reduction,
                not draft.id and ownership.is_taken(publisher, SymbolKey(name, draft.symbol), when),
                name in publisher.fenced,
                known,
                publisher.gone,
            )
        policy = PublishPolicy(drafts, self._settings, claims, holders, rooms, self.store)
        if self.views.known:
            policy.terms = self.views.terms(each for draft in drafts for each in _parts(draft))
        return policy

    def _spare(self, channel: Channel, batch: Sequence[Submission], when: float) -> frozenset[str]:
        """Name the symbols that are flat for longer than they are repeated, if there is need."""
        own = [each.draft for each in batch if each.draft.channel == channel.name]
        drafts = [each for draft in own for each in _parts(draft)]
        fresh = {draft.symbol for draft in drafts if draft.volume} - channel.net.keys()
        over = len(channel.net) + len(fresh) - self._settings.max_symbols
        if not fresh or over <= 0 or self._full.get(channel.name, 0.0) > when:
            return frozenset()
        return channel.flat(self._unrepeated())

    def says_nothing_new(
        self, publisher: Publisher, key: SymbolKey, volume: Decimal, when: float
    ) -> bool:
        """Return whether a classic frame repeats what is stored, so that no commit is needed."""
        channel = self._book.get(key.channel)
        position = None if channel is None else channel.net.get(key.symbol)
        return (
            position is not None
            and position.volume == volume
            and key.channel not in self.store.paused
            and key.channel not in self.ownership.holders
            and not self.ownership.is_taken(publisher, key, when)
        )

    def note_full(self, channels: Iterable[str], when: float) -> None:
        """Note which channels had no room in a commit."""
        self._full.update(dict.fromkeys(channels, when + FULL))

    def full(self, when: float) -> list[str]:
        """Name the channels that had no room within the last minute."""
        return sorted(name for name, until in self._full.items() if until > when)


def _parts(draft: Entry) -> Sequence[Entry]:
    """Return a draft and, of a whole state, the positions that it may set."""
    return (draft, *draft.positions) if isinstance(draft, WholeState) else (draft,)


def _fenced(channel: str, text: str) -> PolicyError:
    return PolicyError("fenced", text.format(channel))


def exceeded(risk: RiskLimits, draft: Entry, before: Decimal) -> PolicyError | None:
    """Return which risk limit an opening, or an increase from `before` lots, exceeds."""
    name, change = draft.channel, abs(draft.volume - before)
    if risk.symbols and draft.symbol not in risk.symbols:
        return PolicyError(
            "field", f"{draft.symbol} is none of the symbols of {name}: {', '.join(risk.symbols)}"
        )
    if risk.max_volume is not None and abs(draft.volume) > risk.max_volume:
        return PolicyError(
            "field", f"{draft.volume:f} lots are more than the {risk.max_volume:f} of {name}"
        )
    if risk.max_change is not None and change > risk.max_change:
        return PolicyError(
            "field",
            f"A change of {change:f} lots, from {before:f} to {draft.volume:f}, is more "
            f"than the {risk.max_change:f} of {name}",
        )
    return None
