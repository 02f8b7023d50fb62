"""Under TLS as well, bytes reach an idle socket in the same turn, and always in their order."""

import socket
import time
from contextlib import ExitStack

import pytest
from fakes.tcp import TcpTransport
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from tls_peers import TlsClient
from tls_samples import Authority, Files, client_context
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.protocols import tls as twisted_tls
from zope.interface import implementer

from mtnet.net.endpoints import Listener
from mtnet.net.output import direct
from mtnet.net.output.queue import OutputBuffer
from mtnet.net.output.segments import preserves_segments
from mtnet.net.pipeline import Pipeline
from mtnet.net.tls.store import CertificateStore

EVERYTHING = 10**9


class Peer(TlsClient):
    """A TLS client over a socket whose room the test sets."""

    def collect(self):
        self.transport.turn()
        data, self.transport.handle.taken = self.transport.handle.taken, b""
        self._incoming.write(data)
        return len(data)

    def heard(self):
        """Return what arrived without the server having had another turn."""
        found, data = b"", self.transport.handle.taken
        self.transport.handle.taken = b""
        self._incoming.write(data)
        while self._incoming.pending:
            found += self.tls.read(65_536)
        return found


class Speaker(Protocol):
    """
    The server's side.

    Attributes:
        output: what it writes into.
    """

    def connectionMade(self):
        self.output = OutputBuffer(self.transport, self.factory.clock, 1_000, None)
        self.factory.made = self


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    made = Files(tmp_path_factory.mktemp("certificates"), Authority())
    made.issue("localhost", "127.0.0.1")
    return made


@pytest.fixture
def dial(tmp_path, env_with, clock, files):
    env, transports = env_with(*files.settings), []
    certificates = CertificateStore(env.config.tls, tmp_path, lambda: time.time_ns() // 1_000_000)
    service = Factory.forProtocol(Speaker)
    service.clock = clock
    factory = Pipeline(env, certificates).wrap(Listener("x", "secure:8081"), service)

    def dial():
        transport = TcpTransport(clock)
        transport.handle.room = EVERYTHING
        transports.append(transport)
        client = Peer(factory, clock, client_context(files.ca), transport=transport).shake()
        client.received()
        transport.handle.calls = 0
        return client, service.made.output

    yield dial
    for transport in transports:
        transport.handle.close()


def test_the_names_that_twisted_keeps_to_itself_are_still_there(dial):
    _, output = dial()
    assert output.writer is not None, f"one of {direct.PRIVATE} was renamed in {twisted_tls}"


def test_bytes_are_encrypted_and_sent_in_the_same_turn(dial):
    client, output = dial()
    output.write(b"now")
    assert (client.heard(), client.transport.handle.calls) == (b"now", 1)


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 100_000, 131_072])
def test_a_text_of_any_size_arrives_whole(dial, size):
    client, output = dial()
    output.write(b"x" * size)
    assert client.heard() == b"x" * size


def test_what_the_socket_does_not_take_arrives_behind_it(dial):
    client, output = dial()
    client.transport.handle.room = 10
    output.write(b"first")
    output.write(b" second")
    assert output.writer is None
    client.transport.handle.room = EVERYTHING
    assert client.received() == b"first second"
    client.received()
    assert output.writer is not None


def test_a_socket_that_is_behind_with_much_is_not_ready(dial):
    client, output = dial()
    client.transport.handle.room = 10
    output.write(b"x" * 2_000)
    assert not output.ready
    client.transport.handle.room = EVERYTHING
    assert client.received() == b"x" * 2_000
    assert output.ready


@pytest.mark.parametrize("error", [BlockingIOError(), ConnectionResetError()])
def test_a_socket_that_is_full_or_broken_is_left_to_the_transport(dial, error):
    client, output = dial()
    client.transport.handle.error = error
    output.write(b"text")
    client.transport.handle.error = None
    assert client.received() == b"text"


def test_nothing_goes_past_what_others_have_written(dial):
    client, output = dial()
    client.protocol.write(b"greeting ")
    output.write(b"text")
    assert client.heard() == b""
    assert client.received() == b"greeting text"


