"""Line protocol, at a real HTTP server."""

import gzip
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from sink_fakes import ticks

from mtnet.errors import ConfigError
from mtnet.services.sinks.influx import InfluxTarget, line
from mtnet.services.sinks.model import Batch, Taken, row
from mtnet.services.sinks.target import TAKEN, TargetError

HOUR = 3_600.0


class LineServer:
    """A server that keeps what it was sent, and answers `status`."""

    def __init__(self):
        self.status, self.answer, self.got, outer = 204, b"", [], self
        self.takes_gzip = True

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                compressed = self.headers["Content-Encoding"] == "gzip"
                if compressed:
                    body = gzip.decompress(body)
                outer.got.append((self.path, self.headers, body.decode()))
                refused = compressed and not outer.takes_gzip
                self.send_response(415 if refused else outer.status)
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
    expected = "ticks,symbol=A\\,B\\=C\\ D%5C,source=desk bid=1,seq=1i "
    assert line("ticks", odd).startswith(expected)


def test_a_batch_is_one_request(server):
    there = target(server)
    assert there.write("origin", Batch(1, ticks(3))) == TAKEN
    assert there.write("origin", Batch(4, ticks(1, 3))) == TAKEN
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


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (400, b'{"error":"partial write: points beyond retention policy dropped=2"}'),
        (422, b'{"message":"failure: partial write: points beyond retention policy dropped=2"}'),
        (
            422,
            b"partial write: dropped 2 points outside retention policy of duration 1h - oldest "
            b"violates a Retention Policy Lower Bound dropped=2 for database: ticks",
        ),
    ],
)
def test_points_that_are_too_old_for_the_server_are_counted_and_not_sent_again(
    server, status, text
):
    server.status, server.answer = status, text
    there = target(server)
    written = there.write("origin", Batch(1, ticks(3)))
    assert written.refused == 2
    assert f"answered {status}" in written.reason
    there.close()


@pytest.mark.parametrize("status", [400, 422])
def test_points_of_another_type_than_the_field_has_wait_for_somebody_who_mends_it(server, status):
    server.status = status
    server.answer = b'{"error":"partial write: field type conflict: input \\"bid\\" dropped=3"}'
    with pytest.raises(TargetError, match="field type conflict"):
        target(server).write("origin", Batch(1, ticks(3)))


def test_a_server_that_reads_no_gzip_is_sent_plain_text_from_then_on(server):
    server.takes_gzip = False
    there = target(server)
    for number in (1, 2):
        assert there.write("origin", Batch(number, ticks(1, number))) == TAKEN
    there.close()
    assert [headers["Content-Encoding"] for _, headers, _ in server.got] == ["gzip", None, None]
    assert all(text.startswith("ticks,symbol=EURUSD") for _, _, text in server.got)


def test_nanoseconds_are_asked_for_whatever_the_url_says(server):
    there = target(server, "/write?db=ticks&precision=ms")
    there.check()
    there.close()
    assert server.got[0][0] == "/write?db=ticks&precision=ns"


def test_an_answer_on_a_connection_that_is_used_again_is_not_asked_for_twice(server):
    there = target(server)
    there.write("origin", Batch(1, ticks(1)))
    server.status = 503
    with pytest.raises(TargetError, match="answered 503"):
        there.write("origin", Batch(2, ticks(1, 1)))
    assert len(server.got) == 2


@pytest.mark.parametrize("secret", ["two\nlines", "with blank", "пароль"])
def test_a_token_that_no_header_takes_is_refused_and_not_quoted(secret):
    with pytest.raises(ConfigError, match=r"sinks\.x\.url, or its token, has a blank") as caught:
        InfluxTarget("sinks.x.url", "http://host/write", secret, "ticks", 5.0)
    assert secret not in str(caught.value)


def test_a_path_with_a_blank_is_refused_without_the_password_behind_it():
    with pytest.raises(ConfigError) as caught:
        InfluxTarget("sinks.x.url", "http://host/wri te?p=geheim", "", "ticks", 5.0)
    assert "geheim" not in str(caught.value)


def test_a_connection_that_the_server_has_closed_meanwhile_is_made_again(server):
    there = target(server)
    there.write("origin", Batch(1, ticks(1)))
    there._connection.sock.close()
    assert there.write("origin", Batch(2, ticks(1, 1))) == TAKEN
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
