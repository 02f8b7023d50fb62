"""Streamed answers: in pieces, at the client's pace, and never a part for the whole."""

import pytest
from fakes.http import WEB, HttpPort, request
from fakes.ports import FakePort
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent

from mtnet.errors import JournalError
from mtnet.net.http.route import Content, Route, Stream
from mtnet.net.http.router import Router
from mtnet.services.web.http import ApiSite


@pytest.fixture
def serve(env_with):
    """Serve one path with the chunks that a test gives."""

    def make(chunks):
        route = Route(
            method="GET", path="/v1/all.csv", summary="", answers={200: Content("text/csv")},
            handler=lambda _: Stream("text/csv", chunks),
        )  # fmt: skip
        env = env_with()
        sessions = HttpPort(env).factory.logins
        return FakePort(env, WEB, ApiSite(env.of("web"), Router({"x": [route]}), WEB, sessions))

    return make


def ask(port, method="GET", version="1.1"):
    terminal = port.dial()
    terminal.send(request(method, "/v1/all.csv").replace(b"HTTP/1.1", f"HTTP/{version}".encode()))
    return terminal


def test_an_answer_comes_in_chunks_without_a_length(serve):
    data = ask(serve(iter([b"a,b\n", b"1,2\n"]))).received()
    assert b"Transfer-Encoding: chunked" in data
    assert b"Content-Length" not in data
    assert b"Cache-Control: no-store" in data
    assert data.endswith(b"\r\n\r\n4\r\na,b\n\r\n4\r\n1,2\n\r\n0\r\n\r\n")


def test_an_old_client_gets_it_up_to_the_end_of_the_connection(serve):
    terminal = ask(serve(iter([b"a", b"b"])), version="1.0")
    assert terminal.received().endswith(b"\r\n\r\nab")
    assert terminal.closed


def test_head_makes_no_chunk(serve):
    chunks = iter([b"a"])
    data = ask(serve(chunks), "HEAD").received()
    assert data.startswith(b"HTTP/1.1 200 OK")
    assert next(chunks) == b"a"


def test_a_client_that_does_not_read_is_waited_for(serve):
    first = Deferred()
    terminal = ask(serve(iter([first, b"b", b"c"])))
    terminal.transport.producer.pauseProducing()
    first.callback(b"a")
    assert terminal.received().endswith(b"1\r\na\r\n")
    terminal.transport.producer.resumeProducing()
    assert terminal.received() == b"1\r\nb\r\n1\r\nc\r\n0\r\n\r\n"


@pytest.mark.parametrize("waits", [False, True])
def test_the_source_is_closed_when_the_client_leaves(serve, waits):
    made, waiting = [], Deferred()

    def chunks():
        try:
            yield b"a"
            if waits:
                yield waiting
            made.append("b")
            yield b"b"
        finally:
            made.append("closed")

    port = serve(chunks())
    terminal = port.dial()
    if not waits:  # the client reads nothing from the first byte on
        write = terminal.transport.writeSequence
        terminal.transport.writeSequence = lambda data: (write(data), pause(terminal))
    terminal.send(request("GET", "/v1/all.csv"))
    terminal.hang_up()
    waiting.callback(b"late")
    assert made == ["closed"]


def pause(terminal):
    if terminal.transport.producer is not None:
        terminal.transport.producer.pauseProducing()


@pytest.mark.parametrize("late", [False, True])
def test_a_failure_resets_the_connection_and_ends_no_chunk(serve, late, log):
    failing = Deferred()

    def chunks():
        yield b"a"
        if late:
            yield failing
        raise ZeroDivisionError

    terminal = ask(serve(chunks()))
    if late:
        failing.errback(ZeroDivisionError())
    assert terminal.reset
    assert b"0\r\n\r\n" not in terminal.received()
    assert "A streamed answer failed." in [event.get("log_format") for event in log]


def test_a_full_disk_resets_the_connection_and_is_logged_in_a_sentence(serve, log):
    def chunks():
        yield b"a"
        raise JournalError("group cannot be written: No space left on device.")

    terminal = ask(serve(chunks()))
    assert terminal.reset
    (event,) = [each for each in log if "streamed" in each.get("log_format", "")]
    assert "log_failure" not in event
    assert formatEvent(event).endswith(
        "broken off: group cannot be written: No space left on device."
    )
