"""How the kernel is asked to watch over a connection."""

import socket
from contextlib import closing, suppress

import pytest
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from mtnet.net.keepalive import configure_keepalive, limit_unsent
from mtnet.net.tcp_options import KEEPALIVE


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


@pytest.mark.skipif(
    not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="The kernel knows no such limit."
)
def test_the_kernel_takes_little_for_a_peer_that_does_not_read():
    def taken(most):
        with closing(socket.create_server(("127.0.0.1", 0))) as port:
            sender = socket.create_connection(port.getsockname())
            receiver, _ = port.accept()
            with sender, receiver:
                if most:
                    limit_unsent(Transport(sender), most)
                sender.setblocking(False)
                count = 0
                with suppress(BlockingIOError):
                    while count < 50_000_000:
                        count += sender.send(b"x" * 10_000)
                return count

    assert taken(20_000) < taken(None) / 2


def test_transports_without_a_tcp_socket_have_no_such_limit():
    limit_unsent(Transport(None), 20_000)
    limit_unsent(StringTransport(), 20_000)
    if hasattr(socket, "AF_UNIX"):
        with closing(socket.socket(socket.AF_UNIX)) as handle:
            limit_unsent(Transport(handle), 20_000)
