"""Requests that are none, or that somebody makes who means no good."""

import pytest
from fakes.daemon import FakeDaemon


@pytest.fixture
def daemon(tmp_path, clock):
    return FakeDaemon(tmp_path / "data", clock, "access.anonymous=fetch")


@pytest.mark.parametrize("service", ["web", "templates"])
@pytest.mark.parametrize("name", [b"Host", b"Origin", b"If-None-Match", b"Authorization", b"X"])
@pytest.mark.parametrize("value", [b"\xff\xfe", b"\xed\xa0\x80", b"local\xc0\xafhost", b"\x1b[2J"])
def test_headers_of_any_bytes_are_no_error_of_ours(daemon, log, service, name, value):
    head = b"GET /templates/EURUSD/H1 HTTP/1.1\r\n%b: %b\r\n\r\n" % (name, value)
    answer = daemon.ask(service, head)
    assert answer.startswith(b"HTTP/1.1 4")
    assert daemon.env.access.bans.offences["error"] == 0
    assert not [event for event in log if "log_failure" in event]


@pytest.mark.parametrize("size", [None, 1])
def test_a_tls_handshake_on_a_plain_port_is_reset_at_once_and_logged(daemon, log, size):
    terminal = daemon.dial("web")
    terminal.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", size)
    assert (terminal.reset, terminal.received()) == (True, b"")
    assert [event for event in log if "TLS handshake" in event["log_format"]]


def test_a_byte_of_tls_in_a_body_is_a_byte_of_the_body(daemon):
    head = b"PUT /templates/EURUSD/H1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\n"
    terminal = daemon.dial("web")
    terminal.send(head)
    terminal.send(b"\x16\x03\x01")
    assert not terminal.reset
    assert terminal.received().startswith(b"HTTP/1.1 ")


@pytest.mark.parametrize(
    "headers", [b"X: " + b"a" * 17_000, b"\r\n".join([b"X: " + b"a" * 1_000] * 18)]
)
def test_headers_that_are_too_long_together_are_431_as_one_is(daemon, headers):
    answer = daemon.ask("web", b"GET /version HTTP/1.1\r\nHost: localhost\r\n" + headers)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert answer.endswith(b'16,384 bytes together."}\n')
    assert answer.count(b"HTTP/1.1") == 1


def test_each_request_of_a_connection_may_have_that_many(daemon):
    terminal = daemon.dial("web")
    head = b"GET /version HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 9_000 + b"\r\n\r\n"
    assert [daemon.say(terminal, head)[9:12] for _ in range(3)] == [b"200"] * 3
