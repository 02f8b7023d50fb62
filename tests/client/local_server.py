"""A server of the session dialect on loopback, which a test answers for."""

import asyncio
from contextlib import asynccontextmanager

from fakes.websockets import WebSocketEnd

from mtnet.services.signals.wire.requests import read_request
from mtnet.session import json
from mtnet.session.grammar import FrameDecoder, parse


class Session(asyncio.Protocol):
    """One connection in the eyes of the server."""

    def __init__(self, local):
        self.local, self.decoder, self.rest = local, FrameDecoder(), b""

    def connection_made(self, transport):
        self.transport = transport
        self.local.sessions.append(self)

    def data_received(self, data):
        self.local.heard += data
        for payload in self.decoder.feed(data):
            self.local.server.takes(self, read_request(parse(payload)))

    def say(self, *frames):
        if not self.transport.is_closing():
            self.transport.write(b"".join(frames))


class LineSession(Session):
    def data_received(self, data):
        self.local.heard += data
        *lines, self.rest = (self.rest + data).split(b"\r\n")
        for line in lines:
            self.local.server.takes(self, line)


class SocketSession(Session):
    """One WebSocket, of JSON or of lines as the client asks."""

    def __init__(self, local):
        super().__init__(local)
        self.end = WebSocketEnd()

    def data_received(self, data):
        messages = self.end.feed(data)
        self.flush()
        for text in messages:
            self.local.heard += text.encode()
            self.local.server.takes(self, self.read(text))

    def read(self, text):
        return read_request(json.parse(text.encode()))

    def say(self, *frames):
        for message in json.transcode(b"".join(frames)):
            self.end.text(message.decode())
        self.flush()

    def flush(self):
        if not self.transport.is_closing():
            self.transport.write(self.end.take_output())


class SocketLineSession(SocketSession):
    def read(self, text):
        return text.strip().encode()

    def say(self, *lines):
        self.end.text(b"".join(lines).decode())
        self.flush()


class LocalServer:
    """
    The port.

    Attributes:
        server: `takes(session, request)` answers.
        sessions: every connection, oldest first.
        heard: everything that was received.
        address: as text.
    """

    def __init__(self, server, session=Session):
        self.server, self.sessions, self.heard, self.kind = server, [], b"", session
        self.port, self.listening = 0, None

    @property
    def address(self):
        if issubclass(self.kind, SocketSession):
            return f"ws://127.0.0.1:{self.port}/ws"
        return f"tcp:127.0.0.1:{self.port}"

    async def open(self):
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_server(lambda: self.kind(self), "127.0.0.1", self.port)
        self.port = self.listening.sockets[0].getsockname()[1]
        return self

    def cut(self):
        """Break every connection."""
        for session in self.sessions:
            session.transport.abort()

    def close(self):
        """Listen no more, and break every connection."""
        self.listening.close()
        self.cut()


@asynccontextmanager
async def serving(server, session=Session):
    local = await LocalServer(server, session).open()
    try:
        yield local
    finally:
        local.close()


async def until(condition, seconds=10.0):
    """Wait until something is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
