"""
Events of the clients, and sentences for people.

Pure. The news itself, `mtnet.services.signals.wire.answers.Signal`, is an event too.
"""

from collections.abc import Sequence
from decimal import Decimal

from msgspec import Struct

from mtnet.errors import ClientError, WireError
from mtnet.services.signals.values import PauseMode
from mtnet.services.signals.wire.answers import Entry, Signal

PAUSES: dict[PauseMode | None, str] = {
    "close_only": "{channel} is paused: it takes closings and reductions alone.",
    "frozen": "{channel} is frozen: it takes nothing, not even a closing.",
    None: "{channel} takes everything again.",
}


class Unreachable(Struct, frozen=True):
    """
    The server could not be reached; further attempts follow.

    Attributes:
        text: a sentence that names the server.
    """

    text: str

    def __str__(self) -> str:
        return self.text


class Connected(Struct, frozen=True):
    """The server has said WELCOME."""

    def __str__(self) -> str:
        return "The server has answered."


class Lost(Struct, frozen=True):
    """
    A connection has ended; the next attempt follows.

    Attributes:
        reason: for the middle of a sentence.
    """

    reason: str

    def __str__(self) -> str:
        return f"The connection is lost ({self.reason})."


class LeftOut(Struct, frozen=True):
    """
    A frame that cannot be read, and that holds no state.

    Attributes:
        error: the reason.
    """

    error: WireError

    def __str__(self) -> str:
        return f"A frame of the server is left out: {self.error}"


class Refused(Struct, frozen=True):
    """
    The server refuses something.

    Attributes:
        code: such as `channel`; `positions` when an account cannot be counted.
        text: a sentence.
    """

    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class Notice(Struct, frozen=True):
    """A sentence of the server for people."""

    text: str

    def __str__(self) -> str:
        return self.text


HANDED_ON = LeftOut, Notice
"""Events of every session: what is sent to people, and what cannot be read."""


class Paused(Struct, frozen=True):
    """
    The pause of a channel has begun, changed or ended.

    Attributes:
        mode: `close_only` (closings alone), `frozen` (nothing), None = everything is accepted.
    """

    channel: str
    mode: PauseMode | None

    def __str__(self) -> str:
        return PAUSES[self.mode].format(channel=self.channel)


class Flattened(Struct, frozen=True):
    """The server's operator has closed every position of a channel."""

    channel: str

    def __str__(self) -> str:
        return f"The server has closed every position of {self.channel}."


# Of a follower


class State(Struct, frozen=True):
    """
    The complete state of a channel, or of the part that is followed.

    Attributes:
        positions: every position; all else is flat.
        epoch, seq, h: of the last entry that is in it.
    """

    positions: Sequence[Entry]
    epoch: str
    seq: int
    h: str


class Synced(Struct, frozen=True):
    """
    Everything that was missed has been delivered.

    Attributes:
        epoch, seq, h: of the last entry of the channel.
        max_age, max_slippage: as of `opening_limits`.
    """

    epoch: str
    seq: int
    h: str
    max_age: float | None = None
    max_slippage: Decimal | None = None

    def __str__(self) -> str:
        limits = opening_limits(self.max_age, self.max_slippage)
        return f"Everything that was missed has been delivered. {limits}".rstrip()


def opening_limits(max_age: float | None, max_slippage: Decimal | None) -> str:
    """
    Say in a sentence what a view asks of the follower that executes it; empty = nothing.

    Args:
        max_age: seconds since its opening after which a position is not opened.
        max_slippage: distance from the provider's price, in units of price, beyond which it is not.
    """
    limits = [] if max_age is None else [f"more than {max_age:g} s after its opening"]
    if max_slippage is not None:
        limits.append(f"more than {max_slippage:f} from the provider's price")
    return f"Open no position {' or '.join(limits)}." if limits else ""


class Blind(Struct, frozen=True):
    """
    Contact with the channel is lost, or restored.

    Attributes:
        reason: for the middle of a sentence; empty = it is restored.
    """

    reason: str

    def __str__(self) -> str:
        if not self.reason:
            return "The channel is followed."
        return f"Nothing is known of the channel ({self.reason})."


class Provider(Struct, frozen=True):
    """
    Whether the channel has a publisher.

    Attributes:
        since: milliseconds since the Unix epoch, UTC.
    """

    up: bool
    since: int

    def __str__(self) -> str:
        return "The provider is there." if self.up else "There is no provider now."


class OtherHistory(Struct, frozen=True):
    """
    The server has another journal than before; nothing is delivered until it is accepted.

    Attributes:
        old, new: epochs; equal = the history went back.
    """

    old: str
    new: str

    def __str__(self) -> str:
        what = f"has another journal than before ({self.new}, not {self.old})"
        if self.old == self.new:
            what = "has an older copy of the journal than before"
        return f"The server {what}: nothing changes until it is accepted."


class Unfollowed(Struct, frozen=True):
    """
    Positions of an earlier run that are not followed any more.

    Attributes:
        positions: close them, or give them to a person; no signal of theirs follows.
    """

    positions: Sequence[Entry]

    def __str__(self) -> str:
        names = ", ".join(sorted({each.symbol for each in self.positions}))
        return f"Positions that are not followed any more: {names}."


# Of a publisher


class Stored(Struct, frozen=True):
    """
    A signal is on the server's disk.

    Attributes:
        id: of the signal.
        seq: of its entry.
    """

    id: str
    seq: int


class Failed(Struct, frozen=True):
    """
    A signal is not stored, or not known to be.

    Attributes:
        id: of the signal.
        error: the reason.
    """

    id: str
    error: ClientError


class Trouble(Struct, frozen=True):
    """The server's disk refuses a signal, which is sent again."""

    text: str

    def __str__(self) -> str:
        return self.text


class Stopped(Struct, frozen=True):
    """A publisher publishes nothing any more; its signals fail."""

    why: str

    def __str__(self) -> str:
        return self.why


class Fenced(Struct, frozen=True):
    """Another publisher holds the channel."""

    channel: str

    def __str__(self) -> str:
        return f"Another publisher holds {self.channel}; this one has stopped."


FollowerEvent = (
    Signal
    | State
    | Synced
    | Blind
    | Provider
    | OtherHistory
    | Unfollowed
    | Paused
    | Flattened
    | Notice
    | Refused
    | LeftOut
    | Unreachable
)
"""Events of a follower."""
PublisherEvent = (
    Connected
    | Lost
    | Stored
    | Failed
    | Trouble
    | Stopped
    | Fenced
    | Paused
    | Flattened
    | Notice
    | Refused
    | LeftOut
    | Unreachable
)
"""Events of a publisher."""
