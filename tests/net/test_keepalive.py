"""How the kernel is asked to watch over a connection."""

import socket
from contextlib import closing

import pytest
from twisted.internet.interfaces import ITCPTransport
from zope.interface import implementer

from mtnet.net.keepalive import KEEPALIVE, configure_keepalive


@implementer(ITCPTransport)
class Transport:
    """What Twisted has for TCP, and for Unix sockets too."""

    def __init__(self, handle):
        self.handle, self.direct = handle, False

    def getHandle(self):
        return self.handle

    def setTcpNoDelay(self, enabled):
        self.direct = enabled


def test_a_tcp_connection_is_probed_and_not_delayed():
    with closing(socket.socket()) as handle:
        transport = Transport(handle)
        configure_keepalive(transport)
        assert transport.direct
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        found = handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
        assert found == KEEPALIVE["TCP_KEEPIDLE"]


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="There are no Unix sockets here.")
def test_a_unix_socket_is_left_as_it_is():
    with closing(socket.socket(socket.AF_UNIX)) as handle:
        transport = Transport(handle)
        configure_keepalive(transport, send_buffer=8_192)
        assert not transport.direct
        assert handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
