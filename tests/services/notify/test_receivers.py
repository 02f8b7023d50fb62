"""Receivers: real servers on loopback get what apprise sends, and no URL is shown."""

import json
import socket
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from aiosmtpd.controller import Controller

from mtnet.errors import ConfigError
from mtnet.services.notify.receivers import label, mask, open_receivers, secrets
from mtnet.services.notify.settings import Target


def receiver(url):
    return open_receivers({"ops": Target(urls=(url,))})[0]


@contextmanager
def http_server(status=200, headers=()):
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, json.loads(body)))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self):
            got.append((self.path, None))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port, got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_message_arrives_by_http():
    with http_server() as (port, got):
        assert receiver(f"json://127.0.0.1:{port}/hook").deliver("mtnet", "bob <is> behind") is None
    [(path, body)] = got
    assert path.rstrip("/") == "/hook"
    assert (body["title"], body["message"]) == ("mtnet", "bob <is> behind")


@pytest.mark.parametrize(("format", "shown"), [("text", b"<b>"), ("html", b"&lt;b&gt;")])
def test_a_message_arrives_by_mail(format, shown):
    mails = []

    class Handler:
        async def handle_DATA(self, server, session, envelope):
            mails.append(envelope)
            return "250 OK"

    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    controller = Controller(Handler(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=mtnet@example.org&to=ops@example.org&format={format}"
        assert receiver(url).deliver("mtnet", "gold is silent\nBcc: all@example.org\n<b>") is None
    finally:
        controller.stop()
    assert mails[0].rcpt_tos == ["ops@example.org"]
    assert b"gold is silent" in mails[0].content
    assert shown in mails[0].content


def test_a_redirect_is_not_followed_even_where_the_url_asks_for_it():
    with http_server() as (inner, inside):
        location = ("Location", f"http://127.0.0.1:{inner}/admin")
        with http_server(302, [location]) as (port, got):
            reason = receiver(f"json://127.0.0.1:{port}/?redirect=yes").deliver("mtnet", "x")
    assert len(got) == 1
    assert inside == []
    assert reason is not None


def test_a_refusal_and_a_server_that_is_down_have_reasons_without_the_url():
    with http_server(403) as (port, _):
        url = f"json://someone:s3cr3tword@127.0.0.1:{port}/topsecret?+X-Key=anothersecret"
        refused = receiver(url).deliver("mtnet", "x")
    down = receiver(url).deliver("mtnet", "x")
    for reason in (refused, down):
        assert reason
        for secret in ("s3cr3tword", "topsecret", "anothersecret", "someone"):
            assert secret not in reason
    assert "403" in refused


def test_nothing_of_a_url_but_its_scheme_is_shown(capfd):
    url = "tgram://123456789:AAbbCCddEEffGGhhIIjjKKllMMnnOOppQQr/12345"
    assert label(url) == "tgram://…"
    assert mask(f"failed: {url} by 12345", secrets(url)) == "failed: tgram://… by …"
    found = receiver(url)
    assert "AAbb" not in f"{found.label}{found.id}"
    with pytest.raises(ConfigError) as caught:
        receiver("nothing://hunter2")
    assert "hunter2" not in str(caught.value)
    assert "number 1 (nothing://…)" in str(caught.value)
    captured = capfd.readouterr()
    assert "hunter2" not in captured.out + captured.err


def test_without_apprise_one_sentence_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"pip install 'mtnet-hub\[notify\]'"):
        receiver("json://127.0.0.1")
    assert open_receivers({}) == []


def test_a_name_is_one_that_a_right_can_have():
    with pytest.raises(ConfigError, match=r"\[notify\.a b\]: a name has"):
        open_receivers({"a b": Target(urls=("json://127.0.0.1",))})
