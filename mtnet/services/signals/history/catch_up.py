"""Catching up: what a client knows of a channel, compared with the journal, and what it lacks."""

from collections.abc import Iterable
from enum import IntEnum

from mtnet.errors import PrunedError
from mtnet.services.signals.book import Channel
from mtnet.services.signals.fanout import Batch
from mtnet.services.signals.model import Entry
from mtnet.services.signals.service import SignalService
from mtnet.services.signals.wire.requests import Subscribe

SCAN = 1_000
"""Entries among which the oldest one is looked for that a filter let pass, and nobody has
acknowledged."""


class Known(IntEnum):
    """
    Comparison of a client's known history of a channel with the journal.

    THIS is the journal's history, OTHER something else or nothing, and DIVERGED a history of the
    same epoch that is not the journal's.
    """

    THIS, OTHER, DIVERGED = range(3)


async def compare(signals: SignalService, channel: Channel, asked: Subscribe, who: str) -> Known:
    """
    Compare the history that a client knows with that of the journal.

    Args:
        asked: names the last entry that it knows.
        who: the client whose claim of another history is recorded; empty = an anonymous one,
            whose claims do not count.

    Raises:
        JournalError: the journal cannot be read.
    """
    known = await _compared(signals, channel, asked)
    if known is Known.DIVERGED and who:
        signals.histories.claim(channel, asked, who)
    return known


async def _compared(signals: SignalService, channel: Channel, asked: Subscribe) -> Known:
    after = asked.after
    if asked.epoch != channel.epoch or after is None:
        return Known.OTHER
    if after > channel.seq:
        return Known.DIVERGED
    if asked.h is None:
        unproven = after and signals.histories.has_diverged(channel)
        return Known.OTHER if unproven else Known.THIS
    found = channel.hash(after)
    if found is None:
        try:
            found = await signals.hash_at(channel.name, after)
        except PrunedError:
            return Known.OTHER
    return Known.THIS if asked.h == found else Known.DIVERGED


async def read_page(signals: SignalService, channel: Channel, after: int) -> Batch:
    """
    Return entries behind `after`, as many as are sent at once; the last one is stored.

    Raises:
        PrunedError: the first of them is kept no longer.
        JournalError: they cannot be read.
    """
    replay = signals.channels.replay_caches.of(channel)
    return replay.recent(after) or await replay.read(after)


def wants(symbols: frozenset[str] | None, entry: Entry) -> bool:
    """Return whether a filter lets an entry pass; None = all."""
    return symbols is None or entry.symbol in symbols


def wanted(symbols: frozenset[str] | None, entries: Iterable[Entry]) -> list[Entry]:
    """Return the entries that a filter lets pass; None = all."""
    return [entry for entry in entries if wants(symbols, entry)]


def first_wanted(
    channel: Channel, symbols: frozenset[str] | None, after: int, upto: int
) -> int | None:
    """Return the first of the next `SCAN` entries up to `upto` that passes; None = none does."""
    for seq in range(after + 1, min(upto, after + SCAN) + 1):
        entry = channel.entry(seq)
        if entry is not None and wants(symbols, entry):
            return seq
    return None


def witness(known: bool, *names: str) -> str:
    """Name a client if its claims on the history of a channel count; else nothing."""
    return f"the follower ({', '.join(filter(None, names))})" if known else ""
