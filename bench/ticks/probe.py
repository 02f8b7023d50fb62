"""How long a position takes from its publisher to a follower."""

import re
import socket
import threading
import time
from itertools import cycle

from bench.peers import HOST

EVERY = 1.0
"""Seconds from one change to the next."""
PATIENCE = 10.0
"""Seconds after which a position counts as late by so much, and is waited for no longer."""
GRACE = 1.0
"""More than the silence that makes a connection a follower."""


class Probe:
    """A publisher with one symbol and a follower: each on one connection for the whole time."""

    def __init__(self, port: int) -> None:
        self._volumes = cycle(("0.01", "0.02"))
        self._publisher = socket.create_connection((HOST, port), PATIENCE)
        self._publisher.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._publish("0.02")
        self._follower = socket.create_connection((HOST, port), PATIENCE)
        time.sleep(GRACE)

    def close(self) -> None:
        """Hang up on both sides."""
        self._publisher.close()
        self._follower.close()

    def delays(self, enough: threading.Event) -> list[float]:
        """Change the position once a second until `enough` is set; return each delay."""
        delays: list[float] = []
        while not enough.wait(max(0.0, EVERY - (delays[-1] if delays else EVERY))):
            delays.append(self._delay(next(self._volumes)))
        return delays

    def _delay(self, volume: str) -> float:
        start = time.monotonic()
        self._publish(volume)
        self._await(volume, start + PATIENCE)
        return time.monotonic() - start

    def _publish(self, volume: str) -> None:
        self._publisher.sendall(f"<<BENCH|{volume}>>".encode())

    def _await(self, volume: str, until: float) -> None:
        frame = re.compile(rf"<<BENCH\|{re.escape(volume)}>>".encode())
        heard = b""
        while not frame.search(heard) and (left := until - time.monotonic()) > 0:
            self._follower.settimeout(left)
            try:
                more = self._follower.recv(4096)
            except TimeoutError:
                return
            if not more:
                raise ConnectionError("mtnet hung up on the follower")
            heard += more
