"""The templates port, bytes in and bytes out."""

import gc
import weakref

import pytest
from fakes.ports import FakePort
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    ISystemHandle,
    ITCPTransport,
)
from zope.interface import alsoProvides
from zope.interface.verify import verifyObject

from mtnet.errors import TemplateError
from mtnet.interfaces import IListenerAware, IServicePlugin, ITemplates
from mtnet.net.endpoints import Listener
from mtnet.plugins.templates import templates
from mtnet.services.templates.protocol import TemplatesFactory
from mtnet.services.templates.wire import raw_prefix
from mtnet.testing import Terminal, TerminalTransport

LISTENER = Listener("templates", "tcp:8080")
PREFIX = raw_prefix("EURUSD", "H1", "mt5")
STRANGER = {"host": "192.0.2.1", "peer": "192.0.2.9"}
REAL = ["mt4-default.tpl", "mt4-macd-alma.tpl", "mt4-xard-m30.tpl"]


@pytest.fixture
def serve(env_with, clock):
    """Start a server; it has `dial(host, peer)`, `ask(bytes)`, and `env`."""

    class Server(FakePort):
        def __init__(self, *sets, listener=LISTENER):
            super().__init__(env_with(*sets), listener)

        def store(self, content, symbol="EURUSD", period="H1"):
            return self.env.find(ITemplates).library.store(symbol, period, content, self.env.now())[
                0
            ]

    return Server


@pytest.fixture
def server(serve, mt5):
    """A server with one template."""
    found = serve()
    found.store(mt5)
    return found


def stored(server, symbol="EURUSD", period="H1"):
    return server.env.find(ITemplates).library.content(
        server.env.find(ITemplates).library.get(symbol, period)
    )


def test_the_plugin_its_factory_and_its_protocol_keep_their_interfaces(serve):
    server = serve()
    assert verifyObject(IServicePlugin, templates)
    assert verifyObject(IListenerAware, server.factory)
    assert verifyObject(IHalfCloseableProtocol, server.dial().protocol)


# Raw


def test_a_silent_client_gets_the_template_after_the_grace_and_not_before(
    server, clock, mt5_stored
):
    terminal = server.dial()
    clock.advance(0.14)
    assert terminal.received() == b""
    clock.advance(0.02)
    assert terminal.received() == PREFIX + mt5_stored
    assert terminal.transport.ended
    assert not terminal.closed


def test_without_grace_the_answer_comes_at_once(serve, mt5, mt5_stored):
    server = serve("templates.grace=0")
    server.store(mt5)
    assert server.dial().received() == PREFIX + mt5_stored


def test_a_client_that_ends_its_half_at_once_is_answered(server, mt5_stored):
    terminal = server.dial()
    terminal.finish()
    assert terminal.received() == PREFIX + mt5_stored
    terminal.protocol.writeConnectionLost()
    assert terminal.closed


def test_what_a_raw_client_sends_late_is_dropped_and_its_close_ends_the_connection(server, clock):
    terminal = server.dial()
    clock.advance(0.2)
    terminal.received()
    terminal.send(b"GET / HTTP/1.1\r\n\r\n")
    assert (terminal.received(), terminal.closed) == (b"", False)
    terminal.finish()
    assert terminal.closed


def test_a_client_that_does_not_close_is_closed_when_nothing_moves(server, clock):
    terminal = server.dial()
    clock.advance(0.2)
    clock.pump([1] * 4)
    assert not terminal.closed
    clock.pump([1] * 2)
    assert terminal.closed
    assert not terminal.reset


def test_with_no_template_the_connection_is_closed_without_a_byte_or_a_warning(
    serve, clock, warnings
):
    terminal = serve().dial()
    clock.advance(0.2)
    assert (terminal.received(), terminal.closed, warnings()) == (b"", True, [])


def test_with_no_template_a_client_that_ends_its_half_at_once_is_closed_not_reset(serve, warnings):
    terminal = serve().dial()
    terminal.finish()
    assert (terminal.closed, terminal.reset, warnings()) == (True, False, [])


def test_the_configured_default_is_served(serve, clock, mt5):
    server = serve("templates.default=GBPUSD M5")
    server.store(mt5, "GBPUSD", "M5")
    server.store(mt5)
    terminal = server.dial()
    clock.advance(0.2)
    assert terminal.received().startswith(raw_prefix("GBPUSD", "M5", "mt5"))


