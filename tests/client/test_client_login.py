"""Who the client says it is: where a password goes, and where it must never be seen."""

import os
import pty
import subprocess
import sys
from argparse import Namespace
from base64 import b64decode

import pytest
from fakes.servers import FarEnd, Outcome, Server, answer
from fakes.transports import MemoryEndpoint
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from zope.interface import alsoProvides

from mtnet.cli import server_options
from mtnet.client import Login, Templates, TickSender, subscribe
from mtnet.client.login import check_private
from mtnet.errors import ClientError
from mtnet.services.ticks.wire import MAX_RECORD, LineDecoder, parse_command

CANARY = "canary-7f3a"
DESK = Login("desk", CANARY)


class AtHost(Server):
    """An endpoint whose server has an address."""

    def __init__(self, host="127.0.0.1", tls=False):
        super().__init__(tls=tls)
        self.host = host

    def connect(self, factory):
        here = IPv4Address("TCP", "192.0.2.1", 50_000)
        peer = IPv4Address("TCP", self.host, 8082)
        original = FarEnd.__init__
        try:
            FarEnd.__init__ = lambda end: StringTransport.__init__(end, here, peer)
            return super().connect(factory)
        finally:
            FarEnd.__init__ = original


# What a login is


def test_the_password_is_no_part_of_what_is_shown():
    assert CANARY not in repr(DESK)
    assert CANARY not in str(DESK)
    assert CANARY not in f"{DESK!r} {[DESK]} {vars(Namespace(account=DESK))}"


def test_the_header_and_the_line_are_those_of_the_protocols():
    assert DESK.line == b"LOGIN: desk canary-7f3a"
    kind, _, coded = DESK.basic.partition(b" ")
    assert (kind, b64decode(coded)) == (b"Basic", b"desk:canary-7f3a")
    assert b"\n" not in Login("desk", "x" * 300).basic


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "a\tb", "a\nb", "a\0b", "\x1b", "\ud800"])
def test_a_name_that_would_be_read_otherwise_is_refused(name):
    with pytest.raises(ClientError, match="Invalid login"):
        Login(name, CANARY)


@pytest.mark.parametrize("password", ["", "a\nb", "a\rb", "a\0b", "a\udcffb", "\x1b[A"])
def test_a_password_that_would_be_read_otherwise_is_refused_and_not_told(password):
    with pytest.raises(ClientError) as refused:
        Login("desk", password and CANARY + password)
    assert CANARY not in str(refused.value)


