"""TLS of a real daemon, by Python's ssl and by OpenSSL's own client."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import time
from contextlib import ExitStack
from datetime import timedelta

import pytest
from live_daemon import PATIENCE, until
from tls_samples import Authority, Files, client_context, key_pem, new_key

from mtnet.daemon.control.client import ask

SERVICES = ("signals", "templates", "ticks", "web")
SECURE = "secure:0:interface=127.0.0.1"
TEMPLATE = b"<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n"


@pytest.fixture
def files(daemon):
    """The certificate that lies where the daemon looks when nothing is configured."""
    daemon.data.mkdir(mode=0o700)
    found = Files(daemon.data / "tls", Authority("issuer", Authority()))
    found.issue("localhost", "127.0.0.1")
    return found


@pytest.fixture
def secure(daemon, files):
    """Start the daemon with a TLS listener beside each plain one."""

    def start(*options):
        plain = [f"--listen={name}={SECURE}" for name in SERVICES]
        daemon.start(*plain, *options)
        daemon.tls = client_context(files.ca)
        return daemon

    return start


def dial(daemon, service, context=None, name="localhost"):
    address = ("127.0.0.1", daemon.port(service, "TLS"))
    plain = socket.create_connection(address, timeout=PATIENCE)
    try:
        return wrap(plain, context or daemon.tls, name)
    except BaseException:
        plain.close()
        raise


def wrap(plain, context, name="localhost"):
    """Shake hands; an end without TLS's own good-bye is an error, as a reset is."""
    return context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False)


def read_to_the_end(connection):
    found = b""
    while data := connection.recv(65_536):
        found += data
    return found


def names(connection):
    return [name for _, name in connection.getpeercert()["subjectAltName"]]


def test_every_service_speaks_tls(secure):
    daemon = secure()
    with dial(daemon, "signals") as publisher, dial(daemon, "signals") as follower:
        publisher.sendall(b"<<GBPUSD|0.25>>")
        assert follower.recv(512) == b"<<GBPUSD|0.25>>\r\n"
    with dial(daemon, "templates") as terminal:
        terminal.sendall(b"STORE EURUSD H1 %d\n" % len(TEMPLATE) + TEMPLATE)
        assert read_to_the_end(terminal) == b"OK 1\r\n"
    with dial(daemon, "templates") as raw:
        assert read_to_the_end(raw)[20:] == TEMPLATE
    with dial(daemon, "ticks") as sender:
        sender.sendall(b"EURUSD 1.09877 1.09879\nSYNC:\n")
        assert sender.recv(512) == b"OK: SYNC 1\r\n"
    with dial(daemon, "web") as browser:
        browser.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        body = json.loads(read_to_the_end(browser).partition(b"\r\n\r\n")[2])
    assert body["tls"] == {"healthy": True, "trouble": None, "days_left": 89}
    assert daemon.status()["tls"]["certificates"][0]["names"] == ["localhost", "127.0.0.1"]


def test_strangers_are_told_of_a_broken_certificate_and_not_where_it_lies(secure, files):
    daemon = secure()
    context = daemon.tls
    files.certificate.write_text("not one")
    until(lambda: not daemon.status()["healthy"])
    with dial(daemon, "web", context) as browser:
        browser.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        said = read_to_the_end(browser)
    assert f"tls: {files.certificate.name} holds no certificate in PEM form.".encode() in said
    assert str(daemon.folder).encode() not in said
    assert str(files.certificate) in daemon.status()["trouble"][0], "its owner is told"


def test_plain_and_tls_followers_hear_one_broadcast(secure):
    daemon = secure("--listen=signals=tcp:0:interface=127.0.0.1")
    with dial(daemon, "signals") as private, daemon.dial() as public:
        until(lambda: daemon.status()["signals"]["followers"] == 2)
        assert daemon.publish(b"<<XAUUSD|-10.25>>")
        assert private.recv(512) == public.recv(512) == b"<<XAUUSD|-10.25>>\r\n"


def test_a_large_template_reaches_a_slow_reader_whole(secure):
    daemon = secure("--set=templates.progress=1")
    template = TEMPLATE.replace(b"</chart>", b"x=1\n" * 200_000 + b"</chart>")
    with dial(daemon, "templates") as terminal:
        terminal.sendall(b"STORE EURUSD H1 %d\n" % len(template) + template)
        assert read_to_the_end(terminal) == b"OK 1\r\n"
    with dial(daemon, "templates") as reader:
        found = b""
        while data := reader.recv(16_384):
            found += data
            time.sleep(0.04)
    assert found[20:] == template


