"""Send queue of one peer: bounded, in order."""

from collections import deque
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from mtnet.callbacks import noop
from mtnet.net.output.buffer import OutputBuffer
from mtnet.net.transport import Transport

Encoder = Callable[[bytes], bytes]
"""Makes of frames the bytes that a peer is sent; the same object for all that are sent the same."""
PIECE = 65_536
"""Bytes that the transport is given at most, so that the rest can still be dropped."""


class SendQueue:
    """
    Bounded send queue of one peer, in order.

    Args:
        most: bytes that may be queued.
        overflow: called once when there are more, in a later turn of the reactor: the writer is
            in the middle of something. Until then nothing more is accepted.

    Attributes:
        encoder: of the frames that are sent; None = they leave as they are.
        output: what it writes into; while it has a direct writer, nothing is queued here.
    """

    __slots__ = (
        "_clock", "_closed", "_frames", "_last_write", "_most", "_over", "_overflow", "_room",
        "_size", "encoder", "output",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        most: int,
        overflow: Callable[[], None],
        encoder: Encoder | None = None,
    ) -> None:
        self.output = OutputBuffer(transport, clock, PIECE, self._drained)
        self._clock, self._most, self._overflow = clock, most, overflow
        self.encoder = encoder
        self._last_write = clock.seconds()
        self._frames: deque[bytes] | None = None  # an empty one takes 760 bytes
        self._size = 0
        self._room: tuple[Deferred[None], ...] = ()
        self._over: IDelayedCall | None = None
        self._closed = False

    @property
    def last_write(self) -> float:
        """Seconds of the clock at the last write, or the last broadcast."""
        return max(self._last_write, self.output.last_broadcast())

    @property
    def ready(self) -> bool:
        """Whether what is written now waits for nothing in the queue."""
        return self.output.ready and not self._frames and self._over is None

    def send(self, frames: bytes) -> None:
        """Send frames after everything that is queued."""
        self.write(frames if self.encoder is None else self.encoder(frames))

    def write(self, data: bytes) -> None:
        """Send data as it is after everything that is queued."""
        if self._closed or self._over is not None:
            return
        self._last_write = self._clock.seconds()
        if self.output.ready and not self._frames:
            self.output.write(data)
            return
        if self._frames is None:
            self._frames = deque()
        self._frames.append(data)
        self._size += len(data)
        if self._size > self._most:
            self._over = self._clock.callLater(0, self._overflow)
            self.output.use_buffered_path()  # else a broadcast would overtake what is dropped

    def when_empty(self) -> "Deferred[None]":
        """Return a Deferred that fires when nothing is queued."""
        if self.ready:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._give_up)
        self._room += (waiting,)
        return waiting

    def clear(self) -> None:
        """Drop the frames that the transport was not given yet."""
        self._frames = None
        self._size = 0

    def close(self, last: bytes = b"") -> None:
        """Give everything to the transport, then `last`; later writes are ignored."""
        if self._closed:
            return
        if self._over is not None and self._over.active():
            self._over.cancel()
        data = b"".join(self._frames or ()) + last
        self.clear()
        if data:
            self.output.write(data)
        self._closed, self._overflow = True, noop  # it may refer back to this queue
        self.output.close()

    def _drained(self) -> None:
        while self._frames and self.output.ready:
            self.output.write(self._piece())
        # One at a time: the first one may fill the queue again.
        while self._room and not self._frames and self.output.ready and self._over is None:
            first, *others = self._room
            self._room = tuple(others)
            first.callback(None)

    def _piece(self) -> bytes:
        piece, size = [], 0
        while self._frames and size < PIECE:
            piece.append(self._frames.popleft())
            size += len(piece[-1])
        if not self._frames:
            self._frames = None
        self._size -= size
        return b"".join(piece)

    def _give_up(self, waiting: "Deferred[None]") -> None:
        self._room = tuple(each for each in self._room if each is not waiting)