def test_a_login_that_no_server_would_read_whole_is_refused():
    most = MAX_RECORD - len("LOGIN: desk ")
    assert len(Login("desk", "x" * most).line) == MAX_RECORD
    with pytest.raises(ClientError, match="at most"):
        Login("desk", "x" * (most + 1))
    with pytest.raises(ClientError, match="at most"):
        Login("desk", "ß" * (most // 2 + 1))


@given(st.text(max_size=40), st.text(max_size=40))
def test_every_login_is_one_line_that_the_tick_port_reads_as_such(name, password):
    try:
        login = Login(name, password)
    except ClientError:
        return
    line = LineDecoder().feed(login.line + b"\r\n")
    assert line.count(b"\n") == 1
    verb, words = parse_command(line[:-1])
    assert (verb, words[0]) == ("LOGIN", name.encode())
    assert b64decode(login.basic[6:]).decode() == f"{name}:{password}"


# Where it may go


def transport(peer, tls=False):
    found = StringTransport(peerAddress=peer)
    if tls:
        alsoProvides(found, ISSLTransport)
    return found


@pytest.mark.parametrize(
    "peer",
    [
        IPv4Address("TCP", "127.0.0.1", 1),
        IPv4Address("TCP", "127.8.8.8", 1),
        IPv6Address("TCP", "::1", 1),
        IPv6Address("TCP", "::ffff:127.0.0.1", 1),
        UNIXAddress(b"/run/mtnet"),
    ],
)
def test_within_this_machine_a_password_is_sent_in_clear(peer):
    check_private(transport(peer))


@pytest.mark.parametrize(
    "peer",
    [
        IPv4Address("TCP", "192.0.2.7", 1),
        IPv4Address("TCP", "10.0.0.1", 1),
        IPv4Address("TCP", "0.0.0.0", 1),
        IPv6Address("TCP", "fe80::1", 1),
        IPv6Address("TCP", "::ffff:192.0.2.7", 1),
        IPv4Address("TCP", "localhost.evil.example", 1),
    ],
)
def test_elsewhere_a_password_is_sent_over_tls_alone(peer):
    with pytest.raises(ClientError, match="secure:HOST:PORT"):
        check_private(transport(peer))
    check_private(transport(peer, tls=True))


def test_a_sender_says_who_it_is_before_its_first_tick(clock):
    server = AtHost()
    sender = TickSender(server, "desk-1", clock, login=DESK)
    sender.send("EURUSD", "1.1")
    sender.startService()
    clock.advance(1)
    first, second = server.end.value().split(b"\r\n", 1)
    assert first == DESK.line
    assert second.startswith(b"@@desk-1 ")


def test_a_subscriber_says_who_it_is_before_it_asks(clock):
    server = AtHost()
    subscribe(server, ["*"], print, clock, login=DESK).startService()
    assert server.end.value() == DESK.line + b"\r\nSUBSCRIBE: *\r\n"


def test_a_sender_and_a_subscriber_send_nothing_where_others_could_read_it(clock):
    for make in (
        lambda server, **options: TickSender(server, "desk-1", clock, **options),
        lambda server, **options: subscribe(server, ["*"], print, clock, **options),
    ):
        line, errors, states = MemoryEndpoint(Silent(), clock, "192.0.2.7"), [], []
        service = make(line, login=DESK, on_error=errors.append, on_connected=states.append)
        service.startService()
        line.settle()
        assert line.connection.client.said == b""
        assert line.connection.client.aborted
        assert errors[0].startswith("login A password is not sent in clear to 192.0.2.7")
        assert states == []
        service.stopService()
        line.settle()
        assert not clock.getDelayedCalls()


class Silent(Factory):
    noisy = False
    protocol = Protocol


def test_templates_send_no_request_where_others_could_read_it(clock):
    server = AtHost("192.0.2.7")
    outcome = Outcome(Templates(server, clock, login=DESK).list())
    assert outcome.sentence.startswith("A password is not sent in clear to 192.0.2.7")
    assert server.end.value() == b""
    assert server.end.gone
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(("host", "tls"), [("192.0.2.7", True), ("127.0.0.1", False)])
def test_templates_say_who_asks_in_every_request(clock, host, tls):
    server = AtHost(host, tls)
    templates = Templates(server, clock, login=DESK)
    requests = [templates.list(), templates.get("A", "H1"), templates.put("A", "H1", b"x")]
    assert len(server.connections) == len([Outcome(each) for each in requests])
    for end in server.connections:
        assert b"Authorization: " + DESK.basic + b"\r\n" in end.value()


def test_without_a_login_nothing_is_said(clock):
    server = AtHost("192.0.2.7")
    Outcome(Templates(server, clock).list())
    assert b"Authorization" not in server.end.value()


# Where it is never seen


def test_a_server_that_repeats_what_it_hears_is_not_quoted(clock):
    errors, server = [], AtHost()
    TickSender(server, "desk-1", clock, login=DESK, on_error=errors.append).startService()
    server.end.protocol.dataReceived(server.end.value())
    assert "not a tick port" in errors[0]
    assert CANARY not in errors[0]
    server = AtHost()
    subscribe(server, ["*"], print, clock, login=DESK).startService()
    with capturedLogs() as logged:
        server.end.protocol.dataReceived(server.end.value())
    assert CANARY not in str(logged)


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request"])
def test_a_web_server_that_repeats_what_it_hears_is_not_quoted(clock, status):
    server = AtHost()
    outcome = Outcome(Templates(server, clock, login=DESK).list())
    answer(server, DESK.basic + b" " + DESK.line, status)
    assert CANARY not in outcome.sentence
    assert DESK.basic[6:].decode() not in outcome.sentence


def test_a_refused_login_is_told_in_the_words_of_the_server(clock):
    errors, server = [], AtHost()
    TickSender(server, "desk-1", clock, login=DESK, on_error=errors.append).startService()
    server.end.protocol.dataReceived(b"ERR: login Wrong name or password\r\n")
    assert errors == ["login Wrong name or password"]
    assert server.end.aborted


# The command line


def test_the_password_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("MTNET_PASSWORD", CANARY)
    assert server_options.account(Namespace(login="desk")) == DESK
    assert server_options.account(Namespace(login=None)) is None


def test_an_empty_password_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("MTNET_PASSWORD", "")
    with pytest.raises(ClientError, match="not empty"):
        server_options.account(Namespace(login="desk"))


def mtnet(*arguments, **environ):
    return [sys.executable, "-m", "mtnet", *arguments], {
        **{key: value for key, value in os.environ.items() if not key.startswith("MTNET_")},
        **environ,
    }


TAIL = ("ticks", "tail", "--server", "tcp:127.0.0.1:1", "--login", "desk")


def test_the_command_line_asks_for_the_password_and_does_not_show_it():
    command, environ = mtnet(*TAIL)
    child, terminal = pty.fork()
    if child == 0:
        os.execve(command[0], command, environ)
    said = b""
    while b"assword" not in said:
        said += os.read(terminal, 4_096)
    os.write(terminal, CANARY.encode() + b"\n")
    try:
        while data := os.read(terminal, 4_096):
            said += data
    except OSError:  # the end of a terminal
        pass
    os.close(terminal)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    assert b"No connection to tcp:127.0.0.1:1" in said
    assert CANARY.encode() not in said


def test_ticks_that_come_through_a_pipe_are_never_taken_for_the_password():
    command, environ = mtnet("ticks", "send", "--server", "tcp:127.0.0.1:1", "--login", "desk")
    done = subprocess.run(
        command,
        env=environ,
        input=b"EURUSD 1.1\n",
        capture_output=True,
        timeout=30,
        check=False,
        start_new_session=True,  # without a terminal
    )
    assert done.returncode == 1
    assert done.stderr.startswith(b"mtnet: The password is missing: set MTNET_PASSWORD")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("password", [CANARY, CANARY + "\udcff", CANARY * 100])
def test_whatever_goes_wrong_the_password_is_not_told(password):
    command, environ = mtnet(*TAIL, MTNET_PASSWORD=password)
    done = subprocess.run(command, env=environ, capture_output=True, timeout=30, check=False)
    assert done.returncode == 1
    assert CANARY.encode() not in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
