"""
UDP port that reads datagrams in batches, and counts those that the kernel dropped.

The compiled loop reads where it was built; the one in Python does the same.
"""

import errno
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.udp import Port
from twisted.logger import Logger

from mtnet.interfaces import IBurstProtocol

DATAGRAM = 8_192
"""Bytes that are read of one; a longer one is cut here, and its reader must refuse it."""
BURST, BURST_BYTES = 512, 7_680
"""Datagrams and bytes of a batch, before the clock is read: 512 ticks of the classic client, or one
datagram of the worst kind, which takes 20 ms."""
MEMORY_INFO = 55
"""`SO_MEMINFO` of Linux, which Python does not name: what a socket uses, and what it dropped."""
MEMORY = struct.Struct("=9I")
"""Its layout; the last word is `SK_MEMINFO_DROPS`."""
GONE = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EINTR)

Received = tuple[bytes, tuple[Any, ...]]


class BatchingUdpPort(Port):
    """
    Batching UDP port: reads for a bounded time in each turn of the reactor.

    Twisted's own reads up to 256 KiB at once: 16,000 small datagrams, or endless empty ones.

    Args:
        turn: seconds after which the others have their turn.
    """

    _log = Logger()

    def __init__(
        self,
        number: int,
        protocol: DatagramProtocol,
        interface: str,
        reactor: IReactorTime,
        turn: float,
    ) -> None:
        super().__init__(number, protocol, interface, DATAGRAM, reactor)
        self._clock, self._turn = reactor, turn
        self._receiver = IBurstProtocol(protocol, None)
        self._dropped = 0
        self._has_more = False

    def doRead(self) -> None:
        """Pass on datagrams, until there are none left or the time is over."""
        end = self._clock.seconds() + self._turn
        more = True
        while more:
            burst, more = self._receive()
            if burst:
                self._hand_over(burst)
            more = more and bool(self.connected)
            if self._clock.seconds() >= end:
                break
        self._has_more = more

    def has_backlog(self) -> bool:
        """Return whether the last turn ended before everything was read."""
        return self._has_more

    def dropped(self) -> int:
        """Return how many datagrams the kernel dropped; 0 where it is unknown."""
        if self.connected:
            self._dropped += (_dropped(self.socket) - self._dropped) % 2**32
        return self._dropped

    def connectionLost(self, reason: object = None) -> None:
        """The port closes; its drops stay known."""
        self.dropped()
        super().connectionLost(reason)

    def _receive(self) -> tuple[list[Received], bool]:
        """Return a batch, and whether there may be more."""
        burst, error = receive(self.socket, BURST, BURST_BYTES, DATAGRAM)
        # Other errors are about datagrams that were sent; mtnet sends none that matter.
        return burst, not error or (error not in GONE and bool(burst))

    def _hand_over(self, burst: list[Received]) -> None:
        if self._receiver is not None:
            self._call(self._receiver.datagramsReceived, burst)
            return
        for data, address in burst:
            self._call(self.protocol.datagramReceived, data, address[:2])

    def _call(self, receive: Callable[..., None], *received: object) -> None:
        try:
            receive(*received)
        except Exception:
            self._log.failure("{protocol!r} failed", protocol=self.protocol)


def receive_each(
    port: socket.socket, most: int, room: int, largest: int
) -> tuple[list[Received], int]:
    """
    Return datagrams that wait, and the number of the error that ended it; 0 = there may be more.

    Args:
        port: it does not block.
        most, room: how many datagrams, and bytes of them, until it ends.
        largest: bytes that are read of one.
    """
    burst: list[Received] = []
    size = 0
    try:
        while size < room and len(burst) < most:
            received = port.recvfrom(largest)
            burst.append(received)
            size += len(received[0])
    except OSError as error:
        return burst, error.errno or errno.EIO
    return burst, 0


try:
    from mtnet.net._receive import receive
except ImportError:  # there was no compiler where it was installed
    receive = receive_each


def set_receive_buffer(port: BatchingUdpPort, wanted: int) -> int:
    """
    Ask the kernel for a receive buffer of `wanted` bytes; return how many it granted.

    Linux reads back twice what it granted.
    """
    handle: socket.socket = port.socket
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, min(wanted, 2**31 - 1))
    granted = handle.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return granted // 2 if sys.platform == "linux" else granted


def _dropped(handle: socket.socket) -> int:
    if sys.platform != "linux":
        return 0
    try:
        answer = handle.getsockopt(socket.SOL_SOCKET, MEMORY_INFO, MEMORY.size)
        return int(MEMORY.unpack(answer)[-1])
    except (OSError, struct.error):  # a kernel before 4.12
        return 0