def test_what_tls_refuses_is_left_to_the_transport(dial, monkeypatch):
    client, output = dial()
    left = []
    monkeypatch.setattr(client.protocol, "write", left.append)
    monkeypatch.setattr(direct, "SSL_write", lambda ssl, data, size: -1)
    output.write(b"text")
    assert left == [b"text"]


def test_what_tls_takes_no_more_of_is_left_to_the_transport(dial, monkeypatch):
    client, output = dial()
    write, left = direct.SSL_write, []
    monkeypatch.setattr(client.protocol, "write", left.append)
    monkeypatch.setattr(
        direct, "SSL_write", lambda ssl, data, size: -1 if size < 8 else write(ssl, data, 4)
    )
    output.write(b"sealed, and left")
    assert (client.heard(), left) == (b"sealed, and ", [b"left"])


def test_nothing_goes_past_what_tls_could_not_encrypt_yet(dial, monkeypatch):
    client, output = dial()
    left = []
    monkeypatch.setattr(client.protocol, "write", left.append)
    client.protocol._appSendBuffer.append(b"greeting ")
    output.write(b"text")
    assert (left, client.transport.handle.calls) == ([b"text"], 0)


def test_nothing_of_a_long_text_in_small_records_stays_behind(dial, monkeypatch):
    """Some clients want records of 512 bytes: each is 22 bytes longer."""
    client, output = dial()
    sealed = bytearray()

    def seal(_, data, size):
        sealed.extend(data[:512] + b"~" * 22)
        return min(size, 512)

    def read(_, room, most):
        data = bytes(sealed[:most])
        del sealed[:most]
        SSL._ffi.memmove(room, data, len(data))
        return len(data)

    monkeypatch.setattr(direct, "SSL_write", seal)
    monkeypatch.setattr(direct, "BIO_read", read)
    output.write(b"x" * direct.LONGEST)
    assert sealed == b""
    assert client.transport.handle.taken.count(b"x") == direct.LONGEST


def test_nothing_goes_past_what_tls_itself_has_to_say(dial):
    client, output = dial()
    client.transport.write(b"")  # as an alert that waits below
    client.transport._tempDataBuffer = [b"alert"]
    output.write(b"text")
    assert (client.transport.handle.calls, output.writer) == (0, None)
    client.transport._tempDataBuffer = ()
    assert client.received() == b"text"


def test_what_is_longer_is_sent_in_part_and_the_rest_left_to_the_transport(dial):
    client, output = dial()
    text = b"".join(b"%06d" % number for number in range(50_000))
    output.write(text)
    assert client.heard() == text[: direct.LONGEST]
    assert client.received() == text[direct.LONGEST :]


@pytest.mark.parametrize("name", ["SSL_write", "BIO_read", "_BUFFER"])
def test_without_openssl_s_own_functions_everything_goes_through_it(dial, monkeypatch, name):
    monkeypatch.setattr(direct, name, None)
    client, output = dial()
    output.write(b"text")
    assert (output.writer, client.heard(), client.received()) == (None, b"", b"text")


@pytest.mark.parametrize("names", ["PRIVATE", "BUFFERS", "CONNECTION"])
@pytest.mark.parametrize("at", [0, -1])
def test_without_a_private_name_everything_goes_through_the_transport(dial, monkeypatch, names, at):
    renamed = list(getattr(direct, names))
    renamed[at] += "_renamed"
    monkeypatch.setattr(direct, names, renamed)
    client, output = dial()
    output.write(b"text")
    assert (output.writer, client.heard()) == (None, b"")
    assert client.received() == b"text"


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 40_000).map(lambda size: ("write", size)),
            st.integers(0, 20_000).map(lambda room: ("room", room)),
            st.just(("turn", 0)),
        ),
        max_size=30,
    )
)
def test_every_byte_arrives_once_and_in_order_whatever_the_socket_takes(dial, steps):
    (client, output), said, heard = dial(), b"", b""
    for count, (what, number) in enumerate(steps):
        frame = b"%d," % count * number
        if what == "write":
            said += frame
            output.write(frame)
        elif what == "room":
            client.transport.handle.room = number
        else:
            heard += client.received()
    client.transport.handle.room = EVERYTHING
    for _ in range(3):
        heard += client.received()
    assert heard == said
    assert output.writer is not None


