"""
Who may set what in a channel: judged draft by draft, in the order in which they came.

Pure. A policy judges one commit, in the thread that writes it: it knows what each draft would
change, who held the channel before, and what the drafts before it in the same commit changed.
"""

from collections.abc import Mapping
from decimal import Decimal

from msgspec import Struct

from mtnet.errors import PolicyError
from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.policy_store import PolicyStore, Position, position_of
from mtnet.services.signals.publishers import Key, Publisher, PublisherId
from mtnet.services.signals.settings import RiskLimits
from mtnet.services.signals.transitions import CommitPolicy, Transition
from mtnet.services.signals.values import PauseMode, Take

OPERATOR = 0
"""The number of whoever runs the daemon, whom nothing stops; publishers count from 1."""
FROZEN = "The channel {channel} is frozen by its owner and takes nothing, not even a closing"
CLOSE_ONLY = "The channel {channel} is paused by its owner (close only) and opens nothing"


class Claim(Struct, frozen=True):
    """
    Whose a draft is.

    Attributes:
        take: whether it takes the channel over; None = it does.
        owed: the reduction that a frozen channel refused, and that this is; it is stored if it
            still is one, and no later signal of its position was judged.
        taken: the symbol is a newer classic publisher's.
    """

    publisher: Publisher
    take: Take | None = None
    owed: Entry | None = None
    taken: bool = False


class Room(Struct):
    """
    What a channel holds.

    Attributes:
        symbols: of which something is known, by name.
        positions: how many positions and orders stand.
        spare: symbols that may be forgotten for fresh ones.
        fresh: symbols that this commit makes known.
    """

    symbols: Mapping[str, object] = {}
    positions: int = 0
    spare: frozenset[str] = frozenset()
    fresh: set[str] = set()


class Limits(Struct, frozen=True):
    """
    How much channels take.

    Attributes:
        symbols, positions: of each channel at most.
        rails: `[signals.channels]`.
    """

    symbols: int
    positions: int
    rails: Mapping[str, RiskLimits]


