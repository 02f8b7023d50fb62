"""
Framing of the session dialect: the bytes of a connection into messages, and requests into bytes.

Pure.
"""

from collections.abc import Iterator
from typing import Protocol

from msgspec import Struct

from mtnet.errors import WireError
from mtnet.session.grammar import MAX_FRAME, FrameDecoder, Message, parse, salvage


class Unreadable(Struct, frozen=True):
    """
    A message that cannot be read.

    Attributes:
        verb: as far as it can be read.
    """

    verb: str
    error: WireError


class Heartbeat(Struct, frozen=True):
    """A sign of life of the server that is answered already."""


Received = Message | Unreadable | Heartbeat


class Framing(Protocol):
    """Codec of one connection."""

    def receive(self, data: bytes) -> Iterator[Received]:
        """
        Yield what `data` completes; run it to its end.

        Raises:
            FrameError, ClientError: nothing more can be read.
        """

    def send(self, frame: bytes) -> None:
        """Send a request, given as the frame that it is on TCP."""

    def end(self) -> None:
        """Say that nothing is sent any more."""

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""


class FrameFraming:
    """Codec of `<<VERB|key=value>>`, as on TCP and TLS."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder(2 * MAX_FRAME, 4 * MAX_FRAME)
        self._output: list[bytes] = []

    def receive(self, data: bytes) -> Iterator[Received]:
        """Yield the messages that `data` completes."""
        for payload in self._decoder.feed(data):
            try:
                yield parse(payload)
            except WireError as error:
                yield Unreadable(salvage(payload).verb, error)

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        self._output.append(frame)

    def end(self) -> None:
        """Do nothing: the end of the connection says it."""

    def data_to_send(self) -> bytes:
        """Return the frames that wait."""
        data, self._output = b"".join(self._output), []
        return data
