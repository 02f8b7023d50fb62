"""
Facts about those who take part in a channel: what the engine judges.

Pure. Times are milliseconds since the Unix epoch, UTC; volumes are lots.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

from msgspec import Struct

from mtnet.services.signals.reports.registry import Reported
from mtnet.services.signals.status.latency import Percentiles
from mtnet.services.signals.values import PauseMode


class Key(NamedTuple):
    """A position of a channel; an empty ticket = the net position."""

    symbol: str
    ticket: str


class Copy(Struct, frozen=True, gc=False):
    """
    The copy of one position, as its follower acknowledged it.

    Attributes:
        wanted: of the entry that it acknowledged.
        held: of what it really holds; None = it did not say.
        failed: whether it could not carry the entry out.
        reason: why, in its words.
        right: whether `held` is the position, or the net position of the symbol.
        same_side: whether `held` has the sign of either.
    """

    wanted: Decimal
    held: Decimal | None
    failed: bool = False
    reason: str = ""
    right: bool = True
    same_side: bool = True


class ProviderState(Struct, frozen=True, gc=False):
    """
    The provider of a channel, as its followers see it.

    Attributes:
        who: of one who is there, else of one who is missed; empty = nobody is.
        up: whether a publisher is there.
        since: when that began.
        left: whether the one who is missed said BYE.
        heard: when a session of it gave its last sign of life; None = it need not give any.
        trading: whether its terminal allows algorithmic trading; None = it did not say.
        missing: the sources of a view that have no provider, where others have one.
    """

    who: str = ""
    up: bool = True
    since: int = 0
    left: bool = False
    heard: int | None = None
    trading: bool | None = None
    missing: tuple[str, ...] = ()


class ViewState(Struct, frozen=True, gc=False):
    """
    A view.

    Attributes:
        struck: why a limit has closed it; empty = none has.
        waits: why nothing may be opened until there is a REPORT; empty = it may.
        exact: whether it is made for one follower, who then scales nothing itself.
    """

    struck: str = ""
    waits: str = ""
    exact: bool = False


class ChannelFacts(Struct, frozen=True, gc=False):
    """
    A channel.

    Attributes:
        seq: of the last entry; 0 = nobody has published there.
        newest: when that was stored; None = it is not known.
        paused: its mode; None = it takes everything.
        view: None = it is none.
    """

    name: str
    seq: int
    provider: ProviderState = ProviderState()
    paused: PauseMode | None = None
    damaged: bool = False
    diverged: bool = False
    view: ViewState | None = None
    newest: int | None = None


class FollowerFacts(Struct, frozen=True, gc=False):
    """
    A follower of one channel.

    Attributes:
        who: login and name, else the address.
        connected: whether it follows now.
        since: when it came, or went.
        left: whether it said BYE.
        sent: the last entry that it was sent.
        unsent: when the first one was stored that it was not sent yet; None = it was sent all.
        next: the first entry that it was sent and has not acknowledged.
        unacknowledged: when that was stored; None = there is none.
        acknowledges: whether it has ever acknowledged anything.
        heard: when its last sign of life came; None = it need not give any.
        stalled: since when it has taken no byte; None = nothing waits.
        untaken: of one who is silent or takes nothing, the bytes that its machine has not taken;
            None = unknown.
        resent: whether the kernel repeats these, since its machine does not answer.
        copies: the copies that are not simply right.
        reports: its last two REPORTs, newest first.
        client: its program and version, in its words.
        acked_at: when it last acknowledged anything; 0 = it has not.
        held: lots by symbol, as it said.
        untold: the first of the symbols in which the channel has positions that it was told, and of
            which it has not said what it holds.
        classic: whether it speaks the classic dialect, which acknowledges nothing.
        latency: of its acknowledgements; None = there was none since it came.
    """

    who: str
    channel: ChannelFacts
    connected: bool = True
    since: int = 0
    left: bool = False
    sent: int = 0
    unsent: int | None = None
    next: int = 0
    unacknowledged: int | None = None
    acknowledges: bool = True
    heard: int | None = None
    stalled: int | None = None
    untaken: int | None = None
    resent: bool = False
    copies: Mapping[Key, Copy] = {}
    reports: Sequence[Reported] = ()
    client: str = ""
    acked_at: int = 0
    held: Mapping[str, str] = {}
    untold: Sequence[str] = ()
    classic: bool = False
    latency: Percentiles | None = None

    @property
    def waits(self) -> int | None:
        """Since when an entry waits to be sent; one that it missed, since it came back."""
        return None if self.unsent is None else max(self.unsent, self.since)

    @property
    def due(self) -> int | None:
        """Since when an ACK is waited for; that of an entry that it missed, since it came back."""
        return None if self.unacknowledged is None else max(self.unacknowledged, self.since)

    @property
    def expected(self) -> bool:
        """Whether it is expected to acknowledge: it has done so before, or is a terminal."""
        return self.acknowledges or bool(self.reports)


class ProviderFacts(Struct, frozen=True, gc=False):
    """
    A publisher of one channel, or the one who is missed there.

    Attributes:
        who: login and name, else the address; empty = nobody has ever published.
        connected: whether it is there.
        since: when it came, or went.
        left: whether it said BYE.
        fenced: whether a newer publisher has taken the channel.
        heard, reports, client: as of `FollowerFacts`.
    """

    who: str
    channel: ChannelFacts
    connected: bool = True
    since: int = 0
    left: bool = False
    fenced: bool = False
    heard: int | None = None
    reports: Sequence[Reported] = ()
    client: str = ""