def test_a_stranger_without_the_right_gets_no_byte(server, clock, warnings):
    terminal = server.dial(**STRANGER)
    clock.advance(0.2)
    assert (terminal.received(), terminal.closed) == (b"", True)
    assert server.ask(b"FETCH EURUSD H1\n", **STRANGER) == b""
    assert len(warnings()) == 2


def test_a_stranger_with_the_right_is_served_and_loopback_behind_a_proxy_is_a_stranger(serve, mt5):
    server = serve("access.anonymous=fetch")
    server.store(mt5)
    assert server.ask(b"FETCH EURUSD H1\n", **STRANGER)
    proxied = serve(listener=Listener("templates", "haproxy:tcp:8080"))
    assert proxied.ask(b"FETCH EURUSD H1\n") == b""


class Socket:
    """A socket that is full after `room` bytes."""

    def __init__(self, room):
        self.room, self.taken = room, b""

    def send(self, data, flags):
        if not self.room:
            raise BlockingIOError
        taken = data[: self.room]
        self.room -= len(taken)
        self.taken += taken
        return len(taken)


class TcpTransport(TerminalTransport):
    """A transport as of a bare TCP connection, with a `Socket`."""

    def getHandle(self):
        return self.sock

    def startWriting(self):
        pass

    def registerProducer(self, producer, streaming):
        super().registerProducer(producer, streaming)
        producer.resumeProducing()


def tcp_transport(clock, room):
    transport = TcpTransport(clock, "127.0.0.1", "127.0.0.1")
    alsoProvides(transport, ITCPTransport, ISystemHandle)
    transport.sock = Socket(room)
    return transport


def dial_tcp(server, clock, room):
    transport = tcp_transport(clock, room)
    server.factory.buildProtocol(transport.getPeer()).makeConnection(transport)
    clock.advance(0.2)
    return transport


def test_on_plain_tcp_a_reader_that_moves_is_waited_for_and_one_that_stalls_is_not(
    serve, clock, mt5_stored
):
    server = serve()
    content = mt5_stored[:-4] + "x\r\n".encode("utf-16-le") * 100_000
    server.store(content)
    transport = dial_tcp(server, clock, room=1000)
    for _ in range(100):
        transport.sock.room = 100
        transport.producer.resumeProducing()
        clock.pump([1] * 4)
    assert len(transport.sock.taken) == 11_000
    assert (PREFIX + content).startswith(transport.sock.taken)
    assert not transport.disconnected
    clock.pump([1] * 6)
    assert transport.disconnected


def test_on_plain_tcp_the_whole_answer_leaves_and_the_half_is_closed(server, clock, mt5_stored):
    transport = dial_tcp(server, clock, room=1 << 20)
    assert transport.sock.taken == PREFIX + mt5_stored
    assert (transport.ended, transport.producer, transport.disconnecting) == (True, None, False)


def test_an_answered_connection_is_freed_at_once_without_a_collection_of_garbage(
    server, clock, monkeypatch
):
    freed, build = [], TemplatesFactory.build

    def watched(factory, peer):
        protocol = build(factory, peer)
        weakref.finalize(protocol, freed.append, protocol._is_raw)
        return protocol

    monkeypatch.setattr(TemplatesFactory, "build", watched)
    gc.disable()
    try:
        for line in (b"", b"FETCH EURUSD H1\n"):
            transport = tcp_transport(clock, room=1 << 20)
            terminal = Terminal(server.factory.buildProtocol(transport.getPeer()), transport)
            terminal.protocol.makeConnection(transport)
            terminal.send(line)
            clock.advance(0.2)
            assert transport.ended
            terminal.hang_up()
            del terminal, transport
            clock.advance(10)
        assert freed == [True, False]
    finally:
        gc.enable()


# The first bytes


@pytest.mark.parametrize(
    "head",
    [
        b"<<GBPUSD|99.00>>",
        b"FETCHX",
        b"\x16\x03\x01",
        b"hello\n",
        b"\0",
        b"get / HTTP/1.1",
        b"<" * 1_048_576,
    ],
)
def test_what_begins_as_no_command_is_reset_with_one_warning(server, clock, warnings, head):
    for size in (None, 1):
        before = len(warnings())
        terminal = server.dial()
        terminal.send(head, size)
        clock.advance(10)
        assert (terminal.received(), terminal.reset) == (b"", True)
        assert len(warnings()) == before + 1


def test_a_beginning_that_may_become_a_command_is_waited_for_and_then_closed(
    server, clock, warnings
):
    terminal = server.dial()
    terminal.send(b"FET")
    clock.advance(4.9)
    assert not terminal.closed
    clock.advance(0.2)
    assert (terminal.received(), terminal.closed, len(warnings())) == (b"", True, 1)


