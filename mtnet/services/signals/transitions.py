"""
What a draft does to what stands under its key: nothing, a change of its terms, a reduction, an
opening, or a reversal, which is a closing and then an opening.

Pure. Volumes are lots, signed; 0 = the position is closed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.services.signals.journal.hash_chain import Held
from mtnet.services.signals.model import FLAT, Entry
from mtnet.services.signals.values import Kind

POSITION: Kind = "position"
"""The type of what counts for the net position; orders that wait do not."""
Effect = Literal["nothing", "terms", "reduction", "opening", "reversal"]


class Transition(Struct, frozen=True):
    """
    One draft, measured against what its channel holds.

    Attributes:
        effect: `terms` leaves the volume as it is; an increase is an `opening` too.
        before: the lots that it starts from; of a reversal those that it closes.
        tickets: the positions and orders of the symbol that it closes first: all of them.
        new_key: nothing stands under its key.
        new_symbol: nothing is known of its symbol.
    """

    effect: Effect
    before: Decimal
    tickets: tuple[str, ...] = ()
    new_key: bool = False
    new_symbol: bool = False

    @property
    def opens(self) -> bool:
        """Whether there is more of it afterwards, or something else."""
        return self.effect in ("opening", "reversal")

    @property
    def start(self) -> Decimal:
        """The lots that its opening adds to."""
        return self.before if self.effect == "opening" else FLAT

    def positions(self, draft: Entry) -> int:
        """Return how many more positions and orders there are with it."""
        return bool(draft.volume) - (not self.new_key) - len(self.tickets)


def transition(draft: Entry, held: Mapping[str, Held], classic: bool) -> Transition:
    """
    Measure a draft.

    Args:
        held: what is known of its symbol, by ticket; a flat symbol has one of volume 0.
        classic: whether it is the net position of the classic dialect, over all tickets.

    Raises:
        WireError: `field`; the symbol is netting and the draft by ticket, or the reverse.
    """
    by_ticket = any(held)  # the ticket of a net position is empty
    if not draft.ticket and by_ticket:
        return _over_all_tickets(draft, held, classic)
    if draft.ticket and not by_ticket and held and held[""].entry.volume:
        raise _other_form(draft, "one net position", "no ticket")
    standing = held.get(draft.ticket)
    before = FLAT if standing is None else standing.entry.volume
    if classic and held and _net(held) == draft.volume and _says_no_more(draft, held):
        return Transition("nothing", before)
    same_type = standing is not None and standing.entry.type == draft.type
    effect = _effect(before, draft.volume, same_type or not before)
    return Transition(effect, before, new_key=not before, new_symbol=not held)


def _over_all_tickets(draft: Entry, held: Mapping[str, Held], classic: bool) -> Transition:
    net, tickets = _net(held), tuple(ticket for ticket in held if ticket)
    if classic and draft.volume == net:
        return Transition("nothing", net)
    if not draft.volume:
        return Transition("reduction", net, tickets, new_key=True)
    if not classic:
        raise _other_form(draft, "positions by ticket", "nothing without a ticket")
    return Transition(_effect(net, draft.volume, True), net, tickets, new_key=True)


def _effect(before: Decimal, after: Decimal, same_type: bool) -> Effect:
    if not after:
        return "reduction"
    if not before:
        return "opening"
    if not same_type or (before > 0) != (after > 0):
        return "reversal"
    if before == after:
        return "terms"
    return "reduction" if abs(after) < abs(before) else "opening"


def _net(held: Mapping[str, Held]) -> Decimal:
    entries = (each.entry for each in held.values())
    return sum((entry.volume for entry in entries if entry.type == POSITION), FLAT)


def _says_no_more(draft: Entry, held: Mapping[str, Held]) -> bool:
    """Say whether a draft has no fields, or those that stand there."""
    standing = held.get(draft.ticket)
    return (
        not draft.fields
        or not draft.volume
        or standing is None
        or (draft.fields == standing.entry.fields)
    )


def _other_form(draft: Entry, stands: str, takes: str) -> WireError:
    return WireError(
        "field",
        f"{draft.symbol} has {stands} in {draft.channel}; until it is flat it takes {takes}",
    )


class CommitPolicy:
    """Says of each draft of a commit, in order, whether it is stored; this one lets all be."""

    def begin(self) -> None:
        """Forget the drafts so far: the commit is tried from its first draft on, maybe again."""

    def admit(self, draft: Entry) -> None:
        """
        Look at who it comes from.

        Raises:
            WireError: it is not heard.
        """

    def is_classic(self, draft: Entry) -> bool:
        """Say whether it is a net position of the classic dialect, which has no id."""
        return not (draft.id or draft.ticket)

    def weigh(self, draft: Entry, change: Transition) -> None:
        """
        Look at a draft, whatever it does.

        Raises:
            WireError: nothing is taken.
        """

    def open(self, draft: Entry, change: Transition) -> None:
        """
        Look at an opening, an increase, or the opening of a reversal.

        Raises:
            PolicyError: it is not stored; the closing of a reversal is.
        """

    def has_room(self, draft: Entry) -> bool:
        """Say whether a symbol of which nothing is known may be remembered."""
        return True

    def stored(self, draft: Entry, change: Transition) -> None:
        """Take note that it is stored."""

    def closed(self, draft: Entry, count: int) -> None:
        """Take note that so many positions and orders were closed, and nothing opened."""
