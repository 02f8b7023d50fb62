"""
WebSocket of a server: the handshake, the messages of a client, and frames to it (RFC 6455).

Bytes in, bytes out; wsproto reads the frames. Those to a client are made here: a server masks none,
so that the same bytes go to all who are sent the same. Compression (RFC 7692) begins anew with
each message, on both sides: a compressed frame can be shared, too, and an idle connection keeps no
window of 32 kB.
"""

import struct
import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection
from functools import partial
from hashlib import sha1
from typing import Any, NamedTuple, Protocol

from twisted.web.http_headers import Headers
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.extensions import Extension
from wsproto.frame_protocol import CloseReason, FrameDecoder, FrameProtocol, Opcode, RsvBits

from mtnet.errors import HttpError

VERSION = b"13"
NO_CODE = CloseReason.NO_STATUS_RCVD
"""Of a close frame without a code: it is never sent."""
MAX_REASON = 123
"""Bytes of the reason in a close frame."""
WINDOW = 15
"""Bits of the window of compression, the most there are: with 12 zlib moves its memory so often
that a message of 40 kB, the changes of a hundred followers, takes ten times as long."""
LEVEL = 3
"""Of compression: such a message takes a sixth of the time of level 6, for an eighth more bytes."""
DEFLATE_FROM = 256
"""Bytes from which a message is compressed: without the window of those before it, a shorter one
hardly gets smaller."""
SLACK = 128
"""Bytes by which a compressed message of the largest size may be longer than that."""

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_DEFLATE = "permessage-deflate"
_AGREED = f"{_DEFLATE}; server_no_context_takeover; client_no_context_takeover"
_FIN, _COMPRESSED = 0x80, 0x40
_TAIL = b"\0\0\xff\xff"
"""The end of a flushed block, which is left out in a frame."""
_DEFLATE_STREAM = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW)
"""Compresses each message alone. One for all: to make one takes as long as a message of 20 kB,
since its 268 kB come from the kernel and go back each time."""


class Upgrade(NamedTuple):
    """
    An opening handshake that is accepted.

    Attributes:
        answer: the bytes of the answer.
        protocol: the sub-protocol; empty = none.
        deflate: whether messages may be compressed.
    """

    answer: bytes
    protocol: str
    deflate: bool


def accept(headers: Headers, known: Collection[str], browser: bool) -> Upgrade:
    """
    Check the headers of an opening handshake, and answer it.

    Args:
        known: the sub-protocols; one must be among those that the client offers, if it offers any.
        browser: it is offered compression. Other programs are near, and save its time.

    Raises:
        HttpError: 400, or 426 with another version.
    """
    if b"websocket" not in _tokens(headers, b"Upgrade"):
        raise HttpError(426, "upgrade", "This path takes WebSocket connections: Upgrade: websocket")
    if b"upgrade" not in _tokens(headers, b"Connection"):
        raise HttpError(400, "upgrade", "Connection names what it upgrades: Connection: Upgrade")
    if headers.getRawHeaders(b"Sec-WebSocket-Version") != [VERSION]:
        raise HttpError(426, "version", "Sec-WebSocket-Version is 13")
    keys = headers.getRawHeaders(b"Sec-WebSocket-Key", [])
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HttpError(400, "key", "Sec-WebSocket-Key is 16 bytes in Base64, and given once")
    protocol = _choose(_texts(headers, b"Sec-WebSocket-Protocol"), known)
    agreed = _agree(_texts(headers, b"Sec-WebSocket-Extensions")) if browser else ""
    lines = [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade",
        b"Sec-WebSocket-Accept: " + b64encode(sha1(keys[0] + _GUID).digest()),
        *([b"Sec-WebSocket-Protocol: " + protocol.encode()] if protocol else []),
        *([b"Sec-WebSocket-Extensions: " + agreed.encode()] if agreed else []),
    ]
    return Upgrade(b"\r\n".join(lines) + b"\r\n\r\n", protocol, bool(agreed))


def _texts(headers: Headers, name: bytes) -> list[str]:
    """Return the items of a header, which commas separate."""
    raw = b",".join(headers.getRawHeaders(name, []))
    return [item for each in raw.decode("latin-1").split(",") if (item := each.strip())]