@pytest.mark.parametrize("word", [b"FETCH", b"GET /templates", b"STORE EURUSD H1 5"])
def test_a_command_that_trickles_or_ends_half_way_is_closed(server, clock, word):
    terminal = server.dial()
    for each in word[:3]:
        terminal.send(bytes([each]))
        clock.advance(2)
    assert terminal.closed
    ended = server.dial()
    ended.send(word)
    ended.finish()
    assert ended.closed


def test_a_browser_is_spoken_to_in_http(server):
    answer = server.ask(b"GET /templates HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'"symbol":"EURUSD"' in answer


def test_http_is_spoken_a_byte_at_a_time_and_again_on_the_same_connection(server):
    terminal = server.dial()
    for _ in range(3):
        terminal.send(b"GET /templates HTTP/1.1\r\nHost: localhost\r\n\r\n", 1)
        assert terminal.received().startswith(b"HTTP/1.1 200 OK\r\n")
    terminal.finish()
    assert terminal.closed


def test_the_templates_port_has_no_other_resource(server):
    answer = server.ask(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_a_flood_of_bad_beginnings_does_not_fill_the_log(server, warnings):
    for _ in range(100):
        server.ask(b"\x16\x03\x01" * 100)
    assert len(warnings()) == 5


# FETCH


@pytest.mark.parametrize(
    "line", [b"FETCH EURUSD H1\n", b"FETCH EURUSD 60\r\n", b"FETCH EURUSD 16385 1\r\n\0"]
)
def test_fetch_answers_as_raw_does(server, mt5_stored, line):
    for size in (None, 1):
        terminal = server.dial()
        terminal.send(line, size)
        assert terminal.received() == PREFIX + mt5_stored
        assert terminal.transport.ended


def test_fetchl_says_first_how_long_the_answer_is(server, mt5_stored):
    answer = PREFIX + mt5_stored
    assert server.ask(b"FETCHL EURUSD H1\n") == len(answer).to_bytes(4, "big") + answer


def test_a_client_that_asks_and_ends_its_half_is_answered(server, mt5_stored):
    terminal = server.dial()
    terminal.send(b"FETCH EURUSD H1\n")
    terminal.finish()
    assert terminal.received() == PREFIX + mt5_stored
    assert terminal.closed


@pytest.mark.parametrize(
    "line",
    [b"FETCH GBPUSD H1\n", b"FETCH EURUSD H1 2\n", b"FETCH EURUSD M7\n",
     b"FETCH ../../etc/passwd H1\n", b"FETCHL EURUSD\n",
     b"FETCH \xff\xfe\0 H1\n", b"FETCH " + b"x" * 600],
)  # fmt: skip
def test_what_is_not_there_is_closed_without_a_byte(server, warnings, line):
    terminal = server.dial()
    terminal.send(line)
    assert (terminal.received(), terminal.closed, len(warnings())) == (b"", True, 1)


# STORE


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r\n\0"])
@pytest.mark.parametrize("size", [None, 1, 700])
def test_store_answers_the_version(serve, mt5, mt5_stored, ending, size):
    server = serve()
    terminal = server.dial()
    terminal.send(b"STORE EURUSD H1 %d" % len(mt5) + ending + mt5, size)
    assert terminal.received() == b"OK 1\r\n"
    assert terminal.transport.ended
    assert stored(server) == mt5_stored


@pytest.mark.parametrize("name", REAL)
def test_a_real_template_comes_back_as_it_was_stored(serve, real_data, clock, name):
    server, content = serve(), (real_data / name).read_bytes()
    answer = raw_prefix("GBPUSD", "H1", "mt4") + content
    assert server.ask(b"STORE GBPUSD H1 %d\n" % len(content) + content) == b"OK 1\r\n"
    assert server.ask(b"STORE GBPUSD H1 %d\n" % len(content) + content) == b"OK 1\r\n"
    assert server.ask(b"FETCH GBPUSD 60\n") == answer
    assert server.ask(b"FETCHL GBPUSD 16385\n")[4:] == answer
    raw = server.dial()
    clock.advance(0.2)
    assert raw.received() == answer


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"STORE EURUSD H1 9 me hush\n", b"login"),
        (b"STORE EURUSD H1 1048581\n", b"size"),
        (b"STORE EURUSD H1 999999999\n", b"size"),
        (b"STORE EURUSD H1 5\nhello", b"template"),
        (b"STORE EURUSD H1 0\n\0", b"template"),
        (b"STORE EURUSD H1 1048576\n" + b"<" * 1_048_576, b"template"),
        (b"STORE EURUSD M7 5\n", b"period"),
        (b"STORE A|B H1 5\n", b"symbol"),
        (b"STORE EURUSD H1\n", b"field"),
        (b"STORE " + b"x" * 600, b"frame"),
    ],
)
def test_what_is_refused_is_told_why(serve, sent, code, log):
    server = serve()
    terminal = server.dial()
    terminal.send(sent)
    answer = terminal.received()
    assert answer.startswith(b"ERR " + code + b" ")
    assert answer.endswith(b"\r\n")
    assert answer.count(b"\n") == 1
    assert terminal.transport.ended
    assert b"hush" not in answer
    assert not any("hush" in repr(event) for event in log)
    assert server.env.find(ITemplates).library.listing() == []


