"""
Whole states: what a publisher holds becomes the differences to what stands.

Blocking, for the thread of the journal.
"""

from msgspec.structs import replace

from mtnet.errors import WireError
from mtnet.services.signals.journal.transaction import Transaction, content
from mtnet.services.signals.model import FLAT, Entry, Outcome, Taken, WholeState, entries_of
from mtnet.services.signals.ownership.transitions import CommitPolicy


def store_whole(transaction: Transaction, whole: WholeState, policy: CommitPolicy) -> Outcome:
    """
    Store the differences between a whole state and what stands; return what became of it.

    Raises:
        DamageError: what is stored is not what was written.
    """
    try:
        policy.admit(whole)
    except WireError as error:
        return error
    entries: list[Entry] = []
    refused: list[tuple[Entry, WireError]] = []
    for draft in _differences(transaction, whole, policy):
        outcome = transaction.take(draft, policy)
        entries += entries_of(outcome)
        if isinstance(outcome, WireError):
            refused.append((draft, outcome))
        elif isinstance(outcome, Taken):
            refused += outcome.refused
    taken = Taken(tuple(entries), transaction.seq, tuple(refused), transaction.hash[:4].hex())
    counted = policy.replaced(whole, taken.accepted)
    if counted is not None:
        transaction.row = replace(transaction.row, counted=counted)
    return taken


def _differences(transaction: Transaction, whole: WholeState, policy: CommitPolicy) -> list[Entry]:
    """Return what is to be changed: closings first, then reductions, then the rest."""
    wanted = {(each.symbol, each.ticket): each for each in whole.positions}
    closings = [
        Entry(whole.channel, symbol, FLAT, whole.when, ticket)
        for symbol in (transaction.symbols() if whole.scope is None else sorted(whole.scope))
        for ticket, each in transaction.held(symbol).items()
        if each.entry.volume and (symbol, ticket) not in wanted
    ]
    reductions: list[Entry] = []
    others: list[Entry] = []
    for draft in wanted.values():
        standing = transaction.held(draft.symbol).get(draft.ticket)
        if standing is not None and _same_terms(standing.entry, draft):
            policy.confirm(whole, draft)
            continue
        before = FLAT if standing is None else standing.entry.volume
        reduces = abs(draft.volume) < abs(before) or draft.volume * before < 0
        (reductions if reduces else others).append(draft)
    found = [*closings, *reductions, *others]
    for draft in found:
        policy.add_part(whole, draft, bool(transaction.held(draft.symbol)))
    return found


def _same_terms(entry: Entry, draft: Entry) -> bool:
    """Return whether a position of a whole state stands already."""
    if (entry.volume, entry.type) != (draft.volume, draft.type):
        return False
    return entry.fields == draft.fields or _terms(entry) == _terms(draft)


def _terms(entry: Entry) -> tuple[object, ...]:
    """Return what a whole state compares: the time at which it was sent is no difference."""
    *others, fields = content(entry)
    assert isinstance(fields, dict)
    return *others, {key: each for key, each in fields.items() if key != "ptime"}