class PublishPolicy(CommitPolicy):
    """
    Args:
        holders: by channel, the publisher of dialect 2 that holds it.
        rooms: what each channel of the commit holds.

    Attributes:
        full: channels in which something was refused for want of room.
    """

    def __init__(
        self,
        limits: Limits,
        holders: Mapping[str, Publisher],
        rooms: Mapping[str, Room],
        records: PolicyStore,
    ) -> None:
        self._limits, self._records = limits, records
        self._paused: Mapping[str, PauseMode] = records.paused
        self._before = holders, rooms
        self._claims: dict[int, Claim] = {}
        self.begin()

    def begin(self) -> None:
        holders, rooms = self._before
        self._holders = dict(holders)
        self._rooms = {
            name: Room(each.symbols, each.positions, each.spare) for name, each in rooms.items()
        }
        self._replaced: set[tuple[str, int]] = set()
        self._owners: dict[Key, int] = {}
        self._owed: dict[Position, Entry | None] = {}
        self._fences: list[tuple[str, PublisherId, bool]] = []
        self.full: set[str] = set()

    def enter(self, draft: Entry, claim: Claim) -> None:
        """Say whose a draft is."""
        self._claims[id(draft)] = claim

    def finish(self) -> bool:
        """
        Remember, once, for longer than this commit what it was about; return whether that is
        anything.
        """
        fences, self._fences = self._fences, []
        owed, self._owed = self._owed, {}
        for channel, who, fenced in fences:
            (self._records.fence if fenced else self._records.unfence)(channel, who)
        changes = {k: d for k, d in owed.items() if d or k in self._records.owed}
        if changes:
            self._records.owe(changes)
        return bool(changes or fences)

    def admit(self, draft: Entry) -> None:
        claim = self._claims[id(draft)]
        if claim.publisher.number == OPERATOR:
            return
        if draft.id:
            self._admit_publish(draft.channel, claim)
        else:
            self._admit_classic(draft, claim)

    def is_classic(self, draft: Entry) -> bool:
        claim = self._claims[id(draft)]
        owed = claim.owed is not None and bool(draft.volume)  # what closes all closes orders too
        return not (draft.id or draft.ticket) and (owed or claim.publisher.number != OPERATOR)

    def weigh(self, draft: Entry, change: Transition) -> None:
        claim = self._claims[id(draft)]
        frozen = self._paused.get(draft.channel) == "frozen"
        if claim.owed is not None:
            self._weigh_owed(draft, claim.owed, change, frozen)
        if claim.publisher.number == OPERATOR:
            return
        self._owed[position_of(draft)] = _reduction(draft, change) if frozen else None
        if change.effect == "nothing":
            self._owners[Key(draft.channel, draft.symbol)] = claim.publisher.number
        elif frozen:
            raise PolicyError("denied", FROZEN.format(channel=draft.channel), until="frozen")

    def _weigh_owed(self, draft: Entry, owed: Entry, change: Transition, frozen: bool) -> None:
        position = position_of(draft)
        if self._owed.get(position, self._records.owed.get(position)) is not owed:
            raise PolicyError("denied", f"A later signal of {draft.symbol} has come")
        if frozen:  # again; it is judged when that ends
            raise PolicyError("denied", FROZEN.format(channel=draft.channel))
        self._owed[position] = None
        if change.effect != "reduction" or _reduction(draft, change) is None:
            raise PolicyError("denied", f"{draft.symbol} needs no closing any more")

    def open(self, draft: Entry, change: Transition) -> None:
        claim = self._claims[id(draft)]
        if claim.publisher.number == OPERATOR:
            return
        if draft.channel in self._paused:
            text = CLOSE_ONLY.format(channel=draft.channel)
            raise PolicyError("denied", text, until="close_only")
        rails = self._limits.rails.get(draft.channel)
        if rails is not None:
            check_rails(rails, draft, change.start)
        self._check_room(draft, change)

    def has_room(self, draft: Entry) -> bool:
        room = self._rooms[draft.channel]
        if draft.symbol in room.symbols or draft.symbol in room.fresh:
            return True
        kept = len(room.symbols) - len(room.spare)
        return kept + len(room.fresh) < self._limits.symbols

    def stored(self, draft: Entry, change: Transition) -> None:
        room = self._rooms[draft.channel]
        room.positions += change.positions(draft)
        if draft.symbol not in room.symbols and self.has_room(draft):
            room.fresh.add(draft.symbol)
        room.spare -= {draft.symbol}
        claim = self._claims[id(draft)]
        if claim.publisher.number == OPERATOR:
            return
        if not draft.id:
            self._owners[Key(draft.channel, draft.symbol)] = claim.publisher.number
        elif claim.take != "0":
            self._take(draft.channel, claim)

    def closed(self, draft: Entry, count: int) -> None:
        self._rooms[draft.channel].positions -= count

    # Who

    def _admit_classic(self, draft: Entry, claim: Claim) -> None:
        if self._holders.get(draft.channel) is not None:
            raise PolicyError(
                "fenced",
                f"A publisher of dialect 2 sets {draft.channel}; classic frames are not heard "
                "until it leaves",
                until="holder",
            )
        newest = self._owners.get(Key(draft.channel, draft.symbol), 0)
        if claim.taken or newest > claim.publisher.number:
            raise PolicyError(
                "fenced",
                f"A newer publisher sets {draft.symbol} in {draft.channel}; this one is not "
                "heard on it until that one leaves",
                until="owner",
            )

    def _admit_publish(self, channel: str, claim: Claim) -> None:
        publisher = claim.publisher
        if channel in publisher.fenced or (channel, publisher.number) in self._replaced:
            raise _fenced(channel, "A newer publisher sets {}; send HELLO again to take it over")
        if claim.take != "free":
            return
        who, holder = publisher.who, self._holders.get(channel)
        if self._is_fenced(channel, who):
            raise _fenced(channel, "Another publisher took {} over; take=1 takes it back")
        other = holder is not None and holder is not publisher and holder.who != publisher.who
        if other and holder is not None and not holder.gone:
            self._fences.append((channel, who, True))
            raise _fenced(channel, "Another publisher sets {}; take=1 takes it over")

    def _is_fenced(self, channel: str, who: PublisherId) -> bool:
        now = [fenced for name, each, fenced in self._fences if (name, each) == (channel, who)]
        return now[-1] if now else who in self._records.fenced.get(channel, ())

    def _take(self, channel: str, claim: Claim) -> None:
        publisher, before = claim.publisher, self._holders.get(channel)
        who = publisher.who
        if before is not None and before is not publisher:
            self._replaced.add((channel, before.number))
            if before.who != publisher.who:
                self._fences.append((channel, before.who, True))
        if self._is_fenced(channel, who):
            self._fences.append((channel, who, False))
        self._holders[channel] = publisher

    # How much

    def _check_room(self, draft: Entry, change: Transition) -> None:
        most, room = self._limits.positions, self._rooms[draft.channel]
        if not self.has_room(draft):
            self.full.add(draft.channel)
            raise PolicyError(
                "field",
                f"The channel {draft.channel} has its {self._limits.symbols} symbols "
                "(signals.max_symbols), and this is one more",
                draft.symbol.encode(),
            )
        if change.positions(draft) > 0 and room.positions >= most:
            self.full.add(draft.channel)
            raise PolicyError(
                "field",
                f"The channel {draft.channel} has its {most} positions and orders "
                "(signals.max_positions), and this is one more",
                draft.ticket.encode(),
            )


def _fenced(channel: str, text: str) -> PolicyError:
    return PolicyError("fenced", text.format(channel))


def _reduction(draft: Entry, change: Transition) -> Entry | None:
    """Return what a draft takes away from what is held; None = nothing."""
    if change.effect == "reversal":
        return Entry(draft.channel, draft.symbol, FLAT, draft.when, draft.ticket)
    if change.effect != "reduction" or not (change.before or change.tickets):
        return None
    return Entry(
        draft.channel,
        draft.symbol,
        draft.volume,
        draft.when,
        draft.ticket,
        type=draft.type,
        fields=draft.fields,
    )


def check_rails(rails: RiskLimits, draft: Entry, before: Decimal) -> None:
    """
    Compare an opening, or an increase from `before` lots, with the guard rails of its channel.

    Raises:
        PolicyError: `field`.
    """
    name, change = draft.channel, abs(draft.volume - before)
    if rails.symbols and draft.symbol not in rails.symbols:
        raise PolicyError(
            "field", f"{draft.symbol} is none of the symbols of {name}: {', '.join(rails.symbols)}"
        )
    if rails.max_volume is not None and abs(draft.volume) > rails.max_volume:
        raise PolicyError(
            "field", f"{draft.volume:f} lots are more than the {rails.max_volume:f} of {name}"
        )
    if rails.max_change is not None and change > rails.max_change:
        raise PolicyError(
            "field",
            f"A change of {change:f} lots, from {before:f} to {draft.volume:f}, is more "
            f"than the {rails.max_change:f} of {name}",
        )
