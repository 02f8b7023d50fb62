"""A terminal that speaks the session dialect on a real socket."""

import socket

from live_daemon import PATIENCE

from mtnet.session import messages
from mtnet.session.grammar import parse


class Peer:
    """
    One session, which reads frame by frame.

    Args:
        address: of this end, such as `127.0.0.2`: another network than others.
        context: of TLS; None = in clear.
    """

    def __init__(self, port, context=None, address="127.0.0.1"):
        plain = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
        self.socket = context.wrap_socket(plain, server_hostname="localhost") if context else plain
        self._lines = self.socket.makefile("rb")
        self.say(messages.hello())
        assert self.read().verb == "WELCOME"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lines.close()
        self.socket.close()

    def say(self, frame):
        self.socket.sendall(frame)

    def read(self):
        """Return the next message; None = the server is gone."""
        try:
            line = self._lines.readline()
        except OSError:
            return None
        if not line.endswith(b">>\r\n"):
            return None
        message = parse(line[2:-4])
        if message.verb == "PING":
            self.say(messages.pong())
            return self.read()
        return message

    def answer(self, frame):
        self.say(frame)
        return self.read()

    def fields(self, verb, count):
        """Return the fields of the next messages of a verb."""
        found = []
        while len(found) < count:
            message = self.read()
            assert message is not None, "the server is gone"
            if message.verb == verb:
                found.append(message.fields)
        return found
