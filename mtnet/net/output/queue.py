"""
Output queues. To one peer: a buffer with back-pressure and, above it, a bounded send queue. To
many: deliveries in their order, cut in slices.

Every byte to a connection takes the path of the buffer; what may still be dropped, or replaced by
something newer, waits above it.
"""

from collections import deque
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from zope.interface import implementer

from mtnet.net.output.direct import DirectWriter, direct_writer
from mtnet.net.timer_wheel import TimerWheel
from mtnet.net.transport import InFlight, StreamTransport, Transport, in_flight, innermost

Encoder = Callable[[bytes], bytes]
"""Makes of frames the bytes that a peer is sent; the same object for all that are sent the same."""
PIECE = 65_536
"""Bytes that the transport is given at most, so that the rest can still be dropped."""
LEAD = 0.02
"""Seconds before what is posted leaves, at which it is gathered: a reactor that is busy for as long
is in time."""
SLICE = 5_000
"""Deliveries of a fan-out in one slice, before other connections are served: about 20 ms."""


class Group(Protocol):
    """
    Interface between an output buffer and its `mtnet.net.output.broadcast.BroadcastGroup`.

    Attributes:
        sent_at: seconds of the clock at which that was last.
    """

    sent_at: float

    def writer_changed(self) -> None:
        """The direct writer of a member has come, or gone."""


class BufferOwner(Protocol):
    """Owner of an output buffer: writes more as soon as it may."""

    def drained(self) -> None:
        """The buffer is `ready` again."""


@implementer(IPullProducer)
class OutputBuffer:
    """
    Output buffer with back-pressure: writes to a transport, and knows when everything has
    reached the kernel.

    As long as nothing is buffered, bytes go directly to the socket: Twisted's buffer would cost
    three more system calls for each write, a turn later.

    Args:
        transport: of a connection that was just made.
        budget: bytes that may wait in the transport before `ready` is False; 1 = one write.
        owner: notified when `ready` turns True again.

    Attributes:
        ready: whether more may be written.
        since: seconds of `clock` at which the oldest byte that may still wait was written; 0 = none
            has waited.
        writer: past the transport; None while something waits, and where there is none.
    """

    __slots__ = (
        "_below", "_budget", "_clock", "_direct", "_groups", "_owner", "_registered",
        "_transport", "_waiting", "ready", "since", "writer",
    )  # fmt: skip

    def __init__(
        self, transport: Transport, clock: IReactorTime, budget: int, owner: BufferOwner
    ) -> None:
        self._transport, self._clock = transport, clock
        self._budget = budget
        self._owner: BufferOwner | None = owner
        self._waiting = 0
        self._registered = self.ready = True
        self._groups: tuple[Group, ...] = ()
        self._direct: DirectWriter | None = None
        self.writer: DirectWriter | None = None
        self.since = 0.0
        # A pull producer is resumed each time the buffer is empty. TLS would poll it endlessly,
        # so it is registered with the transport below, whose buffer TLS fills.
        self._below: StreamTransport = innermost(transport)  # type: ignore[assignment]
        self._below.registerProducer(self, False)
        self._direct = direct_writer(transport, self._below, self.add_lag)
        if self._direct is not None:
            # It is resumed when the bytes that others may have written are sent.
            self._below.startWriting()

    @property
    def stalled(self) -> float | None:
        """Since when bytes wait, in seconds of the clock; None = everything is on its way."""
        return self.since if self._waiting else None

    @property
    def untaken(self) -> InFlight | None:
        """The bytes that the peer's machine has not taken; None = unknown, see `in_flight`."""
        sent = in_flight(self._below)
        return None if sent is None else sent._replace(size=sent.size + self._waiting)

    def write(self, data: bytes) -> None:
        """Write `data`; it is sent even when not `ready`."""
        if self.writer is not None:
            try:
                sent = self.writer.send(data)
            except OSError:
                sent = 0  # it is full or broken; the transport finds out which
            if sent == len(data):
                return
            data = data[sent:]
        self.add_lag(len(data))
        self._transport.write(data)

    def add_lag(self, size: int) -> None:
        """Count bytes more that wait in the transport."""
        if self.writer is not None:
            self._set_writer(None)
        if not self._waiting:
            self.since = self._clock.seconds()
        self._waiting += size
        self.ready = self._waiting < self._budget

    def join_group(self, group: Group) -> None:
        """Notify a group whenever `writer` has come or gone."""
        self._groups += (group,)

    def leave_group(self, group: Group) -> None:
        """Notify a group no more; one that was joined twice has to be left twice."""
        at = self._groups.index(group)
        self._groups = self._groups[:at] + self._groups[at + 1 :]

    def last_broadcast(self) -> float:
        """Return the seconds of the clock at the last broadcast to a group of this one."""
        return max((group.sent_at for group in self._groups), default=0.0)

    def use_buffered_path(self) -> None:
        """Write through the transport from now on."""
        self._direct = None  # it would keep the connection in memory, too
        self._set_writer(None)

    def close(self) -> None:
        """Let go of the transport, which would otherwise never close."""
        if self._registered:
            self._registered = self.ready = False
            self._end()
            self._below.unregisterProducer()

    def resumeProducing(self) -> None:
        """The transport is empty again."""
        self._waiting = 0
        if getattr(self._below, "disconnecting", False):
            # TLS closes it when the peer has closed, and it never closes with a producer.
            self.close()
            return
        if self._registered:
            self._set_writer(self._direct)
            if not self.ready:
                self.ready = True
                if self._owner is not None:
                    self._owner.drained()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.ready = False
        self._end()

    def _end(self) -> None:
        self.use_buffered_path()
        self._owner = None  # it refers back to this buffer

    def _set_writer(self, writer: DirectWriter | None) -> None:
        if writer is not self.writer:
            self.writer = writer
            for group in self._groups:
                group.writer_changed()


