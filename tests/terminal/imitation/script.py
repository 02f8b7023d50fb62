"""A provider without a terminal: it publishes what a test says, by ticket too."""

import socket
from itertools import count

from imitation.server import LOOPBACK, Server
from imitation.waiting import PATIENCE

BLOCK = 65_536


class Script:
    """A publisher that connects for each of its signals, so it owes no heartbeat."""

    def __init__(self, server: Server, channel: str):
        self.server, self.channel = server, channel
        self._ids = count(1)

    def publish(self, symbol: str, lots: str, **fields: str) -> None:
        """Set a position or an order, and wait until it is stored."""
        values = {"symbol": symbol, "volume": lots, "channel": self.channel} | fields
        payload = "".join(f"|{name}={value}" for name, value in values.items())
        address = (LOOPBACK, self.server.port)
        with socket.create_connection(address, PATIENCE) as connection:
            name = f"script-{connection.getsockname()[1]}-{next(self._ids)}"
            connection.sendall(f"<<HELLO|v=2|name=script>><<PUBLISH|id={name}{payload}>>".encode())
            self._wait_for(b"<<STORED|", connection)

    @staticmethod
    def _wait_for(answer: bytes, connection: socket.socket) -> None:
        received = b""
        while answer not in received:
            more = connection.recv(BLOCK)
            assert more, received
            assert b"<<ERROR|" not in more, more
            received += more
