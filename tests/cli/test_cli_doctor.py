"""`mtnet doctor`: what it hears, and that it changes nothing."""

import json
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate
from functools import partial

import pytest
from doctor_reports import ISSUER, NOW, levels, secure
from hypothesis import given
from hypothesis import strategies as st
from tls_samples import DAY, Authority, Files, pem

from mtnet.cli.doctor import diagnosis, probe
from mtnet.cli.doctor.diagnosis import in_threads, parse_target
from mtnet.cli.doctor.findings import NOTE, OK, WRONG
from mtnet.cli.doctor.ports import HTTPS
from mtnet.cli.doctor.probe import (
    PortReport,
    Reply,
    classify,
    raw_template,
    read_web,
)
from mtnet.cli.main import main, parser
from mtnet.errors import ClientError
from mtnet.net.tls.authority import issue
from mtnet.services.templates.wire import PERIODS, raw_prefix

FRAME = b"<<GBPUSD|0.25>>\r\n"
RAW = raw_prefix("EURUSD", "H1", "mt5") + b"\xff\xfe<\0c\0h\0a\0r\0t\0>\0"


@pytest.fixture
def hurry(monkeypatch):
    """Give peers in this process less time than those across the world."""
    for name, seconds in (("SILENCE", 0.3), ("ANSWER", 0.8), ("CONNECT", 5.0)):
        monkeypatch.setattr(probe, name, seconds)


class Peers:
    """
    What listens on a port, each connection in a thread of its own.

    Attributes:
        said: what it was told, a list of bytes for each connection.
    """

    def __init__(self, behave, tls=None):
        self._behave, self._tls = behave, tls
        self.said = []

    def dial(self):
        here, there = socket.socketpair()
        threading.Thread(target=self._serve, args=(there,), daemon=True).start()
        return here

    def _serve(self, connection):
        connection.settimeout(10)
        with connection, suppress(OSError):
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            said = []
            self.said.append(said)
            with connection:
                self._behave(connection, said)


def listening(connection, said):
    """Yield what comes, and remember it."""
    while data := connection.recv(4_096):
        said.append(data)
        yield data


def silent(connection, said):
    for _ in listening(connection, said):
        pass


def signals(connection, said):
    connection.sendall(FRAME)
    silent(connection, said)


def ticks(connection, said):
    for data in listening(connection, said):
        if data != b"PING:\r\n":
            return
        connection.sendall(b"OK: PONG\r\n")


def closing(connection, said):
    """End it; where bytes were not read, as those of a handshake, with a reset."""
    time.sleep(0.05)


def resetting(connection, said):
    """End it with bytes unread, which is a reset."""
    connection.recv(1, socket.MSG_PEEK)


def ssh(connection, said):
    connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n")
    silent(connection, said)


def web(status, body, connection, said):
    for data in listening(connection, said):
        if not data.startswith(b"GET /version "):
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return
        date = formatdate(time.time(), usegmt=True).encode()
        connection.sendall(b"HTTP/1.1 %d Yes\r\nDate: %s\r\n\r\n%s" % (status, date, body))
        return


def templates(connection, said):
    """Serve HTTP to who speaks, and the raw template to who is silent."""
    connection.settimeout(0.05)
    try:
        first = connection.recv(4_096, socket.MSG_PEEK)
    except TimeoutError:
        first = b""
    connection.settimeout(10)
    if first:
        web(404, b'{"error": "missing"}', connection, said)
    else:
        connection.sendall(RAW)


own_web = partial(web, 200, b'{"name": "mtnet", "version": "0.1.0"}')


def every(silence, connection, said):
    """Serve all by the first bytes, and who is silent by `silence`."""
    connection.settimeout(0.1)
    try:
        first = connection.recv(4)
    except TimeoutError:
        first = b""
    connection.settimeout(10)
    if first == b"PING":
        connection.sendall(b"OK: PONG\r\n")
    elif first == b"GET ":
        connection.sendall(b'HTTP/1.1 200 OK\r\n\r\n{"name": "mtnet", "version": "0.1.0"}')
    else:
        silence(connection, said)
        return
    said.append(first + connection.recv(4_096))


def ask(behave, port=8081, tls=None, authorities=None, host="fx.example"):
    """Return what is told of a peer, and the peer."""
    peers = Peers(behave, tls)
    report = probe.ask(peers.dial, host, port, authorities)
    return replace(report, address="192.0.2.7", port=port), peers


