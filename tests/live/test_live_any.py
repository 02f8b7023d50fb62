"""Several services on one port of a real daemon, inside TLS."""

import json
import socket
import time

import pytest
from live_daemon import PATIENCE, until
from tls_samples import Authority, Files, client_context

ENDPOINT = "secure:0:interface=127.0.0.1"
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"


@pytest.fixture
def dial(daemon):
    """Start the daemon with its one port; `dial()` connects to it through TLS."""
    daemon.data.mkdir(mode=0o700)
    files = Files(daemon.data / "tls", Authority())
    files.issue("localhost")
    daemon.start(f"--listen=any={ENDPOINT}", f'--set=signals.ports."{ENDPOINT}".channel=gold')
    port, context = daemon.port("any", "TLS"), client_context(files.ca)

    def dial():
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        return context.wrap_socket(plain, server_hostname="localhost")

    return dial


def ask(dial, data):
    """Send bytes on a connection of their own; return what is answered until it closes."""
    with dial() as connection:
        connection.sendall(data)
        found = b""
        while more := connection.recv(65_536):
            found += more
    return found


def test_every_service_answers_on_one_port(daemon, dial):
    with dial() as publisher:
        publisher.sendall(b"<<XAUUSD|-10.25>>\0")
        until(lambda: daemon.status()["signals"]["channels"].get("gold"))
    with dial() as follower:
        connected = time.monotonic()
        assert follower.recv(512) == b"<<XAUUSD|-10.25>>\r\n"
        assert 0.45 < time.monotonic() - connected < 5
    assert ask(dial, b"STORE EURUSD H1 %d\n" % len(TEMPLATE) + TEMPLATE) == b"OK 1\r\n"
    assert ask(dial, b"FETCH EURUSD H1\n")[20:] == TEMPLATE
    with dial() as terminal:
        terminal.sendall(b"GBPUSD 1.30512 1.30520\nSYNC:\n")
        assert terminal.recv(512) == b"OK: SYNC 1\r\n"
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = ask(dial, request)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["healthy"]
    assert "Traceback" not in daemon.logged()


def test_the_start_says_who_may_do_what_there(daemon, dial):
    row = next(row for row in daemon.logged().splitlines() if row.startswith("any "))
    assert row.split("  ")[-1].strip() == "follow, publish, send, read, fetch"
    assert " TLS " in row


def test_it_is_what_to_try_where_there_is_no_port_of_signals(daemon):
    usual = daemon.command

    def without_signals(*options):
        return [each for each in usual(*options) if not each.startswith("--listen=signals=tcp")]

    daemon.command = without_signals
    daemon.start("--listen=signals=off", "--listen=any=tcp:0:interface=127.0.0.1")
    assert f"Try: nc 127.0.0.1 {daemon.port('any')}\n" in daemon.logged()


def test_strangers_are_not_let_in_unless_somebody_says_what_they_may_do(daemon):
    for check in ([], ["--check"]):
        result = daemon.run("--listen=any=tcp:0", *check)
        assert result.returncode == 1
        assert len(result.stderr.strip().splitlines()) == 1
        assert "any on tcp:0 can be reached from other machines" in result.stderr
    daemon.start("--listen=any=tcp:0", "--set=access.anonymous=send,fetch")
    (row,) = [row for row in daemon.status()["services"] if row["service"] == "any"]
    assert row["strangers"] == "send, fetch"
