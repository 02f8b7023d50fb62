"""WebSocket frames as raw bytes, made and read without any library that the daemon uses."""

import base64
import json
import struct
import zlib
from typing import NamedTuple

KEY = base64.b64encode(b"mtnet test bytes").decode()
ACCEPT = "kgbh0ua07rybS+SZdM8bvBr46pk="
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
MASK = b"\x37\xfa\x21\x3d"


def request(path="/ws", host="localhost", key=KEY, **headers):
    """Return an opening handshake; a header that is None is left out, `_` is `-`."""
    named = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    lines = [f"{name}: {value}" for name, value in named.items() if value is not None]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode("latin-1")


def frame(payload=b"", opcode=TEXT, fin=True, rsv=0, masked=True, size=None, key=MASK):
    """
    Return a frame of a client.

    Args:
        rsv: the three reserved bits, 4 = the first.
        size: the length field as bytes, with the bit of the mask left out; None = the shortest.
    """
    count = len(payload)
    if size is None:
        if count < 126:
            size = bytes([count])
        elif count < 65_536:
            size = struct.pack("!BH", 126, count)
        else:
            size = struct.pack("!BQ", 127, count)
    head = bytes([fin << 7 | rsv << 4 | opcode, masked << 7 | size[0]]) + size[1:]
    if not masked:
        return head + payload
    return head + key + bytes(each ^ key[at % 4] for at, each in enumerate(payload))


def text(value, **more):
    """Return a text message: JSON of a dict, else the text itself."""
    shown = json.dumps(value) if isinstance(value, dict) else value
    return frame(shown if isinstance(shown, bytes) else shown.encode(), **more)


def close(code=None, reason=b""):
    return frame(b"" if code is None else struct.pack("!H", code) + reason, CLOSE)


def deflated(payload, wbits=-15, end=zlib.Z_SYNC_FLUSH):
    """Return a payload as permessage-deflate has it."""
    compress = zlib.compressobj(wbits=wbits)
    return (compress.compress(payload) + compress.flush(end)).removesuffix(b"\0\0\xff\xff")


class Frame(NamedTuple):
    opcode: int
    payload: bytes
    compressed: bool = False

    @property
    def code(self):
        """The code of a close frame; None = it has none."""
        return struct.unpack("!H", self.payload[:2])[0] if self.payload else None

    @property
    def json(self):
        assert self.opcode == TEXT
        return json.loads(self.payload)


def frames(data):
    """Return the frames of a server: whole, not masked, inflated."""
    found = []
    while data:
        first, size = data[:2]
        assert first & 0xB0 == 0x80, "not final, or a reserved bit"
        assert size < 128, "masked"
        at = 2
        if size >= 126:
            at = 4 if size == 126 else 10
            size = int.from_bytes(data[2:at], "big")
        payload, data = data[at : at + size], data[at + size :]
        assert len(payload) == size, "cut"
        if first & 0x40:
            payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
        found.append(Frame(first & 0x0F, payload, bool(first & 0x40)))
    return found


class Answer:
    """The answer to an opening handshake, and the frames behind it."""

    def __init__(self, data):
        head, _, self.rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        _, status, self.reason = first.split(" ", 2)
        self.status = int(status)
        self.headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }

    @property
    def frames(self):
        return frames(self.rest)


class WebSocketTerminal:
    """
    A client of WebSocket in memory.

    Args:
        terminal: a `mtnet.testing.Terminal`, connected and silent.
        headers: of the handshake.
    """

    def __init__(self, terminal, **headers):
        self.terminal = terminal
        terminal.send(request(**headers))
        self.answer = Answer(terminal.received())

    def send(self, *messages):
        """Send messages: a dict as JSON, a str as text, bytes as they are."""
        for each in messages:
            self.terminal.send(each if isinstance(each, bytes) else text(each))

    def received(self):
        """Return the frames since the last call."""
        return frames(self.terminal.received())

    def messages(self):
        """Return the JSON objects since the last call; there is nothing else."""
        return [each.json for each in self.received()]

    def ask(self, *messages):
        self.send(*messages)
        return self.messages()