def test_a_reader_that_stops_is_reset(secure):
    daemon = secure("--set=templates.progress=1")
    template = TEMPLATE.replace(b"</chart>", b"x=1\n" * 250_000 + b"</chart>")
    with dial(daemon, "templates") as terminal:
        terminal.sendall(b"STORE EURUSD H1 %d\n" % len(template) + template)
        assert read_to_the_end(terminal) == b"OK 1\r\n"
    context = daemon.tls
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    plain.connect(("127.0.0.1", daemon.port("templates", "TLS")))
    with wrap(plain, context) as reader:
        time.sleep(4)
        with pytest.raises(OSError, match=r"reset|EOF"):
            read_to_the_end(reader)


@pytest.mark.parametrize("service", SERVICES)
def test_openssl_takes_it(secure, files, service):
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("There is no openssl.")
    daemon = secure()
    address = f"127.0.0.1:{daemon.port(service, 'TLS')}"
    command = [openssl, "s_client", "-connect", address, "-CAfile", str(files.ca)]
    command += ["-verify_return_error", "-verify_hostname", "localhost"]
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
    )
    assert result.returncode == 0
    assert "TLSv1.3" in result.stdout
    assert "Verification: OK" in result.stdout


def test_clients_refuse_a_wrong_name_a_wrong_authority_and_what_expired(secure, files):
    daemon = secure()
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        dial(daemon, "signals", name="fx.example")
    with pytest.raises(ssl.SSLCertVerificationError, match=r"issuer|self-signed"):
        dial(daemon, "signals", ssl.create_default_context())
    files.issue("localhost", until=timedelta(seconds=2.5))
    until(lambda: daemon.status()["tls"]["certificates"][0]["names"] == ["localhost"])
    time.sleep(2.5)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        dial(daemon, "signals")
    until(lambda: "expired on" in daemon.logged())
    assert not daemon.status()["healthy"]


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_old_versions_are_refused(secure, newest):
    daemon = secure("--set=tls.profile=modern")
    context = daemon.tls
    context.maximum_version = newest
    if newest is ssl.TLSVersion.TLSv1_3:
        with dial(daemon, "signals", context) as client:
            assert client.version() == "TLSv1.3"
    else:
        with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
            dial(daemon, "signals", context)


def test_each_host_has_its_own_certificate(secure, daemon, files):
    other = Files(daemon.data / "tls", files.authority, "fx-")
    other.issue("fx.example")
    key = 'tls.hosts."fx.example"'
    secure(f"--set={key}.certificate={other.certificate}", f"--set={key}.key={other.key}")
    with dial(daemon, "signals", name="fx.example") as client:
        assert names(client) == ["fx.example"]
    with dial(daemon, "web", name="127.0.0.1") as client:
        assert names(client) == ["localhost", "127.0.0.1"]


def test_client_certificates_are_asked_for(secure, tmp_path):
    clients = Files(tmp_path / "clients", Authority("clients"))
    clients.issue("terminal", usage="client")
    daemon = secure("--set=tls.client_certificates=required", f"--set=tls.client_ca={clients.ca}")
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"), dial(daemon, "ticks") as c:
        c.recv(1)
    daemon.tls.load_cert_chain(clients.certificate, clients.key)
    with dial(daemon, "ticks") as client:
        client.sendall(b"PING:\n")
        assert client.recv(512) == b"OK: PONG\r\n"


def test_silent_clients_are_gone_after_the_deadline_while_handshakes_go_on(secure):
    daemon = secure("--set=tls.handshake=1.5")
    address = ("127.0.0.1", daemon.port("signals", "TLS"))
    with ExitStack() as stack:
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(100)]
        for connection in silent[:50]:
            connection.sendall(b"\x16\x03\x01")
        slowest = 0.0
        until(lambda: daemon.status()["tls"]["handshakes"]["going on"] == 100)
        for _ in range(20):
            began = time.monotonic()
            dial(daemon, "signals").close()
            slowest = max(slowest, time.monotonic() - began)
        for connection in silent:
            connection.settimeout(5)
            with pytest.raises(ConnectionResetError):
                raise ConnectionResetError if connection.recv(1) == b"" else AssertionError
    assert slowest < 1
    handshakes = daemon.status()["tls"]["handshakes"]
    assert (handshakes["late"], handshakes["going on"]) == (100, 0)


