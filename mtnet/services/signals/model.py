"""
The record of a signal, from the request to the frame, and what became of each.

Volumes are lots, signed; 0 = the position is closed. Times are milliseconds since the Unix
epoch, UTC.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from mtnet.errors import WireError
from mtnet.services.signals.values import Fields, Kind

FLAT = Decimal(0)
ZEROS = "0" * 8
"""The `h` before the first entry."""


class Entry(Struct, frozen=True):
    """
    A position that a publisher sets: a draft until it is stored, then an entry of the journal.

    Attributes:
        when: the server's time at which it was taken.
        symbol: empty = every one of the channel; all that it holds is closed.
        ticket: of one position among several of its symbol; empty = the net position.
        id: the publisher's name for it; empty = a classic frame, which has none, or a closing of
            our own.
        fields: the other fields (price, sl, tp …), as they were sent, sorted by name.
        seq: counts 1, 2, 3 … in its channel; 0 = it is not stored.
        previous: the volume before it; None = nothing was known of the symbol.
        opened: when the position was opened, by the server's clock or, if that is earlier, by
            its publisher's; None = not known. Of a closing, when what it closes was opened.
        popened: the same by the publisher's clock.
        h: the first 8 hex digits of the hash that chains it to all entries before it.
    """

    channel: str
    symbol: str
    volume: Decimal
    when: int
    ticket: str = ""
    id: str = ""
    type: Kind = "position"
    fields: Fields = ()
    seq: int = 0
    previous: Decimal | None = None
    opened: int | None = None
    popened: int | None = None
    h: str = ""


class WholeState(Entry, frozen=True):
    """
    A draft of all that a publisher holds: it becomes the differences to its channel.

    Attributes:
        positions: drafts, each of another key, none flat.
        scope: the symbols that it is about; None = all of the channel, and of those that hold
            nothing it says nothing: it is a sign of life.
        n: rises with each state of a publisher; None = it is not counted.
        digest: of what it says; a state that is sent again has the same.
    """

    positions: tuple[Entry, ...] = ()
    scope: frozenset[str] | None = None
    n: int | None = None
    digest: str = ""


class Counted(Struct, frozen=True):
    """
    The last whole state that a channel was sent by HTTP.

    Attributes:
        who: its publisher, the values of a `PublisherId`.
        n: its number.
        digest: of what it said.
    """

    who: tuple[str, str, bool, str]
    n: int
    digest: str


class Taken(Struct, frozen=True):
    """
    Outcome of a draft that was judged and is not simply one entry, or refused as a whole.

    Attributes:
        entries: those that were stored, in order: closings first, then what it set itself.
        seq: of the entry that it was stored as before, and is not applied again; of a whole state,
            of the last entry of its channel then; 0 = it changes nothing.
        refused: what was not stored, and why: differences of a whole state, or a reversal of which
            the closing is stored.
        h: of the last entry of its channel, of a whole state.
    """

    entries: tuple[Entry, ...] = ()
    seq: int = 0
    refused: tuple[tuple[Entry, WireError], ...] = ()
    h: str = ""

    @property
    def accepted(self) -> bool:
        """Whether a whole state takes its channel; nobody holds one that has no entry."""
        return self.seq > 0 and bool(self.entries or not self.refused)


Outcome: TypeAlias = Entry | Taken | WireError


def entries_of(outcome: "Outcome | None") -> Sequence[Entry]:
    """Return what a draft stored, in order."""
    if isinstance(outcome, Taken):
        return outcome.entries
    return (outcome,) if isinstance(outcome, Entry) else ()


class State(Struct, frozen=True):
    """
    A channel at one moment.

    Attributes:
        epoch: 16 hex digits that name this journal of the channel.
        seq: of the last entry; 0 = nothing was ever stored.
        h: of that entry, see `Entry`; zeros where nothing was stored.
        oldest: the first entry of this epoch that is kept; `seq` + 1 when there is none.
        positions: open positions and recently closed ones, by rising seq.
        counted: the last whole state that led to an entry.
    """

    epoch: str
    seq: int
    oldest: int
    positions: list[Entry]
    h: str = ZEROS
    counted: Counted | UnsetType = UNSET


class Accepted(NamedTuple):
    """
    A channel that goes on under a new epoch, and with it the views that are made of it.

    Attributes:
        state: of the channel.
        views: the state of each view as its own new epoch begins.
        entries: closings that follow there.
    """

    state: State
    views: Mapping[str, State]
    entries: Sequence[Entry]


class Loaded(Struct, frozen=True):
    """
    The journal, as it is opened.

    Attributes:
        states: by channel, those that are whole.
        damaged: by channel, a sentence: what is wrong, where, and what to do.
    """

    states: dict[str, State]
    damaged: dict[str, str]
