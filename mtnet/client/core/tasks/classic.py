"""
The classic dialect: net positions, followed.

Pure. `when` is seconds of a clock that is never set.
"""

from collections.abc import Iterable, Iterator
from decimal import Decimal

from msgspec import Struct

from mtnet.client.core.events import Connected, LeftOut, Lost, Unreachable
from mtnet.client.core.lines import LineCodec, LineCore
from mtnet.errors import WireError
from mtnet.session.classic import parse_position
from mtnet.session.grammar import FrameDecoder


class Position(Struct, frozen=True):
    """
    A net position; it may be repeated.

    Attributes:
        volume: lots.
    """

    symbol: str
    volume: Decimal


class Quiet(Struct, frozen=True):
    """The server has kept the connection, and sent no position for a while: there is none."""


ClassicEvent = Position | Quiet | Connected | Lost | LeftOut | Unreachable
"""Events of a follower; `Connected` = there is a connection, and nothing was said yet."""
Events = Iterable[ClassicEvent]


class ClassicFraming:
    """Codec of a connection on which only the server speaks."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()

    def receive(self, data: bytes) -> Iterator[bytes]:
        """
        Yield the payloads of the frames that `data` completes.

        Raises:
            FrameError: nothing more can be read.
        """
        return self._decoder.feed(data)

    def send(self, line: bytes) -> None:
        """Send nothing: such a client says nothing."""

    def end(self) -> None:
        """Do nothing: the end of the connection says it."""

    def data_to_send(self) -> bytes:
        """Return nothing."""
        return b""


class ClassicCore(LineCore):
    """
    State machine of a follower in the classic dialect.

    Args:
        quiet: seconds without a position on a connection until it is `Quiet`.
        codepage: of symbols that are not UTF-8.
    """

    def __init__(self, quiet: float, codepage: str = "cp1252") -> None:
        super().__init__()
        self._quiet, self._codepage = quiet, codepage

    def begin(self, framing: LineCodec, when: float, clear_peer: str = "") -> Events:
        """Wait for positions on a new connection."""
        self.connected(framing)
        self.due = when + self._quiet
        return (Connected(),)

    def read(self, line: bytes) -> Iterator[ClassicEvent]:
        """Take the payload of a frame."""
        try:
            symbol, volume = parse_position(line, self._codepage)
        except WireError as error:
            yield LeftOut(error)
            return
        self.due = None
        self.session.succeeded()
        yield Position(symbol, volume)

    def unreadable(self, error: Exception) -> Events:
        """End a connection on which nothing more can be read."""
        self.session.end(f"the server's stream cannot be read: {error}")
        return ()

    def expire(self, when: float) -> Events:
        """Do what is due."""
        if self.due is None or when < self.due:
            return ()
        self.due = None
        self.session.succeeded()
        return (Quiet(),)