def test_a_stranger_may_not_store(serve, mt5):
    server = serve("access.anonymous=fetch")
    answer = server.ask(b"STORE EURUSD H1 %d\n" % len(mt5) + mt5, **STRANGER)
    assert answer.startswith(b"ERR denied ")
    assert server.env.find(ITemplates).library.listing() == []


def test_an_upload_that_moves_is_waited_for_and_one_that_stalls_is_closed(
    serve, mt5, clock, warnings
):
    server = serve()
    slow, stalled = server.dial(), server.dial()
    for terminal in (slow, stalled):
        terminal.send(b"STORE EURUSD H1 %d\n" % len(mt5))
    for at in range(0, len(mt5), 50):
        slow.send(mt5[at : at + 50])
        clock.pump([1] * 4)
    assert slow.received() == b"OK 1\r\n"
    assert (stalled.received(), stalled.reset, len(warnings())) == (b"", True, 1)


def test_an_upload_that_ends_too_early_is_told(serve):
    terminal = serve().dial()
    terminal.send(b"STORE EURUSD H1 10\n<chart>")
    terminal.finish()
    assert terminal.received() == b"ERR size The upload ended after 7 of 10 bytes.\r\n"


def test_a_client_that_uploads_and_ends_its_half_is_answered(serve, mt5):
    server, stores = serve(), Deferred()
    server.env.components.workers["templates"] = {
        "": lambda call, *args: stores.addCallback(lambda _: call(*args))
    }
    terminal = server.dial()
    terminal.send(b"STORE EURUSD H1 %d\n" % len(mt5) + mt5)
    terminal.finish()
    assert (terminal.received(), terminal.closed) == (b"", False)
    stores.callback(None)
    assert terminal.received() == b"OK 1\r\n"


def test_a_client_that_is_gone_before_its_upload_is_stored_disturbs_nobody(serve, mt5, clock):
    server, stores = serve(), Deferred()
    server.env.components.workers["templates"] = {"": lambda *args: stores}
    terminal = server.dial()
    terminal.send(b"STORE EURUSD H1 %d\n" % len(mt5) + mt5)
    terminal.hang_up()
    stores.errback(TemplateError("server", "The disk is full."))
    assert (terminal.received(), clock.getDelayedCalls()) == (b"", [])


def test_a_bug_is_told_as_an_error_of_the_server(serve, mt5, log):
    server, stores = serve(), Deferred()
    server.env.components.workers["templates"] = {"": lambda *args: stores}
    terminal = server.dial()
    terminal.send(b"STORE EURUSD H1 %d\n" % len(mt5) + mt5)
    stores.errback(ZeroDivisionError())
    assert terminal.received().startswith(b"ERR server ")
    assert [event["log_level"].name for event in log] == ["critical"]


def test_no_clock_runs_after_a_connection_is_lost(server, clock, mt5):
    starts = [b"", b"F", b"FETCH EURUSD H1\n", b"STORE EURUSD H1 99\n<", b"GET / HTTP/1.1\r\n"]
    for start in starts:
        terminal = server.dial()
        terminal.send(start)
        terminal.hang_up()
    clock.advance(0)
    assert clock.getDelayedCalls() == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(max_size=700), word=st.sampled_from([b"", b"FETCH ", b"STORE ", b"GET "]))
@example(data=b"\r\n", word=b"GET ")
def test_no_bytes_break_the_port(server, clock, data, word):
    terminal = server.dial()
    terminal.send(word + data, 100)
    terminal.finish()
    terminal.hang_up()
