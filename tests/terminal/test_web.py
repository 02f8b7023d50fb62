"""WebRequest asks a real HTTP server."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from imitation.terminal import Terminal

PROGRAM = Path(__file__).parent / "programs" / "Web.mq5"


class Echo(BaseHTTPRequestHandler):
    """Answers with what it was asked; `/moved` is elsewhere."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", f"http://{self.headers['Host']}/here")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        said = f"{self.command} {self.path} {self.headers['X-Test']} {body}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_GET

    def log_message(self, *_):
        pass


@pytest.fixture
def url():
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def ask(compiler, tmp_path):
    def ask(address, **environ):
        program = Terminal(compiler.program(PROGRAM), tmp_path, InpUrl=address, **environ)
        program.start().quit()
        lines = [line.partition(" print ")[2] for line in program.journal().splitlines()]
        return [line for line in lines if line]

    return ask


def test_get_and_post_bring_headers_and_a_body(ask, url):
    assert ask(f"{url}/x") == ["GET 200 0 GET /x yes ", "POST 200 0 POST /x yes text"]


def test_a_redirection_is_followed(ask, url):
    assert ask(f"{url}/moved")[0] == "GET 200 0 GET /here yes "


@pytest.mark.parametrize(
    ("address", "error"), [("no address", 5200), ("http://127.0.0.1:1/", 5201)]
)
def test_what_cannot_be_asked_has_an_error(ask, address, error):
    assert ask(address) == [f"GET -1 {error} ", f"POST -1 {error} "]


def test_a_server_that_is_not_in_the_allow_list_is_refused(ask, url):
    assert ask(url, ALLOW="example.com")[0] == "GET -1 4014 "