def _tokens(headers: Headers, name: bytes) -> list[bytes]:
    return [each.lower().encode("latin-1") for each in _texts(headers, name)]


def _is_key(key: bytes) -> bool:
    try:
        return len(b64decode(key.strip(), validate=True)) == 16
    except Base64Error:
        return False


def _choose(offered: Collection[str], known: Collection[str]) -> str:
    found = next((each for each in offered if each in known), "")
    if offered and not found:
        names = ", ".join(known)
        raise HttpError(400, "protocol", f"Sec-WebSocket-Protocol is one of {names}, or not given")
    return found


def _agree(offers: Collection[str]) -> str:
    """Return the answer to the first offer of compression that can be kept; empty = to none."""
    return next(filter(None, map(_agree_to, offers)), "")


def _agree_to(offer: str) -> str:
    name, *parameters = (each.strip() for each in offer.split(";"))
    pairs = [each.partition("=") for each in parameters]
    values = {key.strip(): value.strip().strip('"') for key, _, value in pairs}
    window = values.get("server_max_window_bits")
    if name != _DEFLATE or len(values) < len(pairs) or not all(map(_is_known, values.items())):
        return ""
    if window is None:
        return _AGREED
    return f"{_AGREED}; server_max_window_bits={WINDOW}" if int(window) >= WINDOW else ""


def _is_known(parameter: tuple[str, str]) -> bool:
    key, value = parameter
    if key in ("server_no_context_takeover", "client_no_context_takeover"):
        return not value
    bits = value in map(str, range(8, 16))
    return (key == "server_max_window_bits" and bits) or (
        key == "client_max_window_bits" and (bits or not value)
    )


# Frames to the client


def frame(opcode: Opcode, payload: bytes, compressed: bool = False) -> bytes:
    """Return a frame; the payload of one that controls has 125 bytes at most."""
    first, size = _FIN | (_COMPRESSED if compressed else 0) | opcode, len(payload)
    if size < 126:
        return struct.pack("!BB", first, size) + payload
    if size < 65_536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


text_frame: Callable[[bytes], bytes] = partial(frame, Opcode.TEXT)
"""Returns the frame of a text."""


def deflated_frame(text: bytes) -> bytes:
    """Return the frame of a text, compressed where that makes it shorter."""
    if len(text) < DEFLATE_FROM:
        return text_frame(text)
    # A full flush forgets the text: what follows refers to nothing before it.
    data = _DEFLATE_STREAM.compress(text) + _DEFLATE_STREAM.flush(zlib.Z_FULL_FLUSH)
    shorter = data.removesuffix(_TAIL)
    return frame(Opcode.TEXT, shorter, True) if len(shorter) < len(text) else text_frame(text)


def close_frame(code: int, reason: str = "") -> bytes:
    """Return the frame that closes a connection; its reason is cut."""
    if code == NO_CODE:
        return frame(Opcode.CLOSE, b"")
    shown = reason.encode()[:MAX_REASON].decode("utf-8", "ignore").encode()
    return frame(Opcode.CLOSE, struct.pack("!H", code) + shown)


# Messages of the client


class Receiver(Protocol):
    """Handler of the messages of a client."""

    def text(self, data: bytes) -> None:
        """Take a text message: valid UTF-8, no longer than the limit."""

    def binary(self, data: bytes) -> None:
        """Take a binary message."""

    def ping(self, payload: bytes) -> None:
        """Answer with a pong of the same payload."""

    def pong(self) -> None:
        """Note a sign of life."""

    def ended(self, code: int, broken: bool) -> None:
        """
        Answer with a close frame of a code, and close; nothing that the client sends counts now.

        Args:
            broken: it has broken a rule; else it has closed.
        """