# What is heard


@pytest.mark.parametrize(
    ("behave", "service", "detail"),
    [
        (signals, "signals", ""),
        (silent, "silent", ""),
        (ticks, "ticks", ""),
        (templates, "templates", "EURUSD 16385"),
        (own_web, "http", ""),
        (ssh, "unknown", r"'SSH-2.0-OpenSSH_9.6\r\n'"),
        (closing, "closed", ""),
        (partial(every, signals), "any", ""),
        (partial(every, silent), "any", ""),
        (partial(every, resetting), "any", "unheard"),
    ],
)
def test_each_service_is_known_by_its_behaviour(hurry, behave, service, detail):
    report, _ = ask(behave)
    assert (report.service, report.detail, report.secure) == (service, detail, None)


@pytest.mark.parametrize(
    "behave",
    [signals, silent, ticks, templates, own_web, closing, partial(every, silent)],
)
def test_nothing_is_said_that_could_change_anything(hurry, behave):
    _, peers = ask(behave)
    asked = b"GET /version HTTP/1.1\r\nHost: fx.example\r\nConnection: close\r\n\r\n"
    said = {b"".join(each) for each in peers.said}
    assert said <= {b"", b"PING:\r\n", asked}
    assert len(peers.said) >= 1


def test_templates_of_which_none_is_on_offer_are_known_by_http(hurry):
    def empty(connection, said):
        connection.settimeout(0.05)
        with suppress(TimeoutError):
            web(404, b'{"error": "missing"}', connection, said)

    report, _ = ask(empty)
    assert (report.service, report.web.status, report.web.body) == (
        "http",
        404,
        {"error": "missing"},
    )


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nX: "])
def test_an_answer_that_never_ends_is_given_up_in_time(hurry, start):
    def endless(connection, said):
        connection.sendall(start)
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    began = time.monotonic()
    report, _ = ask(endless)
    assert time.monotonic() - began < 3
    assert "not mtnet" in levels(report)[WRONG]


@given(st.binary(max_size=80), st.sampled_from(["open", "closed", "reset", "bad record"]))
def test_whatever_is_heard_has_a_finding(data, end):
    report = replace(classify(Reply(data, end)), address="192.0.2.7", port=8081)
    assert any(levels(report).values())


@given(st.text(st.characters(codec="ascii", categories="LN"), min_size=1, max_size=9))
def test_every_template_is_known_by_its_first_twenty_bytes(symbol):
    for period, (code, _) in PERIODS.items():
        raw = raw_prefix(symbol, period, "mt5")
        assert raw_template(raw) == f"{symbol} {code}"
        assert raw_template(raw[:19]) == ""


@given(st.binary(max_size=200))
def test_no_http_answer_is_too_strange(data):
    assert read_web(Reply(data), 0.0) is None
    found = read_web(Reply(b"HTTP/1.1 200 OK\r\nDate: " + data + b"\r\n\r\n" + data), 0.0)
    assert found is None or found.status == 200


