"""Segmented sending: whole pieces."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.interfaces import IPullProducer, ISystemHandle, ITCPTransport
from twisted.internet.testing import StringTransport
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from mtnet.net.output.segments import (
    BURST,
    PIECE,
    SegmentedSender,
    first_segments,
    preserves_segments,
)
from mtnet.net.transport import innermost


class FakeSocket:
    """Takes as many bytes of each send as `script` says; None = it is full."""

    def __init__(self, *script):
        self.script = list(script)
        self.sends = []

    def send(self, data, flags):
        assert flags == socket.MSG_EOR
        takes = self.script.pop(0) if self.script else len(data)
        if isinstance(takes, OSError):
            raise takes
        if takes is None:
            raise BlockingIOError
        self.sends.append(bytes(data[:takes]))
        return len(self.sends[-1])


class FakeTransport:
    """A bare TCP transport with a `FakeSocket`; `write_events` are delivered by `drain`."""

    def __init__(self, sock):
        self.sock, self.producer = sock, None
        self.waits = self.aborted = False

    def getHandle(self):
        return self.sock

    def startWriting(self):
        self.waits = True

    def abortConnection(self):
        self.aborted = True

    def registerProducer(self, producer, streaming):
        self.producer = producer
        producer.resumeProducing()

    def unregisterProducer(self):
        self.producer = None

    def drain(self):
        while self.waits and self.producer:
            self.waits = False
            self.producer.resumeProducing()


def send(head, body, *script):
    transport, done = FakeTransport(FakeSocket(*script)), []
    pieces = SegmentedSender(transport, head, body, lambda: done.append(True))
    transport.registerProducer(pieces, False)
    return transport, pieces, done


def test_every_send_is_a_whole_piece_with_its_end_marked():
    transport, pieces, done = send(b"h" * 20, b"b" * 3000)
    assert [len(each) for each in transport.sock.sends] == [1024, 1024, 972]
    assert b"".join(transport.sock.sends) == b"h" * 20 + b"b" * 3000
    assert (done, pieces.finished, transport.producer) == ([True], True, None)
    assert verifyObject(IPullProducer, pieces)


def test_a_piece_that_was_sent_in_part_is_finished_before_the_next():
    transport, _, done = send(b"h" * 20, b"b" * 3000, 1024, 300, None, 700, None)
    transport.drain()
    assert [len(each) for each in transport.sock.sends] == [1024, 300, 700, 24, 972]
    assert done == [True]


def test_a_large_template_leaves_others_their_turn():
    transport, pieces, _ = send(b"", b"b" * PIECE * BURST * 2)
    assert pieces.sent == PIECE * BURST
    assert transport.waits
    transport.drain()
    assert pieces.finished


def test_a_broken_connection_is_aborted():
    transport, _, done = send(b"h", b"b", OSError(104, "reset"))
    assert (transport.aborted, transport.producer, done) == (True, None, [])


def test_a_lost_connection_ends_the_sending():
    transport, pieces, done = send(b"h", b"b", None)
    pieces.stopProducing()
    assert (pieces.finished, done, transport.sock.sends) == (True, [], [])


@given(st.binary(max_size=40), st.binary(max_size=9000), st.lists(st.none() | st.integers(1, 1500)))
def test_every_byte_arrives_once_and_no_send_crosses_a_piece(head, body, script):
    transport, _, done = send(head, body, *script)
    transport.drain()
    assert b"".join(transport.sock.sends) == head + body
    sent = 0
    for each in transport.sock.sends:
        assert sent // PIECE == (sent + len(each) - 1) // PIECE
        sent += len(each)
    assert done == [True]


def test_only_a_bare_tcp_transport_keeps_pieces():
    class Wrapper:
        def __init__(self, transport):
            self.transport = transport

    tcp = FakeTransport(FakeSocket())
    alsoProvides(tcp, ITCPTransport, ISystemHandle)
    wrapped = Wrapper(tcp)
    alsoProvides(wrapped, ITCPTransport, ISystemHandle)
    assert preserves_segments(tcp)
    assert not preserves_segments(wrapped)
    assert not preserves_segments(StringTransport())
    assert innermost(wrapped) is tcp


def test_the_first_pieces_may_be_larger_within_a_machine():
    transport, done = FakeTransport(FakeSocket(2048, 100, None)), []
    transport.sock.getsockopt = lambda level, option: 2_100
    pieces = SegmentedSender(
        transport, b"h" * 20, b"b" * 6000, lambda: done.append(True), local=True
    )
    transport.registerProducer(pieces, False)
    transport.drain()
    assert [len(each) for each in transport.sock.sends] == [2048, 100, 1948, 1024, 900]
    assert done == [True]


@pytest.mark.parametrize(
    ("segment", "first"),
    [(65_483, 64_512), (32_741, 31_744), (1_448, 1_024), (1_024, 1_024), (536, 1_024), (0, 1_024)],
)
def test_a_first_pieces_a_machine_fills_a_segment_with_whole_reads(segment, first):
    sock = FakeSocket()
    sock.getsockopt = lambda level, option: segment
    assert first_segments(FakeTransport(sock)) == first


def test_where_the_kernel_tells_no_segment_a_piece_is_as_elsewhere():
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert first_segments(FakeTransport(ours)) == PIECE
