"""A network between terminals and a server that a test can hang or cut."""

import selectors
import socket
import threading
from contextlib import suppress

LOOPBACK = "127.0.0.1"
BLOCK = 65_536
TICK = 0.05
"""Seconds until a change of the network is noticed."""


class Link:
    """
    Relays TCP connections to a port.

    Args:
        buffer: bytes of the server's that wait here unread; None = as many as the system takes.

    Attributes:
        port: where terminals connect.
        hung: whether nothing passes, with every connection open.
        left: bytes of the server that pass before it hangs; None = any number.
        cut: whether connections are refused and broken.
    """

    def __init__(self, target: int, buffer: int | None = None):
        self.target, self.hung, self.cut = target, False, False
        self.left: int | None = None
        self._buffer, self._far = buffer, set[socket.socket]()
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._others: dict[socket.socket, socket.socket] = {}
        self._closed = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closed = True
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as self._selector, self._listener:
            self._selector.register(self._listener, selectors.EVENT_READ)
            while not self._closed:
                ready = [key.fileobj for key, _ in self._selector.select(TICK)]
                if self.cut:
                    self._end_all()
                if self.hung:
                    threading.Event().wait(TICK)
                else:
                    for each in ready:
                        self._pass(each)  # type: ignore[arg-type]
            self._end_all()

    def _pass(self, ready: socket.socket) -> None:
        if ready is self._listener:
            self._accept()
        elif ready in self._others:
            self._relay(ready, self._others[ready])

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.socket()
        try:
            if self._buffer is not None:
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
            far.connect((LOOPBACK, self.target))
        except OSError:
            near.close()
            far.close()
            return
        if self.cut:
            near.close()
            far.close()
            return
        self._far.add(far)
        for each, other in ((near, far), (far, near)):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._others[each] = other
            self._selector.register(each, selectors.EVENT_READ)

    def _relay(self, source: socket.socket, target: socket.socket) -> None:
        data = b""
        with suppress(OSError):
            data = source.recv(BLOCK)
            target.sendall(data)
        if self.left is not None and source in self._far:
            self.left -= len(data)
            self.hung = self.left <= 0
        if not data:
            self._end(source)

    def _end(self, one: socket.socket) -> None:
        for each in (one, self._others[one]):
            del self._others[each]
            self._far.discard(each)
            self._selector.unregister(each)
            each.close()

    def _end_all(self) -> None:
        while self._others:
            self._end(next(iter(self._others)))
