"""
What the journal takes and gives: drafts, entries and what became of each draft.

Volumes are lots, signed; 0 = the position is closed. Times are milliseconds since the Unix
epoch, UTC.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from mtnet.errors import WireError
from mtnet.signals.fields import Kind

FLAT = Decimal(0)
ZEROS = "0" * 8
"""The `h` before the first entry."""


class Draft(Struct, frozen=True):
    """
    A position that somebody wants to set.

    Attributes:
        when: the server's time at which it was taken.
        ticket: of one position among several of its symbol; empty = the net position.
        id: the publisher's name for it; empty = a published frame, which has none.
        fields: the other fields (price, sl, tp …), as they were sent; kept sorted, since their
            order says nothing.
    """

    channel: str
    symbol: str
    volume: Decimal
    when: int
    ticket: str = ""
    id: str = ""
    type: Kind = "position"
    fields: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if self.fields:
            force_setattr(self, "fields", tuple(sorted(self.fields)))


class Entry(Draft, frozen=True, kw_only=True):
    """
    A draft that is stored.

    Attributes:
        seq: counts 1, 2, 3 … in its channel.
        previous: the volume before it; None = nothing was known of the symbol.
        h: the first 8 hex digits of the hash that chains it to all before it.
    """

    seq: int
    previous: Decimal | None = None
    h: str = ""


class Repeated(Struct, frozen=True):
    """A draft that was stored before, as entry `seq`, and is not applied twice."""

    seq: int


class Unchanged(Struct, frozen=True):
    """A published draft that sets what is set already; it is no entry."""


Outcome: TypeAlias = Entry | Repeated | Unchanged | WireError
Judge: TypeAlias = Callable[[Draft, Decimal | None], None]
"""Raises WireError for a draft that must not be stored; it is told the volume before it."""


class State(Struct, frozen=True):
    """
    A channel at one moment.

    Attributes:
        epoch: 16 hex digits that name this journal of the channel.
        seq: of the last entry; 0 = nothing was ever stored.
        h: of that entry, see `Entry`; zeros where nothing was stored.
        oldest: the first entry of this epoch that is kept; `seq` + 1 when there is none.
        positions: what stands, and what went flat of late, by rising seq.
    """

    epoch: str
    seq: int
    oldest: int
    positions: list[Entry]
    h: str = ZEROS


class Loaded(Struct, frozen=True):
    """
    The journal, as it is opened.

    Attributes:
        states: by channel, those that are whole.
        damaged: by channel, a sentence: what is wrong, where, and what to do.
    """

    states: dict[str, State]
    damaged: dict[str, str]


def accept_all(draft: Draft, before: Decimal | None) -> None:
    """Judge that refuses nothing."""
