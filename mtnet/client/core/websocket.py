"""
WebSocket (RFC 6455) of a client, and what it carries: JSON of a session, or lines of ticks.

Pure: bytes in, messages out. Frames and masks are those of wsproto.
"""

from collections.abc import Iterator

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from mtnet.client.core.address import Address
from mtnet.client.core.framing import FrameFraming, Framing, Heartbeat, Received, Unreadable
from mtnet.client.core.lines import MAX_LINE, LineCodec, LineFraming
from mtnet.errors import ClientError, FrameError, WireError
from mtnet.session import json

SESSION, TICKS = "mtnet.v2", "mtnet.ticks"
"""Sub-protocols."""
MAX_MESSAGE = 1_048_576
"""Bytes of a message of the server: many times the longest, so only a server of another kind
sends more."""
MAX_REQUEST = 16_384
"""Bytes of a message that a server reads at most."""
GOING_AWAY = 1_001
"""Code of the close of a client that leaves."""
HEARTBEAT = Heartbeat()


class WebSocket:
    """
    Client's end of a WebSocket. Messages that are sent before the server has accepted wait.

    Args:
        address: of the server.
        subprotocol: that is asked for.
    """

    def __init__(self, address: Address, subprotocol: str) -> None:
        self._connection = WSConnection(ConnectionType.CLIENT)
        self._subprotocol, self._open = subprotocol, False
        self._waiting: list[str] = []
        self._parts: list[str] = []
        self._size = 0
        request = Request(address.authority, address.path, subprotocols=[subprotocol])
        self._output = [self._connection.send(request)]

    def receive(self, data: bytes) -> Iterator[str | Heartbeat]:
        """
        Yield whole messages, and a `Heartbeat` for each ping, which is answered.

        Raises:
            ClientError: the server refuses, closes, or is none for WebSockets.
        """
        try:
            self._connection.receive_data(data)
            for event in self._connection.events():
                yield from self._take(event)
        except RemoteProtocolError as error:
            raise ClientError(f"the server speaks no WebSocket there ({error})") from error

    def send(self, text: str) -> None:
        """Send a message."""
        if self._open:
            self._write(TextMessage(text))
        else:
            self._waiting.append(text)

    def end(self) -> None:
        """Say that the client leaves."""
        self._write(CloseConnection(GOING_AWAY))

    def data_to_send(self) -> bytes:
        """Return what is to be written now."""
        data, self._output = b"".join(self._output), []
        return data

    def _take(self, event: Event) -> Iterator[str | Heartbeat]:
        if isinstance(event, TextMessage):
            yield from self._text(event)
        elif isinstance(event, Ping):
            self._write(event.response())
            yield HEARTBEAT
        elif isinstance(event, AcceptConnection):
            self._accepted(event)
        elif isinstance(event, RejectConnection):
            raise ClientError(
                f"the server refuses the WebSocket with HTTP status {event.status_code}"
            )
        elif isinstance(event, CloseConnection):
            self._write(event.response())
            reason = f": {event.reason}" if event.reason else ""
            raise ClientError(f"the WebSocket is closed (code {int(event.code)}{reason})")
        elif isinstance(event, BytesMessage):
            raise ClientError("the server sends binary messages; it is of another kind")

    def _text(self, event: TextMessage) -> Iterator[str]:
        self._parts.append(event.data)
        self._size += len(event.data)
        if self._size > MAX_MESSAGE:
            raise ClientError(f"a message of the server has more than {MAX_MESSAGE} characters")
        if event.message_finished:
            text, self._parts, self._size = "".join(self._parts), [], 0
            yield text

    def _accepted(self, event: AcceptConnection) -> None:
        if event.subprotocol not in (self._subprotocol, None):
            raise ClientError(f"the server speaks {event.subprotocol}, not {self._subprotocol}")
        self._open = True
        waiting, self._waiting = self._waiting, []
        for text in waiting:
            self.send(text)

    def _write(self, event: Event) -> None:
        try:
            self._output.append(self._connection.send(event))
        except LocalProtocolError:
            return  # it is closed already, or was never open


class JsonFraming:
    """Codec of a session over a WebSocket: one JSON object a message."""

    def __init__(self, address: Address) -> None:
        self._socket = WebSocket(address, SESSION)
        self.end, self.data_to_send = self._socket.end, self._socket.data_to_send

    def receive(self, data: bytes) -> Iterator[Received]:
        """Yield the messages that `data` completes."""
        for message in self._socket.receive(data):
            yield message if isinstance(message, Heartbeat) else _read(message.encode())

    def send(self, frame: bytes) -> None:
        """Send a request, given as the frame that it is on TCP."""
        for message in json.transcode(frame):
            self._socket.send(message.decode())


class LineSocketFraming:
    """Codec of the stream of ticks over a WebSocket: whole lines in messages."""

    def __init__(self, address: Address) -> None:
        self._socket = WebSocket(address, TICKS)
        self.end, self.data_to_send = self._socket.end, self._socket.data_to_send

    def receive(self, data: bytes) -> Iterator[bytes]:
        """Yield the lines that `data` completes."""
        for message in self._socket.receive(data):
            if isinstance(message, Heartbeat):
                continue
            for line in message.splitlines():
                if len(line) > MAX_LINE:
                    raise FrameError("frame", f"A line of more than {MAX_LINE} bytes")
                yield line.encode()

    def send(self, line: bytes) -> None:
        """Send a line, or several with LF between them, given without the last end."""
        message = b""
        for each in line.split(b"\n"):
            if message and len(message) + len(each) + 2 > MAX_REQUEST:
                self._socket.send(message.decode())
                message = b""
            message += each + b"\r\n"
        self._socket.send(message.decode())


def session_framing(address: Address | None) -> Framing:
    """Return the codec of a session with a server; None = on TCP or TLS."""
    return JsonFraming(address) if address is not None and address.path else FrameFraming()


def tick_framing(address: Address | None) -> LineCodec:
    """Return the codec of a stream of ticks; None = on TCP or TLS."""
    return LineSocketFraming(address) if address is not None and address.path else LineFraming()


def _read(data: bytes) -> Received:
    try:
        return json.parse(data)
    except WireError as error:
        return Unreadable(json.salvage(data).verb, error)
