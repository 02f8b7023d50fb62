"""A proxy that passes TCP on, until it is told to hold everything back."""

import socket
import threading
import time
from contextlib import suppress

HOST = "127.0.0.1"


class StalledProxy:
    """
    Context manager: a port that leads to another.

    Attributes:
        stalled: while it is set, connections are taken and nothing passes.
    """

    def __init__(self, port):
        self._target, self._open = port, []
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.stalled = threading.Event()

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_):
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection((HOST, self._target))
                self._open += near, far
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    def _pass_on(self, source, target):
        with suppress(OSError):
            while data := source.recv(65_536):
                while self.stalled.is_set():
                    time.sleep(0.01)
                target.sendall(data)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
