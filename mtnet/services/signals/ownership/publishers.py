"""
Publishers: the connections that set positions, and who is behind them.

No Twisted, no clock: times are monotonic seconds.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple, Protocol

from mtnet.callbacks import noop
from mtnet.errors import WireError
from mtnet.net.transport import InFlight
from mtnet.services.signals.reports.registry import Reported

BEFORE = -1
"""The number of publishers of before the start; others count from 1."""
LINGER = 600.0
"""Seconds for which a publisher of dialect 2 that is gone without BYE holds its channel against
classic frames: a restarted terminal is back by then."""
HELD = 86_400.0
"""Seconds for which a publisher by HTTP holds its channel after its last request: a shop, or a
strategy on daily bars, is silent for hours."""


class Output(Protocol):
    """Bytes for a participant that have not left; times are seconds of the clock."""

    @property
    def stalled(self) -> float | None:
        """Since when it has taken no byte; None = nothing waits."""

    @property
    def untaken(self) -> InFlight | None:
        """The bytes that its machine has not taken; None = unknown."""


class Connection(Protocol):
    """Status of the connection of a participant; times are seconds of the clock."""

    @property
    def client(self) -> str:
        """Its program and version, in its words."""

    @property
    def heard(self) -> float | None:
        """When the last sign of life came; None = it need not give any."""

    @property
    def output(self) -> Output | None:
        """The bytes that wait for it; None = it has no connection, and asks."""

    @property
    def reported(self) -> Reported | None:
        """Its last REPORT; None = it has sent none."""


class Producer(Protocol):
    """Push producer that is paused while the disk is behind."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class _Endless:
    """Producer that has nothing to pause."""

    def pauseProducing(self) -> None: ...

    def resumeProducing(self) -> None: ...


class SymbolKey(NamedTuple):
    """A symbol of a channel."""

    channel: str
    symbol: str


class PublisherId(NamedTuple):
    """
    A publisher of dialect 2 or by HTTP, as it is known again after a restart.

    Attributes:
        http: it has no connection, and holds its channel between its requests.
        program: by HTTP `name` is drawn at each start; this one is not. Empty = it has none.
    """

    login: str
    name: str
    http: bool = False
    program: str = ""

    def succeeds(self, other: "PublisherId") -> bool:
        """Return whether it is another run of the same program of the same login."""
        same = (self.login, self.program) == (other.login, other.program)
        return same and bool(self.program)

    @property
    def shown(self) -> str:
        """Login and name, for people."""
        return "/".join(filter(None, self[:2]))

    @property
    def known(self) -> bool:
        """Whether it says who it is; by HTTP the drawn name does not."""
        return bool(self.login or self.program or (self.name and not self.http))

    @property
    def lingers(self) -> float:
        """Seconds for which it holds its channel once it is gone without BYE."""
        return HELD if self.http else LINGER


class Refusal(NamedTuple):
    """
    The last frame of a symbol that was refused.

    Attributes:
        volume: None = a later frame of the symbol has come.
        until: the reason, see `PolicyError`.
    """

    volume: Decimal | None
    until: str


UNIDENTIFIED = PublisherId("", "")
"""Every publisher without login and name."""


class Publisher:
    """
    One connection that sets positions.

    Attributes:
        name: who it is, for the log.
        number: rises with each publisher; the newest takes over.
        producer: what is paused while the disk is behind.
        refuse: called with the reason when a classic frame is not stored.
        fence: called with the channel that a newer publisher has taken over.
        close: called with the reason; a classic publisher reconnects and sends its state.
        who: login and name, of dialect 2.
        address: where it comes from.
        last: the count of the last draft taken from it.
        fenced: channels that a newer publisher of dialect 2 took from it.
        refused: its refused classic frames, to be judged again.
        ending: it is about to be closed, and comes back.
        lingers: until when it holds its channels though it is gone; 0 = it does not.
        connection: for the status; None = nothing is known of it.
    """

    def __init__(
        self,
        name: str,
        number: int,
        producer: Producer | None = None,
        refuse: Callable[[WireError], object] = noop,
        fence: Callable[[str], object] = noop,
        close: Callable[[str], object] = noop,
        who: PublisherId = UNIDENTIFIED,
        address: str = "",
    ) -> None:
        self.name, self.number, self.producer = name, number, producer or _Endless()
        self.refuse, self.fence, self.close = refuse, fence, close
        self.who, self.address = who, address
        self.last = 0
        self.fenced: set[str] = set()
        self.refused: dict[SymbolKey, Refusal] = {}
        self.gone = self.ending = False
        self.lingers = 0.0
        self.connection: Connection | None = None

    @property
    def shown(self) -> str:
        """Login and name, else the address, for people; empty = it is of before the start."""
        return self.who.shown or ("" if self.number == BEFORE else self.name)

    @property
    def left(self) -> bool:
        """Whether it has said BYE."""
        return self.gone and not self.lingers
