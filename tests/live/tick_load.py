"""A terminal that sends ticks while others are killed."""

import signal
import socket
import threading
import time

from live_daemon import until

HOST = "127.0.0.1"


class Sender(threading.Thread):
    """A terminal that sends numbered ticks until it is stopped, and dials again when it must."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self._daemon, self._port, self._ended = daemon, daemon.port("ticks"), threading.Event()
        self.sent = 0

    def run(self):
        while not self._ended.is_set():
            self.send(20)
            time.sleep(0.01)

    def send(self, count):
        """Send ticks, and come back when the daemon says that they are stored."""
        text = b"".join(b"EURUSD 1.1 1.2 - %d\n" % (self.sent + at) for at in range(count))
        with socket.create_connection((HOST, self._port), timeout=20) as connection:
            connection.sendall(text + b"SYNC:\n")
            answer = connection.recv(100)
        assert answer, "The daemon closed the connection."
        self.sent += count

    def stop(self):
        self._ended.set()
        self.join()


def sink_of(daemon):
    """Return the status of the one sink of a daemon."""
    (sink,) = daemon.status()["sinks"]["sinks"]
    return sink


def send_while_killed(daemon, option, stop, start):
    """Send while the server of a sink, the daemon and the server again go; return how many."""
    sent = 0
    for killed in ("server", "daemon", "server"):
        sender = Sender(daemon)
        sender.sent = sent
        sender.start()
        until(lambda sender=sender, sent=sent: sender.sent > sent + 100)
        if killed == "server":
            stop()
            until(lambda: sink_of(daemon)["failures"])
            start()
        sender.stop()
        sent = sender.sent
        if killed == "daemon":
            daemon.stop(signal.SIGKILL)
            daemon.start(option)
    return sent
