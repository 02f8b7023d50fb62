"""
Effect of a draft on the position under its key.

It is one of: nothing, a change of terms, a reduction, an opening, or a reversal, which is a
closing and then an opening.

Pure. Volumes are lots, signed; 0 = the position is closed.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal

from msgspec import Struct

from mtnet.errors import PolicyError, WireError
from mtnet.services.signals.journal.hash_chain import Held
from mtnet.services.signals.model import FLAT, Counted, Entry, WholeState
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
    """

    effect: Effect
    before: Decimal
    tickets: tuple[str, ...] = ()
    new_key: bool = False


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
    standing, volume = held.get(draft.ticket), draft.volume
    if standing is None:
        return Transition("opening" if volume else "reduction", FLAT, new_key=True)
    stands = standing.entry
    before = stands.volume
    # No ticket is held here, so that the net position is what stands.
    says_no_more = not draft.fields or not volume or draft.fields == stands.fields
    if classic and volume == (before if stands.type == POSITION else FLAT) and says_no_more:
        return Transition("nothing", before)
    if not before:
        return Transition("opening" if volume else "reduction", before, new_key=True)
    return Transition(_effect(before, volume, stands.type == draft.type), before)


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


def _other_form(draft: Entry, stands: str, takes: str) -> WireError:
    return WireError(
        "field",
        f"{draft.symbol} has {stands} in {draft.channel}; until it is flat it takes {takes}",
    )


def reduction_of(draft: Entry, change: Transition) -> Entry | None:
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


class Verdict(Struct, frozen=True):
    """
    Decision about a draft that is stored, at least in part.

    Attributes:
        change: what it does.
        remember: whether a symbol of which nothing was known is remembered as flat.
        refused: why the opening of a reversal is refused, whose closing is stored.
    """

    change: Transition
    remember: bool = True
    refused: PolicyError | None = None


class CommitPolicy:
    """
    Accept-all policy: judges each draft of a commit, in order, against what stands then.

    Attributes:
        terms: what was known of the followers of views when the commit began, by view.
    """

    terms: Mapping[str, Any] = {}

    def begin(self) -> None:
        """Forget the drafts so far: the commit is tried from its first draft on, maybe again."""

    def judge(self, draft: Entry, held: Mapping[str, Held]) -> Verdict | None:
        """
        Decide what becomes of a draft, and count on it that this happens.

        Args:
            held: what is known of its symbol, by ticket.

        Returns:
            None = it changes nothing, and is no entry.

        Raises:
            WireError: it is not stored.
        """
        change = transition(draft, held, not (draft.id or draft.ticket))
        return None if change.effect == "nothing" else Verdict(change)

    def flattened(self, draft: Entry, count: int) -> None:
        """Count on it that everything of a channel was closed, so many positions and orders."""

    def admit(self, whole: WholeState) -> None:
        """
        Decide whether a whole state is compared at all.

        Raises:
            WireError: it is not.
        """

    def add_part(self, whole: WholeState, draft: Entry, known: bool) -> None:
        """
        Take a draft that a whole state leads to; it is judged like any other.

        Args:
            known: something is known of its symbol.
        """

    def confirm(self, whole: WholeState, draft: Entry) -> None:
        """Take note that a whole state has a position as it stands."""

    def replaced(self, whole: WholeState, accepted: bool) -> Counted | None:
        """
        Count on it that a whole state was compared; return what is to be kept of it.

        Args:
            accepted: whether it led to an entry, or changes nothing.
        """