class QueueOwner(Protocol):
    """Owner of a send queue: decides what becomes of a peer that does not read."""

    def overflowed(self) -> None:
        """More than the limit is queued."""


class SendQueue:
    """
    Bounded send queue of one peer, in order.

    Args:
        most: bytes that may be queued.
        owner: notified once when there are more, in a later turn of the reactor: the writer is
            in the middle of something. Until then nothing more is accepted.
        wheel: what is posted leaves with its next step; None = at once.

    Attributes:
        encoder: of the frames that are sent; None = they leave as they are.
        output: what it writes into; while it has a direct writer, nothing is queued here.
    """

    __slots__ = (
        "_clock", "_closed", "_frames", "_last_write", "_makers", "_most", "_over", "_owner",
        "_posted", "_room", "_size", "_wheel", "encoder", "output",
    )  # fmt: skip

    def __init__(
        self,
        transport: Transport,
        clock: IReactorTime,
        most: int,
        owner: QueueOwner,
        encoder: Encoder | None = None,
        wheel: TimerWheel | None = None,
    ) -> None:
        self.output = OutputBuffer(transport, clock, PIECE, self)
        self._clock, self._most = clock, most
        self._owner: QueueOwner | None = owner
        self.encoder, self._wheel = encoder, wheel
        self._posted = b""
        self._makers: tuple[Callable[[], bytes], ...] = ()
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

    @property
    def stalled(self) -> float | None:
        """Since when bytes wait below the queue; None = everything is on its way."""
        return self.output.stalled

    @property
    def untaken(self) -> InFlight | None:
        """The bytes that the peer's machine has not taken; None = unknown, see `in_flight`."""
        below = self.output.untaken
        return None if below is None else below._replace(size=below.size + self._size)

    def send(self, frames: bytes) -> None:
        """Send frames after everything that is queued."""
        self.write(frames if self.encoder is None else self.encoder(frames))

    def write(self, data: bytes) -> None:
        """Send data as it is after everything that is queued."""
        if self._closed or self._over is not None:
            return
        if self._posted:
            data, self._posted = self._posted + data, b""
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

    def post(self, data: bytes) -> None:
        """
        Send news that people look at, soon and all together: a write costs as much as ten
        messages. What is written meanwhile comes behind it; a broadcast may come before it.
        """
        if not data:
            return
        if self._wheel is None or len(self._posted) > PIECE:
            self.write(data)
        elif not self._closed:
            if not self._posted:  # else it is in the wheel already
                self._wheel.add(self, self._clock.seconds())
            self._posted += data

    def flush_delay(self) -> float:
        """
        Return the seconds until shortly before what is posted leaves; 0 = post it now.

        What comes often is gathered so long, and posted once.
        """
        if self._wheel is None:
            return 0.0
        return max(0.0, self._wheel.wait(self._clock.seconds()) - LEAD)

    def post_made(self, make: Callable[[], bytes]) -> None:
        """Send news as `make` returns it when it leaves: once, however often it is posted."""
        if self._wheel is None:
            self.post(make())
        elif not self._closed and make not in self._makers:
            self._makers += (make,)
            self._wheel.add(self, self._clock.seconds())

    def fire(self) -> None:
        """Send what was posted."""
        makers, self._makers, made = self._makers, (), b""
        try:
            made = b"".join([make() for make in makers])
        finally:  # as posted, it would wait for a turn that does not come
            if made or self._posted:
                self.write(made)

    def when_empty(self) -> "Deferred[None]":
        """Return a Deferred that fires when nothing is queued."""
        if self.ready:
            return succeed(None)
        waiting: Deferred[None] = Deferred(self._give_up)
        self._room += (waiting,)
        return waiting

    def clear(self) -> None:
        """Drop the frames that the transport was not given yet."""
        self._frames, self._posted, self._makers = None, b"", ()
        self._size = 0

    def close(self, last: bytes = b"") -> None:
        """Give everything to the transport, then `last`; later writes are ignored."""
        if self._closed:
            return
        if self._over is not None and self._over.active():
            self._over.cancel()
        data = b"".join(self._frames or ()) + self._posted + last
        self.clear()
        if data:
            self.output.write(data)
        self._closed, self._owner = True, None  # it may refer back to this queue
        self.output.close()

    def drained(self) -> None:
        """Write what is queued, as much as the buffer takes."""
        while self._frames and self.output.ready:
            self.output.write(self._piece())
        # One at a time: the first one may fill the queue again.
        while self._room and not self._frames and self.output.ready and self._over is None:
            first, *others = self._room
            self._room = tuple(others)
            first.callback(None)

    def _overflow(self) -> None:
        if self._owner is not None:
            self._owner.overflowed()

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


class Delivery(Protocol):
    """Something that is sent to many in slices, such as a broadcast."""

    @property
    def left(self) -> object:
        """True in a condition as long as somebody was not sent it."""

    def send(self, most: int, when: float) -> int:
        """Send to at most `most` members, at `when` of the clock; return to how many."""


class FanoutQueue:
    """
    Base class of a fan-out: deliveries in their order, cut in slices.

    Attributes:
        queue: what is not delivered to everybody yet.
        delivered: how often something was sent to a member.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self.queue: deque[Delivery] = deque()
        self._timer: IDelayedCall | None = None
        self.delivered = 0

    def deliver(self) -> None:
        """Deliver a slice of what is queued, unless one waits for its turn."""
        if self._timer is not None:
            return
        count = 0
        while self.queue and count < SLICE:
            delivery = self.queue[0]
            count += delivery.send(SLICE - count, self._clock.seconds())
            if not delivery.left:
                self.queue.popleft()
        self.delivered += count
        if self.queue:
            self._timer = self._clock.callLater(0, self._go_on)

    def close(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.queue.clear()

    def _go_on(self) -> None:
        self._timer = None
        self.deliver()
