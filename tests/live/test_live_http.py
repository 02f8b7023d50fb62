"""HTTP over real sockets: half-closed clients, and clients that ask and never read."""

import socket
import time
from pathlib import Path

import pytest
from live_daemon import until

TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"
LARGE = b"<chart>\n" + b"# a line that says nothing at all\n" * 30_000 + b"</chart>\n"


def put(content):
    head = f"PUT /templates/EURUSD/H1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(content)}"
    return head.encode() + b"\r\n\r\n" + content


def get(path, *headers):
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    return "\r\n".join(lines).encode()


def read_all(connection):
    pieces = []
    while piece := connection.recv(1_048_576):
        pieces.append(piece)
    return b"".join(pieces)


def ask(daemon, service, request):
    """Send a request, close our half, and read what comes."""
    with daemon.dial(service) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return read_all(connection)


def resident(daemon):
    """Return the resident bytes of the daemon."""
    return int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("service", ["templates", "web"])
def test_a_client_that_closed_its_half_gets_its_answer(daemon, service):
    daemon.start()
    assert ask(daemon, service, put(TEMPLATE)).startswith(b"HTTP/1.1 201 ")
    assert ask(daemon, service, get("/templates/EURUSD/H1")).endswith(TEMPLATE)
    assert ask(daemon, service, put(LARGE)).startswith(b"HTTP/1.1 201 ")
    assert ask(daemon, service, get("/templates/EURUSD/H1")).endswith(LARGE)


@pytest.mark.parametrize("service", ["templates", "web"])
def test_a_client_that_closes_in_the_middle_of_a_request_is_let_go(daemon, service):
    daemon.start()
    assert ask(daemon, service, put(TEMPLATE)[:-5]) == b""


@pytest.mark.parametrize("service", ["templates", "web"])
def test_one_who_asks_for_much_and_reads_nothing_holds_one_answer(daemon, service):
    daemon.start()
    assert ask(daemon, service, put(LARGE)).startswith(b"HTTP/1.1 201 ")
    many, before = 200, resident(daemon)
    with daemon.dial(service) as connection:
        connection.sendall(get("/templates/EURUSD/H1"))
        time.sleep(0.3)
        connection.sendall(get("/templates/EURUSD/H1") * (many - 2))
        connection.sendall(get("/templates/EURUSD/H1", "Connection: close"))
        time.sleep(1)
        assert resident(daemon) - before < 40 * 2**20
        answers = read_all(connection)
    assert answers.count(b"HTTP/1.1 200 OK") == many
    assert answers.endswith(LARGE)


def test_the_memory_of_uploads_that_were_cut_off_is_given_back(daemon):
    daemon.start()

    def cut_off():
        connections = []
        for _ in range(30):
            connections.append(daemon.dial("templates"))
            # Who is silent for long is sent a template, as the classic client is.
            connections[-1].sendall(b"STORE EURUSD H1 1048576\n")
        for connection in connections:
            connection.sendall(bytes(1_000_000))
        for connection in connections:
            connection.close()

    cut_off()
    after_one = resident(daemon)
    for _ in range(5):
        cut_off()
    until(lambda: resident(daemon) - after_one < 60 * 2**20)
