"""Sending in this turn of the reactor."""

from types import SimpleNamespace

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionLost
from twisted.internet.testing import StringTransport

from mtnet.net.prompt import send_now


class Wire(FileDescriptor):
    """A connection of which the test sees when it sends."""

    def __init__(self, room=1_000):
        super().__init__(SimpleNamespace(addWriter=self.watch, removeWriter=self.unwatch))
        self.connected, self.room, self.sent, self.watched = 1, room, b"", False

    def watch(self, _):
        self.watched = True

    def unwatch(self, _):
        self.watched = False

    def writeSomeData(self, data):
        if self.room is None:
            return ConnectionLost()
        self.sent += bytes(data[: self.room])
        return min(len(data), self.room)


def test_what_waits_is_sent_at_once():
    wire = Wire()
    wire.write(b"STORED")
    assert wire.sent == b""
    send_now(SimpleNamespace(transport=wire))
    assert wire.sent == b"STORED"
    assert not wire.watched


def test_what_the_kernel_does_not_take_is_left_to_the_reactor():
    wire = Wire(room=2)
    wire.write(b"STORED")
    send_now(wire)
    assert wire.sent == b"ST"
    assert wire.watched


@pytest.mark.parametrize("state", [{"room": None}, {"disconnecting": True}, {"connected": 0}])
def test_whatever_ends_a_connection_is_left_to_the_reactor(state):
    wire = Wire()
    wire.write(b"STORED")
    vars(wire).update(state)
    send_now(wire)
    assert wire.sent == b""
    assert wire.watched


def test_a_transport_of_another_kind_sends_as_it_does():
    send_now(StringTransport())
    send_now(None)
