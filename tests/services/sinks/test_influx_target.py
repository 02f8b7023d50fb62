"""Line protocol, at a real HTTP server."""

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sink_fakes import ticks

from mtnet.errors import ConfigError
from mtnet.services.sinks.influx import InfluxTarget, line
from mtnet.services.sinks.model import Batch, Taken, row
from mtnet.services.sinks.target import TargetError

HOUR = 3_600.0


class LineServer:
    """A server that keeps what it was sent, and answers `status`."""

    def __init__(self):
        self.status, self.answer, self.got, outer = 204, b"", [], self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.got.append((self.path, self.headers, gzip.decompress(body).decode()))
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(outer.answer)))
                if outer.status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def server():
    server = LineServer()
    yield server
    server.close()


def target(server, path="/write?db=ticks", token="", user=""):
    return InfluxTarget(
        "sinks.x.url", f"http://{user}127.0.0.1:{server.port}{path}", token, "ticks", 5.0
    )


def test_a_tick_is_a_point_of_its_own():
    first, second = (
        row(number, Taken(b"EURUSD", b"1.1 1.2 - 0.25 1796000000123 6", 5, "desk 1"))
        for number in (7, 8)
    )
    assert line("ticks", first) == (
        "ticks,symbol=EURUSD,source=desk\\ 1 "
        "bid=1.1,ask=1.2,volume=0.25,flags=6i,time_msc=1796000000123i,seq=7i 5000007"
    )
    assert line("ticks", second).endswith(" 5000008")


def test_a_symbol_cannot_break_out_of_its_tag():
    odd = row(1, Taken(b"A%2CB=C%20D\\", b"1", 5, "desk"))
    assert line("ticks", odd).startswith("ticks,symbol=A\\,B\\=C\\ D\\\\,source=desk bid=1,seq=1i ")


def test_a_batch_is_one_request(server):
    there = target(server)
    assert there.write("origin", Batch(1, ticks(3))) == 0
    assert there.write("origin", Batch(4, ticks(1, 3))) == 0
    there.close()
    (path, headers, text), (_, _, other) = server.got
    assert path == "/write?db=ticks&precision=ns"
    assert "Authorization" not in headers
    assert [each.count("\n") for each in (text, other)] == [2, 0]


def test_a_token_and_a_password_are_sent_as_their_servers_want(server):
    for each in (target(server, token="abc"), target(server, user="ann:p%40ss@")):
        each.check()
        each.close()
        assert "p%40ss" not in each.label
    assert [headers["Authorization"] for _, headers, _ in server.got] == [
        "Token abc",
        "Basic YW5uOnBAc3M=",
    ]


@pytest.mark.parametrize("status", [302, 400, 401, 500, 503])
def test_an_answer_that_is_no_success_leaves_the_ticks_in_the_queue(server, status):
    server.status, server.answer = status, b'{"message": "no\nway"}'
    there = target(server)
    with pytest.raises(TargetError, match=rf'/write answered {status}: \{{"message": "no way"\}}'):
        there.write("origin", Batch(1, ticks(1)))
    assert len(server.got) == 1  # a redirect is not followed, and nothing is sent twice


def test_points_that_are_too_old_for_the_server_are_counted_and_not_sent_again(server):
    server.status = 422
    there = target(server)
    assert there.write("origin", Batch(1, ticks(3))) == 3
    there.close()


def test_a_connection_that_the_server_has_closed_meanwhile_is_made_again(server):
    there = target(server)
    there.write("origin", Batch(1, ticks(1)))
    there._connection.sock.close()
    assert there.write("origin", Batch(2, ticks(1, 1))) == 0
    there.close()


def test_a_server_that_is_not_there_is_a_sentence(server):
    server.close()
    there = target(server)
    with pytest.raises(TargetError, match=r"^http://127\.0\.0\.1:\d+/write: .*refused\.$"):
        there.check()


@pytest.mark.parametrize("url", ["http:///write", "http://host:0/write", "http://host:x/write"])
def test_a_url_without_a_host_is_refused_with_one_that_would_be_right(url):
    with pytest.raises(ConfigError, match=r"sinks\.x\.url has no host .* Example: http://"):
        InfluxTarget("sinks.x.url", url, "", "ticks", 5.0)