def test_the_clock_of_the_server_is_read_from_its_answer():
    def skew(seconds):
        date = formatdate(1_000_000 + seconds, usegmt=True).encode()
        answer = Reply(b"HTTP/1.1 404 No\r\nServer: x\r\ndate: " + date + b"\r\n\r\n")
        return read_web(answer, 1_000_000.5).skew

    assert (skew(0), skew(90), skew(-3600)) == (0, 90, -3600)
    assert read_web(Reply(b"HTTP/1.1 200 OK\r\nDate: soon\r\n\r\n"), 0).skew is None
    assert read_web(Reply(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"), 0).skew is None


# TLS


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    """Return a server's context for a certificate, and the PEM of who issued it."""
    authority = Authority()

    def certified(*hosts, **options):
        files = Files(tmp_path_factory.mktemp("tls"), authority)
        files.issue(*hosts, **options)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.certificate, files.key)
        return context, pem(authority.certificate).decode()

    return certified


@pytest.mark.parametrize("port", [8081, HTTPS])
@pytest.mark.parametrize(
    ("behave", "service"),
    [
        (signals, "signals"),
        (silent, "silent"),
        (ticks, "ticks"),
        (own_web, "http"),
        (partial(every, signals), "any"),
        (partial(every, silent), "any"),
    ],
)
def test_services_are_known_through_tls_too(hurry, certified, port, behave, service):
    context, ca = certified("fx.example")
    report, _ = ask(behave, port, context, ca)
    assert report.service == service
    assert report.secure.untrusted == ""
    assert levels(report)[WRONG] == ""
    assert "through TLS" in levels(report)[OK] + levels(report)[NOTE]


@pytest.mark.parametrize("behave", [signals, ticks, own_web, closing])
def test_what_is_plain_on_the_port_of_tls_is_told(hurry, behave):
    report, _ = ask(behave, HTTPS)
    assert report.secure is None
    assert "does not speak TLS" in levels(report)[WRONG]


def test_a_certificate_for_another_name_is_told_with_the_names_it_has(hurry, certified):
    context, ca = certified("gold.example", "192.0.2.9")
    report, _ = ask(signals, 8081, context, ca)
    said = levels(report)
    assert "valid for gold.example, 192.0.2.9, and not for fx.example" in said[WRONG]
    assert "5274" in said[WRONG]
    assert "Signals answer" in said[OK]
    assert "is trusted" in said[OK]


def test_an_authority_that_nobody_knows_is_told(hurry, certified):
    context, _ = certified("fx.example")
    report, _ = ask(signals, 8081, context, pem(Authority("another").certificate).decode())
    assert "not trusted by this machine" in levels(report)[WRONG]
    assert "--ca" in levels(report)[WRONG]


def test_an_expired_certificate_is_told_once(hurry, certified):
    context, ca = certified("fx.example", until=-DAY, since=-2 * DAY)
    report, _ = ask(signals, 8081, context, ca)
    assert levels(report)[WRONG].count("expired") == 1


def test_a_server_that_asks_terminals_for_certificates_is_told(hurry, certified):
    context, ca = certified("fx.example")
    context.verify_mode = ssl.CERT_REQUIRED
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        report, _ = ask(signals, 8081, context, ca)
        assert "certificate" in levels(report)[WRONG], version
        assert "terminals have none" in levels(report)[WRONG], version
        context.minimum_version = ssl.TLSVersion.TLSv1_2


def test_another_certificate_for_clients_that_name_no_host_is_told(hurry, certified):
    context, ca = certified("default.example")
    named, _ = certified("fx.example")
    context.sni_callback = lambda connection, name, _: (
        name and setattr(connection, "context", named)
    )
    said = levels(ask(signals, 8081, context, ca)[0])
    assert "name no host in the handshake are shown another certificate" in said[NOTE]
    assert "default.example" in said[NOTE]
    assert said[WRONG] == ""
    renewed = issue(ISSUER, ["fx.example"], NOW).chain[0]
    assert levels(secure(without_name=renewed))[NOTE] == ""


# The program


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("FX.example", ("fx.example", None)),
        ("fx.example:8081", ("fx.example", 8081)),
        ("192.0.2.7:1", ("192.0.2.7", 1)),
        ("2001:db8::7", ("2001:db8::7", None)),
        ("[2001:DB8::7]:65535", ("2001:db8::7", 65535)),
        ("[::1]", ("::1", None)),
    ],
)
def test_a_target_is_a_host_and_perhaps_a_port(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize(
    "text",
    [
        "", "*.fx.example", "https://fx.example", "tcp:fx.example:8081", "fx.example:0",
        "fx.example:65536", "fx.example:", "[::1", "[fx.example", "192.0.2", "fx.example\n",
    ],
)  # fmt: skip
def test_what_could_be_meant_as_a_target_is_refused(text):
    with pytest.raises(ClientError, match="expected HOST or HOST:PORT"):
        parse_target(text)


@given(st.one_of(st.text(), st.from_regex(r"\[?[a-z0-9.:*%/]{0,20}\]?(:[0-9]{1,6})?")))
def test_what_is_no_target_is_told_with_examples(text):
    try:
        host, port = parse_target(text)
    except ClientError as error:
        sentence = str(error)
    else:
        assert host
        assert port is None or 0 < port < 65_536
        return
    assert sentence.startswith(f"Invalid target {text!r}: ")
    assert "fx.example:8081" in sentence


def test_help_ends_with_an_example_that_the_parser_takes(capsys):
    with pytest.raises(SystemExit):
        main(["doctor", "--help"])
    example = capsys.readouterr().out.split("Example: mtnet ")[1].split()
    assert parser().parse_args(example).target == "fx.example:8081"


def run(capsys, *arguments):
    """Return the exit status and what was said."""
    try:
        main(["doctor", *map(str, arguments)])
    except SystemExit as ended:
        return ended.code, capsys.readouterr().out
    return 0, capsys.readouterr().out


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_silent_port_is_looked_at_in_time_and_nothing_is_wrong(capsys, hurry, listener):
    status, said = run(capsys, f"127.0.0.1:{listener}")
    assert status == 0
    assert "signals are while there are no positions" in said
    assert said.endswith("Nothing is wrong.\n")


def test_a_port_where_nothing_listens_is_something_to_do(capsys):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        status, said = run(capsys, f"127.0.0.1:{port}", "--json")
    report = json.loads(said)
    assert (status, report["host"], report["healthy"]) == (1, "127.0.0.1", False)
    first = report["findings"][0]
    assert (first["level"], first["about"]) == ("wrong", f"127.0.0.1:{port}")
    assert set(first) == {"level", "about", "text", "todo"}


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), None])
def test_a_name_without_an_address_is_something_to_do(capsys, monkeypatch, error):
    def resolve(host):
        if error is None:
            time.sleep(5)
        raise error

    monkeypatch.setattr(diagnosis, "resolve", resolve)
    monkeypatch.setattr(diagnosis, "NAME", 0.1)
    status, said = run(capsys, "fx.example")
    assert status == 1
    assert "The name fx.example has no address" in said
    assert "4014" in said


