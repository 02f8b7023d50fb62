"""Errors of `accept`: what is logged, and which connections are closed."""

import errno
import os
import socket

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from mtnet.net.accept_errors import BURST, CLOSED_PER_WAKEUP, limit_accept_errors


class Listener:
    """A socket of which nothing can be accepted, but for some connections that wait."""

    def __init__(self, error, waiting=0):
        self.error, self.waiting, self.closed = error, waiting, 0
        self.refused = True

    def accept(self):
        if self.refused or not self.waiting:
            self.refused = False
            raise OSError(self.error, "no")
        self.waiting -= 1
        return self, ("192.0.2.1", 1)

    def close(self):
        self.closed += 1


@pytest.fixture
def port():
    port = tcp.Port(0, Factory(), reactor=object())
    port.numberAccepts = 1  # as when it listens
    return port


@pytest.mark.parametrize(
    ("error", "words"),
    [(errno.EMFILE, ("open files is reached", "LimitNOFILE=")), (errno.ENFILE, ("fs.file-max",))],
)
def test_a_burst_is_one_sentence_that_names_the_limit(port, log, error, words):
    clock = Clock()
    port.socket = Listener(error)
    limit_accept_errors(port, "signals", clock.seconds)
    for _ in range(50):
        port.doRead()
        clock.advance(1)
    (line,) = map(formatEvent, log)
    assert line.startswith("signals: ")
    assert all(word in line for word in words)
    clock.advance(BURST)
    port.doRead()
    assert len(log) == 2


def test_waiting_connections_are_closed_at_the_limit_of_open_files(port, log):
    port.socket = listener = Listener(errno.EMFILE, waiting=CLOSED_PER_WAKEUP + 3)
    limit_accept_errors(port, "signals", Clock().seconds)
    port.doRead()
    assert (listener.closed, listener.waiting) == (CLOSED_PER_WAKEUP, 3)
    assert len(log) == 1


def test_the_reserved_descriptor_makes_room_for_an_accept_and_is_reserved_again(port, log):
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    port.socket = listening
    limit_accept_errors(port, "signals", Clock().seconds)
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(3)]
    free = os.dup(0)
    os.close(free)  # the lowest free descriptor, and the first one above the limit
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        port.doRead()
        assert [client.recv(1) for client in clients] == [b"", b"", b""]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    (line,) = map(formatEvent, log)
    assert "open files is reached" in line
    before = len(os.listdir("/dev/fd"))
    port.socket.close()
    assert len(os.listdir("/dev/fd")) == before - 2
    for client in clients:
        client.close()


def test_other_errors_are_reported_by_twisted(port, log):
    port.socket = Listener(errno.EBADF)
    limit_accept_errors(port, "signals", Clock().seconds)
    port.doRead()
    assert any("[Errno 9]" in str(event) for event in log)
