"""How many connections are taken in one turn."""

import socket

import pytest
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Port

from mtnet.daemon.ports import ACCEPTS_PER_WAKEUP, limit_accepts_per_wakeup


class Still:
    """A reactor in which nothing happens by itself."""

    def addReader(self, reader):
        pass

    removeReader = addReader


RUSH = 3 * ACCEPTS_PER_WAKEUP + 1


class Refuses(ServerFactory):
    noisy = False
    came = 0

    def buildProtocol(self, addr):
        self.came += 1


@pytest.fixture
def factory():
    return Refuses()


@pytest.fixture
def port(factory):
    port = Port(0, factory, interface="127.0.0.1", reactor=Still())
    port.startListening()
    yield port
    port.stopReading()
    port.socket.close()


@pytest.fixture
def rush(port):
    clients = [socket.create_connection(("127.0.0.1", port.getHost().port)) for _ in range(RUSH)]
    yield
    for each in clients:
        each.close()


def test_a_rush_is_taken_a_few_in_each_turn(port, factory, rush):
    limit_accepts_per_wakeup(port)
    taken = []
    for _ in range(5):
        before = factory.came
        port.doRead()
        taken.append(factory.came - before)
    assert taken == [ACCEPTS_PER_WAKEUP, ACCEPTS_PER_WAKEUP, ACCEPTS_PER_WAKEUP, 1, 0]


def test_one_that_comes_behind_a_rush_is_taken_at_once(port, factory, rush):
    limit_accepts_per_wakeup(port)
    for _ in range(5):
        port.doRead()
    with socket.create_connection(("127.0.0.1", port.getHost().port)):
        port.doRead()
    assert factory.came == RUSH + 1