# The end of our half


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    ended = 0

    def readConnectionLost(self):
        """Not asked for here."""

    def writeConnectionLost(self):
        self.ended += 1


class Waiting:
    """A reactor that only notes who wants to write."""

    def __init__(self):
        self.writers = []

    def addWriter(self, writer):
        self.writers.append(writer)

    def addReader(self, reader):
        pass

    removeReader = removeWriter = addReader


@pytest.fixture
def half():
    """A TCP transport of Twisted, its reactor, and the socket of its peer."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        peer = stack.enter_context(socket.create_connection(listening.getsockname()))
        peer.settimeout(5)
        ours, address = listening.accept()
        stack.enter_context(ours)
        reactor, protocol = Waiting(), Half()
        transport = Server(ours, protocol, address, None, 0, reactor)
        protocol.makeConnection(transport)
        yield transport, reactor, peer


def test_a_half_ends_at_once_where_nothing_waits_to_be_written(half):
    transport, reactor, peer = half
    direct.end_half(transport)
    assert peer.recv(10) == b""
    assert (transport.protocol.ended, reactor.writers) == (1, [])
    protocol = transport.protocol
    transport.loseConnection()  # as after a half-close of Twisted's own
    assert (transport.connected, protocol.ended) == (0, 1)


def test_a_half_ends_behind_what_is_written(half):
    transport, reactor, peer = half
    transport.write(b"last words")
    direct.end_half(transport)
    assert transport.protocol.ended == 0
    transport.doWrite()
    assert peer.recv(100) == b"last words"
    assert peer.recv(10) == b""
    assert transport.protocol.ended == 1
    assert reactor.writers


@pytest.mark.parametrize(("names", "value"), [("HAS_HALVES", False), ("BUFFERS", ("gone",))])
def test_without_a_name_of_twisted_s_a_half_ends_as_twisted_ends_it(
    half, monkeypatch, names, value
):
    transport, reactor, peer = half
    monkeypatch.setattr(direct, names, value)
    direct.end_half(transport)
    assert (transport.protocol.ended, reactor.writers) == (0, [transport])
    transport.doWrite()
    assert peer.recv(10) == b""


def test_while_a_producer_writes_no_half_ends(half):
    transport, *_ = half
    transport.producer = object()
    direct.end_half(transport)
    assert transport.protocol.ended == 0
    transport.producer = None


# Answers


def test_an_answer_leaves_at_once_where_nothing_waits_to_be_written(half):
    transport, reactor, peer = half
    direct.write_at_once(transport, b"answer")
    assert peer.recv(100) == b"answer"
    assert reactor.writers == []


def test_an_answer_leaves_behind_what_is_written(half):
    transport, _, peer = half
    transport.write(b"first, ")
    direct.write_at_once(transport, b"then")
    transport.doWrite()
    assert peer.recv(100) == b"first, then"


def test_the_transport_has_what_a_full_socket_does_not_take(half):
    transport, reactor, peer = half
    transport.socket.setblocking(False)
    answer = bytes(range(256)) * 100_000
    direct.write_at_once(transport, answer)
    direct.write_at_once(transport, b"behind it")
    heard = b""
    while len(heard) < len(answer) + 9:
        heard += peer.recv(1_000_000)
        transport.doWrite()
    assert heard == answer + b"behind it"
    assert reactor.writers


@pytest.mark.parametrize(("name", "value"), [("TLS", True), ("connected", 0), ("disconnecting", 1)])
def test_nothing_goes_past_a_transport_that_encrypts_or_closes(half, monkeypatch, name, value):
    transport, _, peer = half
    peer.settimeout(0.05)
    written = []
    monkeypatch.setattr(transport, name, value)
    monkeypatch.setattr(transport, "write", written.append)
    direct.write_at_once(transport, b"answer")
    assert written == [b"answer"]
    with pytest.raises(TimeoutError):
        peer.recv(10)


def test_a_tcp_transport_of_twisted_keeps_pieces_until_it_begins_tls(half):
    transport, *_ = half
    assert preserves_segments(transport)
    transport.TLS = True
    assert not preserves_segments(transport)
