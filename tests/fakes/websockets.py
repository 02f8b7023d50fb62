"""The server's end of a WebSocket, for servers that a test writes."""

from twisted.internet.protocol import Protocol
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    CloseConnection,
    Ping,
    Pong,
    RejectConnection,
    Request,
    TextMessage,
)

from mtnet.services.signals.wire.requests import read_request
from mtnet.session import json


class WebSocketEnd:
    """
    The server's end, bytes in and bytes out.

    Attributes:
        asked: the opening handshake.
        status: of a handshake that is refused; 0 = it is accepted.
        messages: of the client.
        pongs, closes: of the client.
    """

    def __init__(self, status=0, protocol=None):
        self.wire = WSConnection(ConnectionType.SERVER)
        self.status, self.protocol, self.asked = status, protocol, None
        self.messages, self.pongs, self.closes = [], [], []
        self.output = b""

    def feed(self, data):
        """Take bytes; return the messages that they complete."""
        self.wire.receive_data(data)
        before = len(self.messages)
        for event in self.wire.events():
            if isinstance(event, Request):
                self.asked = event
                self.answer(event)
            elif isinstance(event, TextMessage):
                self.messages.append(event.data)
            elif isinstance(event, Pong):
                self.pongs.append(event.payload)
            elif isinstance(event, CloseConnection):
                self.closes.append(event.code)
        return self.messages[before:]

    def answer(self, request):
        if self.status:
            self.send(RejectConnection(status_code=self.status))
        else:
            self.send(AcceptConnection(subprotocol=self.protocol or request.subprotocols[0]))

    def send(self, event):
        self.output += self.wire.send(event)

    def text(self, text, finished=True):
        self.send(TextMessage(text, message_finished=finished))

    def ping(self):
        self.send(Ping(b"alive?"))

    def close(self, code, reason=""):
        self.send(CloseConnection(code, reason))

    def take_output(self):
        data, self.output = self.output, b""
        return data


class WebSocketSession(Protocol):
    """One session in the eyes of a server whose `takes(session, request)` answers."""

    def __init__(self, server):
        self.server, self.end = server, WebSocketEnd()

    def dataReceived(self, data):
        messages = self.end.feed(data)
        self.flush()
        for text in messages:
            self.server.takes(self, read_request(json.parse(text.encode())))

    def say(self, *frames):
        for frame in frames:
            for message in json.transcode(frame):
                self.end.text(message.decode())
        self.flush()

    def flush(self):
        self.transport.write(self.end.take_output())