class MessageReader:
    """
    Decoder of the messages of one client, behind the handshake.

    Args:
        limit: bytes of a message; of a longer one, or of one that is longer when it is inflated,
            no more is kept.
        deflate: whether messages may be compressed.
    """

    __slots__ = ("_connection", "_ended", "_limit", "_message", "_receiver")

    def __init__(self, receiver: Receiver, limit: int, deflate: bool = False) -> None:
        extensions: list[Extension] = [Inflate(limit)] if deflate else []
        self._connection = Connection(ConnectionType.SERVER, extensions)
        self._receiver, self._limit = receiver, limit
        self._message, self._ended = b"", False

    def feed(self, data: bytes) -> int:
        """Read bytes; return how many frames, and parts of them, they held."""
        if self._ended:
            return 0
        self._connection.receive_data(data)
        count = 0
        for event in self._connection.events():
            count += 1
            _HANDLERS[type(event)](self, event)
            if self._ended:
                break
        return count

    def end(self) -> None:
        """Read nothing more: we have closed."""
        self._ended = True

    def _text(self, event: TextMessage) -> None:
        self._part(event.data.encode(), event.message_finished, self._receiver.text)

    def _binary(self, event: BytesMessage) -> None:
        self._part(bytes(event.data), event.message_finished, self._receiver.binary)

    def _part(self, data: bytes, last: bool, take: Callable[[bytes], None]) -> None:
        self._message += data
        if len(self._message) > self._limit:
            self._close(CloseReason.MESSAGE_TOO_BIG, True)
        elif last:
            message, self._message = self._message, b""
            take(message)

    def _ping(self, event: Ping) -> None:
        self._receiver.ping(bytes(event.payload))

    def _pong(self, event: Pong) -> None:
        self._receiver.pong()

    def _closed(self, event: CloseConnection) -> None:
        self._close(event.code, self._connection.state is ConnectionState.OPEN)

    def _close(self, code: int, broken: bool) -> None:
        self._ended, self._message = True, b""
        self._receiver.ended(code, broken)


_HANDLERS: dict[type, Callable[[MessageReader, Any], None]] = {
    TextMessage: MessageReader._text,
    BytesMessage: MessageReader._binary,
    Ping: MessageReader._ping,
    Pong: MessageReader._pong,
    CloseConnection: MessageReader._closed,
}


class Inflate(Extension):
    """
    The receiving side of permessage-deflate, with a limit: wsproto's own inflates whatever comes.

    Args:
        limit: bytes of an inflated message.
    """

    name = _DEFLATE

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._compressed = self._control = self._unfinished = False
        self._inflater: Any = None
        self._taken = self._made = 0

    def enabled(self) -> bool:
        return True

    def offer(self) -> bool | str:
        return False

    def frame_inbound_header(
        self, proto: FrameDecoder | FrameProtocol, opcode: Opcode, rsv: RsvBits, payload_length: int
    ) -> CloseReason | RsvBits:
        self._control, goes_on = opcode.iscontrol(), opcode is Opcode.CONTINUATION
        if rsv.rsv1 and (self._control or goes_on):
            return CloseReason.PROTOCOL_ERROR
        # wsproto looks for this behind the payload, which may be no deflate stream.
        if not self._control and goes_on is not self._unfinished:
            return CloseReason.PROTOCOL_ERROR
        if not (self._control or goes_on):
            self._compressed, self._inflater = rsv.rsv1, None
            self._taken = self._made = 0
        return RsvBits(True, False, False)

    def frame_inbound_payload_data(
        self, proto: FrameDecoder | FrameProtocol, data: bytes
    ) -> bytes | CloseReason:
        return data if self._control or not self._compressed else self._inflate(data)

    def frame_inbound_complete(
        self, proto: FrameDecoder | FrameProtocol, fin: bool
    ) -> bytes | CloseReason | None:
        if self._control:
            return None
        self._unfinished = not fin
        if self._unfinished or not self._compressed:
            return None
        rest, self._inflater = self._inflate(_TAIL), None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        self._taken += len(data)
        self._inflater = self._inflater or zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            made: bytes = self._inflater.decompress(data, self._limit + 1 - self._made)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        if self._inflater.unused_data.strip(_TAIL):
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA  # behind the last block, more follows
        self._made += len(made)
        if self._made > self._limit or self._taken > self._limit + SLACK:
            return CloseReason.MESSAGE_TOO_BIG
        return made
