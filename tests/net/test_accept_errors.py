"""What is logged when the system lets us take no connection."""

import errno

import pytest
from twisted.internet import tcp
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import formatEvent

from mtnet.net.accept_errors import BURST, limit_accept_errors


class Listener:
    """A socket of which nothing can be accepted."""

    def __init__(self, error):
        self.error = error

    def accept(self):
        raise OSError(self.error, "no")


class NoReservation:
    """No descriptor is left to close the waiting ones with."""

    def available(self):
        return False


@pytest.fixture
def port(monkeypatch):
    monkeypatch.setattr(tcp, "_reservedFD", NoReservation())
    port = tcp.Port(0, Factory(), reactor=object())
    port.numberAccepts = 1  # as when it listens
    return port


@pytest.mark.parametrize(
    ("error", "words"),
    [(errno.EMFILE, ("open files is reached", "LimitNOFILE=")), (errno.ENFILE, ("fs.file-max",))],
)
def test_a_burst_is_one_sentence_that_names_the_limit(port, log, error, words):
    clock = Clock()
    limit_accept_errors(port, "signals", clock.seconds)
    port.socket = Listener(error)
    for _ in range(50):
        port.doRead()
        clock.advance(1)
    (line,) = map(formatEvent, log)
    assert line.startswith("signals: ")
    assert all(word in line for word in words)
    clock.advance(BURST)
    port.doRead()
    assert len(log) == 2


def test_what_else_twisted_says_of_a_port_is_logged(port, log):
    limit_accept_errors(port, "signals", Clock().seconds)
    port._logger.info("{port} is moved", port="8081")
    assert [formatEvent(event) for event in log] == ["8081 is moved"]