def test_every_address_is_looked_at_on_every_port(capsys, monkeypatch):
    monkeypatch.setattr(diagnosis, "resolve", lambda host: ["192.0.2.7", "2001:db8::7"])
    monkeypatch.setattr(
        diagnosis,
        "probe_port",
        lambda host, address, port, ca: PortReport(address, port, service="ticks"),
    )
    status, said = run(capsys, "fx.example")
    assert "stands for 192.0.2.7, 2001:db8::7" in said
    for port in (8080, 8081, 8082, 8083):
        assert f"192.0.2.7:{port}: Ticks answer" in said
        assert f"[2001:db8::7]:{port}: Ticks answer" in said
    assert "192.0.2.7:443: The server does not speak TLS" in said
    assert status == 1


def test_an_examination_that_hangs_is_left_behind(capsys, monkeypatch):
    monkeypatch.setattr(diagnosis, "PORTS", 0.1)
    monkeypatch.setattr(diagnosis, "probe_port", lambda *_: time.sleep(5))
    before = set(threading.enumerate())
    status, said = run(capsys, "192.0.2.7:8081")
    assert status == 1
    assert all(thread.daemon for thread in set(threading.enumerate()) - before)
    assert "no end of it within 0.1 s" in said


def test_what_a_server_says_cannot_move_the_cursor_of_a_person(capsys, monkeypatch):
    report = PortReport("192.0.2.7", 8080, service="templates", detail="\x1b[2J\u202e 16385")
    monkeypatch.setattr(diagnosis, "probe_port", lambda *_: report)
    said = run(capsys, "192.0.2.7:8080")[1]
    assert r"\x1b[2J\u202e H1" in said
    assert "\x1b" not in said


def test_a_file_of_authorities_that_holds_none_is_one_sentence(capsys, tmp_path):
    (tmp_path / "ca.pem").write_text("hello")
    status, _ = run(capsys, "127.0.0.1:1", "--ca", tmp_path / "ca.pem")
    assert status == f"mtnet: {tmp_path / 'ca.pem'} holds no certificate in PEM form."


def test_calls_in_threads_keep_their_order_and_their_errors():
    def fail():
        raise ValueError("no")

    good, bad = in_threads([lambda: 1, fail], 5)
    assert good.result() == 1
    assert str(bad.exception()) == "no"


def wrong_version():
    error = ssl.SSLError(1, "no TLS")
    error.reason = "WRONG_VERSION_NUMBER"
    return error


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (wrong_version(), "wrong version number"),
        (TimeoutError(), "reset"),
        (ConnectionResetError(104, "reset"), "reset"),
        (OSError(113, "No route to host"), "No route to host"),
    ],
)
def test_a_connection_that_fails_is_an_end_and_no_traceback(error, end):
    def dial():
        raise error

    found = probe.exchange(dial, b"", 1.0)
    assert found.data == b""
    assert end in found.end


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionRefusedError(), "refused"),
        (TimeoutError(), "late"),
        (OSError(5, "broken"), "broken"),
    ],
)
def test_why_a_port_does_not_answer_is_one_word_or_the_systems(error, words):
    assert probe._failure(error) == words