def spoil(n, files):
    """Put something there that cannot be served."""
    certificate, key = files.certificate.read_bytes(), files.key.read_bytes()
    if n % 3 == 0:
        files.put(certificate, key_pem(new_key()))
    elif n % 3 == 1:
        files.certificate.write_bytes(certificate[: len(certificate) // 2])
    else:
        files.put(b"broken", key)


def test_certificates_are_swapped_under_sessions_that_live_on(secure, files):
    daemon = secure("--set=signals.pace=0")
    with ExitStack() as stack:
        sessions = [stack.enter_context(dial(daemon, "signals")) for _ in range(20)]
        until(lambda: daemon.status()["signals"]["followers"] == 20)
        for n in range(30):
            if n % 2:
                spoil(n // 2, files)
                expected = f"s{n - 1}.example"
            else:
                expected = f"s{n}.example"
                files.issue("localhost", expected)
            daemon.process.send_signal(signal.SIGHUP)
            until(lambda n=n: daemon.status()["tls"]["certificates"][0]["remarks"] or not n % 2)
            until(lambda name=expected: name in names(stack.enter_context(dial(daemon, "web"))))
        with dial(daemon, "signals") as publisher:
            publisher.sendall(b"<<GBPUSD|0.25>>")
            for session in sessions:
                assert session.recv(512) == b"<<GBPUSD|0.25>>\r\n"
    handshakes = daemon.status()["tls"]["handshakes"]
    assert (handshakes["failed"], handshakes["late"], handshakes["refused"]) == (0, 0, 0)
    assert "Traceback" not in daemon.logged()


def test_a_renewed_certificate_is_served_within_two_seconds_without_a_signal(secure, files):
    daemon = secure()
    files.issue("localhost", "new.example")
    began = time.monotonic()
    until(lambda: "new.example" in names_of(daemon))
    assert time.monotonic() - began < 2
    (event,) = ask(daemon.data / "control", "events", kinds=["certificate"])["events"]
    assert event["kind"] == "certificate_renewed"
    assert event["text"].startswith(f"{event['file']} is served, until ")


def names_of(daemon):
    with dial(daemon, "web") as client:
        return names(client)


def test_behind_a_balancer_the_header_comes_first_and_then_tls(daemon, files):
    daemon.start(f"--listen=templates=haproxy:{SECURE}", "--set=access.anonymous=fetch,publish")
    context = client_context(files.ca)
    address = ("127.0.0.1", daemon.port("templates", "TLS"))
    with socket.create_connection(address, timeout=5) as plain:
        plain.sendall(b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 8080\r\n")
        with wrap(plain, context) as client:
            client.sendall(b"nonsense\n")
            with pytest.raises(OSError, match=r"reset|EOF"):
                read_to_the_end(client)
    until(lambda: "192.0.2.9:50000" in daemon.logged())
    with (
        socket.create_connection(address, timeout=5) as plain,
        pytest.raises(OSError, match=r"reset|EOF"),
    ):
        wrap(plain, context)
    assert "Missing PROXY header" in daemon.logged()


def test_a_balancer_that_is_not_named_is_closed(daemon, files):
    daemon.start(
        f"--listen=signals=haproxy:{SECURE}",
        "--set=access.anonymous=follow",
        "--set=access.proxies=192.0.2.0/24",
    )
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", daemon.port("signals", "TLS"))) as plain:
            plain.settimeout(5)
            plain.sendall(b"PROXY TCP4 192.0.2.9 198.51.100.1 50000 8080\r\n")
            with pytest.raises(ConnectionResetError):
                raise ConnectionResetError if plain.recv(1) == b"" else AssertionError
    assert "none of access.proxies" in daemon.logged()


def assert_one_sentence(result, *words):
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in result.stderr


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_what_keeps_it_from_starting_is_one_sentence(daemon, tmp_path, check):
    listen = f"--listen=signals={SECURE}"
    assert_one_sentence(
        daemon.run(listen, *check), "secure:0", "mtnet cert init", "certificate.pem"
    )
    files = Files(tmp_path / "own", Authority())
    files.issue("localhost")
    own = [f"--set={each}" for each in files.settings]
    assert_one_sentence(daemon.run(listen, own[0], *check), "tls.key")
    (tmp_path / "own" / "key.pem").write_bytes(key_pem(new_key()))
    assert_one_sentence(daemon.run(listen, *own, *check), "does not belong")
    files.issue("localhost")
    required = "--set=tls.client_certificates=required"
    assert_one_sentence(daemon.run(listen, *own, required, *check), "tls.client_ca")
    assert_one_sentence(daemon.run(*own, "--set=access.proxies=a", *check), "access.proxies")
