"""
Copies: what the positions of a channel became at one follower, as it acknowledged them.

Pure; each function returns another mapping, or the same one where nothing changes.
"""

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TypeAlias

from mtnet.services.signals.model import Entry
from mtnet.services.signals.ownership.transitions import POSITION
from mtnet.services.signals.status.facts import Copy, Key
from mtnet.services.signals.wire.requests import Ack

Copies: TypeAlias = Mapping[Key, Copy]
"""Those that are not simply right."""
MAX_COPIES = 200
"""Copies of one follower that are remembered as not right; nobody corrects more by hand."""


def copies_after(
    copies: Copies | None, ack: Ack, entry: Entry, net: Decimal | None
) -> Copies | None:
    """
    Return the copies after an ACK.

    Args:
        entry: the entry that it is about.
        net: the net position of its symbol.
    """
    key, copy = Key(entry.symbol, entry.ticket), _copy(ack, entry, net)
    if copy is None:
        if copies is None or key not in copies:
            return copies
        return {known: each for known, each in copies.items() if known != key}
    found = dict(copies or {})
    found.pop(key, None)
    found[key] = copy
    if len(found) > MAX_COPIES:
        del found[next(iter(found))]
    return found


def copies_of_state(copies: Copies | None, held: Collection[Entry]) -> Copies | None:
    """
    Return the copies of what stands, once a follower was sent the whole state.

    No entry will tell it of any other one, but a closing that failed still has to be done.
    """
    if not copies:
        return None
    keys = {Key(each.symbol, each.ticket) for each in held}
    return {key: copy for key, copy in copies.items() if key in keys or not copy.wanted} or None


def _copy(ack: Ack, entry: Entry, net: Decimal | None) -> Copy | None:
    """Return what an ACK says of a copy; None = it is right, or none of ours any more."""
    if ack.status == "released":
        return None
    failed, held = ack.status == "failed", ack.volume
    counts = held is not None and entry.type == POSITION
    right = not counts or held in (entry.volume, net)
    closed = counts and not held and not entry.volume
    if right and (closed or not failed):
        return None  # what could not be closed because it is not there needs nobody
    sides = [each for each in (entry.volume, net) if each is not None]
    same = not counts or held is None or any(_sign(held) == _sign(each) for each in sides)
    return Copy(entry.volume, held if counts else None, failed, ack.reason or "", right, same)


def _sign(volume: Decimal) -> int:
    return (volume > 0) - (volume < 0)
