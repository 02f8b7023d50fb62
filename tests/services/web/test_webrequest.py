"""The requests of MetaTrader's WebRequest, byte by byte as builds 3333 to 5120 send them."""

from base64 import b64encode

import pytest
from fakes.daemon import PASSWORD, FakeDaemon
from fakes.http import Answer, HttpPort

MT5 = (
    b"Accept: */*\r\nAccept-Encoding: gzip, deflate\r\nAccept-Language: en;q=0.5\r\n"
    b"User-Agent: MetaTrader 5 Terminal/5.5120 (Windows NT 10.0.19045; x64)\r\n"
)
MT4 = MT5.replace(b"5 Terminal/5.5120", b"4 Terminal/4.1420")
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def post(path, body, headers=MT5, host=b"127.0.0.1:8083"):
    return (
        b"POST %b HTTP/1.1\r\nHost: %b\r\n" % (path, host)
        + headers + FORM + b"Content-Length: %d\r\n\r\n" % len(body) + body
    )  # fmt: skip


def get(path, headers=MT5):
    return b"GET %b HTTP/1.1\r\nHost: 127.0.0.1:8083\r\n%b\r\n" % (path, headers)


@pytest.fixture
def web(env_with):
    return HttpPort(env_with())


def answer(web, data, size=None):
    terminal = web.dial()
    terminal.send(data, size)
    web.clock.advance(0)
    web.clock.advance(0)
    return Answer(terminal.received())


@pytest.mark.parametrize("headers", [MT5, MT4])
def test_a_get_is_answered_whole_and_in_one_piece(web, headers):
    found = answer(web, get(b"/v1/ticks", headers))
    assert (found.status, found.json) == (200, {"symbols": []})
    assert int(found.headers["content-length"]) == len(found.body)
    assert "transfer-encoding" not in found.headers
    assert "content-encoding" not in found.headers
    assert found.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("end", [b"", b"\0"])
def test_records_labelled_as_a_form(web, end):
    found = answer(web, post(b"/v1/ticks", b"EURUSD 1.09876 1.09879" + end))
    assert found.json["stored"] == 1


@pytest.mark.parametrize("wrap", [b"%b", b"%b\0", b"data=%b", b"\xef\xbb\xbf%b\0"])
def test_json_labelled_as_a_form(tmp_path, clock, wrap):
    daemon = FakeDaemon(tmp_path / "data", clock)
    said = b'{"login":"bob","password":"%b"}' % PASSWORD.encode()
    terminal = daemon.dial("web")
    terminal.send(post(b"/v1/login", wrap % said))
    assert Answer(terminal.received()).json["login"] == "bob"


def test_an_empty_body_is_a_nul_or_nothing(web):
    for body in (b"", b"\0"):
        assert answer(web, post(b"/v1/logout", body)).status == 204


def test_segments_of_any_size_make_no_difference(web):
    data = post(b"/v1/ticks", b"EURUSD 1.09876\0")
    assert all(answer(web, data, size).json["records"] == 1 for size in (1, 7, 100))


@pytest.mark.parametrize("end", [b"", b"\0"])
def test_basic_with_the_nul_of_stringtochararray(tmp_path, clock, end):
    daemon = FakeDaemon(tmp_path / "data", clock)
    shown = b64encode(b"bob:" + PASSWORD.encode() + end)
    terminal = daemon.dial("web")
    terminal.send(get(b"/v1/ticks", MT5 + b"Authorization: Basic " + shown + b"\r\n"))
    assert Answer(terminal.received()).status == 200


def test_a_password_that_is_sent_each_time_is_hashed_once(tmp_path, clock, monkeypatch):
    daemon, hashed = FakeDaemon(tmp_path / "data", clock), []
    monkeypatch.setattr(
        "mtnet.access.accounts.authenticator.matches", lambda *said: hashed.append(said) or True
    )
    shown = b"Authorization: Basic " + b64encode(b"bob:" + PASSWORD.encode() + b"\0") + b"\r\n"
    for _ in range(50):
        terminal = daemon.dial("web")
        terminal.send(get(b"/v1/ticks", MT5 + shown))
        assert Answer(terminal.received()).status == 200
    assert len(hashed) == 1


def test_a_terminal_is_answered_within_its_500_ms_unless_it_asks_to_wait(web, clock):
    terminal = web.dial()
    terminal.send(get(b"/v1/events?after=0"))
    assert Answer(terminal.received()).json["events"] == []
    terminal.send(get(b"/v1/events?after=0&wait=0.4"))
    clock.advance(0.4)
    assert Answer(terminal.received()).status == 200


def test_a_connection_serves_one_request_after_the_other(web):
    terminal = web.dial()
    for number in range(1, 4):
        terminal.send(post(b"/v1/ticks", b"EURUSD 1.1\0"))
        web.clock.advance(0)
        web.clock.advance(0)
        assert Answer(terminal.received()).json["stored"] == 1, number
    assert not terminal.closed
