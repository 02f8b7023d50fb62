"""Accounts, bans and secrets of a real daemon, by those who mean no good and those who do."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
from base64 import b64encode
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fakes.rights import PERMISSIONS
from tls_samples import Authority, Files, client_context

from mtnet.access.accounts.store import AccountStore
from mtnet.daemon.control.client import ask
from mtnet.errors import ClientError
from mtnet.session import messages

SECURE = "secure:0:interface=127.0.0.1"
PASSWORD = "canary-horse-battery"
WRONG = "wrong-canary-battery"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def guarded(daemon):
    """Start a daemon to which loopback is a stranger; it has one account, that nobody uses."""
    daemon.data.mkdir(mode=0o700)
    records = AccountStore(daemon.data / "accounts.sqlite", PERMISSIONS)
    records.add("somebody", [], "", 1)
    records.close()
    return lambda *options: daemon.start("--set=access.trust_loopback=false", *options)


def control(daemon, command, **arguments):
    return ask(daemon.data / "control", command, **arguments)


def exchange(address, data, source="127.0.0.1"):
    """Say something, and return all that is answered within a moment."""
    found = b""
    with suppress(OSError), socket.create_connection(address, 5, (source, 0)) as connection:
        connection.settimeout(0.3)
        connection.sendall(data)
        while more := connection.recv(65_536):
            found += more
    return found


# Secrets


def sayings(password):
    """Return a login in the words of each service, and in words that are none."""
    secret, basic = password.encode(), b64encode(b"alice:" + password.encode())
    hello = messages.hello(login="alice", password=password)
    head = b"GET /templates HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: "
    store = b"STORE EURUSD H1 5 alice %b\r\n12345" % secret
    return [
        *(hello, hello[:-9], hello.lower(), hello.replace(b"password=", b"passwor%64="), store),
        *(store[:-11], store.replace(b" 5 ", b" "), b" " + store, b"LOGIN: alice %b\r\n" % secret),
        *(b"LOGIN alice %b\r\n" % secret, head + b"Basic %b\r\n\r\n" % basic),
        *(head + b"Bearer %b\r\n\r\n" % secret, head + b"Basic %b\r\n\r\n" % secret),
        *(head + b"Digest %b\r\n\r\n" % basic, b"GET http://a:%b@x/ HTTP/1.1\r\n\r\n" % secret),
        *(b"PROXY %b\r\n" % secret, b'{"command": "account add", "password": "%b"}\n' % secret),
    ]


def processes():
    return b"".join(read_or_nothing(each) for each in Path("/proc").glob("[0-9]*/cmdline"))


def read_or_nothing(path):
    with suppress(OSError):
        return path.read_bytes()
    return b""


def test_secrets_are_nowhere_but_as_hashes(guarded):
    daemon = guarded("--set=access.bans.ban_threshold=99999")
    added = subprocess.Popen(
        [sys.executable, "-m", "mtnet", "account", "add", "alice", "--role", "provider",
         "--data", str(daemon.data)],
        env=daemon.environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    added.stdin.write(PASSWORD.encode() + b"\n")
    added.stdin.flush()
    shown = b""
    while added.poll() is None:
        shown += processes()
    shown += added.communicate()[0]
    token = control(daemon, "account token", name="alice")["secret"]
    addresses = [("127.0.0.1", daemon.port(each)) for each in ("signals", "ticks", "templates")]
    addresses.append(("127.0.0.1", daemon.port("web")))
    secrets = (PASSWORD, token, WRONG, token[:-1] + "-")
    said = [
        (address, each, f"127.0.0.{number + 2}")
        for number, secret in enumerate(secrets)
        for each in sayings(secret)
        for address in addresses
    ]
    answers = [None] * len(said)

    def talk(first):
        for at in range(first, len(said), 16):
            answers[at] = exchange(*said[at])

    threads = [threading.Thread(target=talk, args=(first,)) for first in range(16)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert b"WELCOME" in b"".join(answers)
    for command in ("account add", "account passwd", "account shout", "bans add"):
        with pytest.raises(ClientError) as refused:
            control(daemon, command, name=7, password=WRONG, network=7)
        shown += str(refused.value).encode()
    shown += exchange_control(daemon, b'{"command": "account add", "password": "%b"\n')
    for command in ("status", "bans list", "account list"):
        shown += json.dumps(control(daemon, command)).encode()
    shown += b"".join(answers) + processes()
    daemon.stop()
    shown += daemon.logged().encode()
    shown += b"".join(read_or_nothing(each) for each in daemon.data.rglob("*") if each.is_file())
    for secret in secrets:
        for form in (secret.encode(), b64encode(b"alice:" + secret.encode())):
            assert form not in shown


def exchange_control(daemon, data):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(daemon.data / "control"))
        connection.sendall(data % WRONG.encode())
        return connection.recv(65_536)


# Web pages

PAGE = """<body><script>
const later = (ms) => new Promise(resolve => setTimeout(resolve, ms));
(async () => {
  if (LOGIN) { window.open("http://" + LOGIN + "127.0.0.1:PORT/templates"); await later(1500); }
  const url = "http://127.0.0.1:PORT/templates/EVIL/H1", body = "<chart>\\n</chart>";
  for (const mode of ["no-cors", "cors"])
    for (const method of ["GET", "POST", "PUT"])
      await Promise.race([fetch(url, {method, mode, credentials: "include",
        body: method === "GET" ? undefined : body}).catch(() => {}), later(1000)]);
  const form = document.createElement("form"), frame = document.createElement("iframe");
  frame.name = form.target = "f"; form.method = "POST"; form.action = url;
  form.enctype = "text/plain"; document.body.append(frame, form); form.submit();
  await later(500);
  await fetch("/finished", {method: "POST"});
})();
</script></body>"""


class HostilePage(BaseHTTPRequestHandler):
    """Serves the page, and hears when its script has done all that it can."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page.encode())

    def do_POST(self):
        self.server.finished.set()
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on this machine.")
@pytest.mark.parametrize("login", ["", f"alice:{PASSWORD}@"])
def test_a_page_of_another_origin_changes_nothing(guarded, tmp_path, login):
    daemon = guarded("--set=access.bans.ban_threshold=99999", *([] if login else ANONYMOUS))
    control(daemon, "account add", name="alice", grants=["provider"], password=PASSWORD)
    page = PAGE.replace("PORT", str(daemon.port("web"))).replace("LOGIN", json.dumps(login))
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-popup-blocking"]
    flags += ["--no-first-run", "--disable-background-networking", "--remote-debugging-port=0"]
    with ThreadingHTTPServer(("127.0.0.1", 0), HostilePage) as server:
        server.page, server.finished = page, threading.Event()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path / 'profile'}", url]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                assert server.finished.wait(30)
            finally:
                browser.terminate()
                server.shutdown()
    status = daemon.status()
    assert status["templates"]["templates"] == 0
    assert daemon.logged().count("Pages of another origin") >= 3
    if login:  # the browser knew the password, and sent it along
        assert status["access"]["logins"]["right"] >= 2


ANONYMOUS = ["--set=access.anonymous=publish,fetch"]


# Accounts


def test_accounts_that_others_can_read_keep_it_from_starting(daemon):
    daemon.start()
    daemon.stop()
    path = daemon.data / "accounts.sqlite"
    assert path.stat().st_mode & 0o077 == 0
    path.chmod(0o644)
    result = daemon.run()
    assert result.returncode == 1
    (line,) = result.stderr.strip().splitlines()
    _, mend, _ = line.split("`")
    assert mend == f"chmod o-rwx {path}"
    subprocess.run(mend.split(), check=True)
    daemon.start()


def greet(connection, login, password):
    connection.settimeout(5)
    connection.sendall(messages.hello(login=login, password=password))
    return connection.recv(4_096)


def test_accounts_that_changed_on_disk_are_read_at_a_hangup(guarded):
    daemon = guarded()
    control(daemon, "account add", name="alice", grants=["provider"], password=PASSWORD)
    token = control(daemon, "account token", name="alice")["secret"]
    with daemon.dial() as alice:
        assert greet(alice, "alice", token).startswith(b"<<WELCOME")
        records = AccountStore(daemon.data / "accounts.sqlite", PERMISSIONS)
        records.disable("alice")
        records.close()
        daemon.process.send_signal(signal.SIGHUP)
        while said := alice.recv(4_096):
            assert said.startswith(b"<<PING")
    with daemon.dial() as alice:
        assert b"code=login" in greet(alice, "alice", token)
    assert "Traceback" not in daemon.logged()


def test_a_client_certificate_is_a_login(guarded, daemon, tmp_path):
    files = Files(daemon.data / "tls", Authority())
    files.issue("localhost")
    clients = Files(tmp_path / "clients", Authority("clients"))
    clients.issue("desk.example", usage="client")
    names = ("signals", "ticks", "web")
    optional = ["--set=tls.client_certificates=optional", f"--set=tls.client_ca={clients.ca}"]
    guarded(*optional, *(f"--listen={name}={SECURE}" for name in names))
    grants = ["provider", "terminal", "certificate:dns:desk.example"]
    control(daemon, "account add", name="desk", grants=grants)
    said = {
        "signals": (messages.hello(), b"<<WELCOME", b"<<ERROR|code=login"),
        "ticks": (b"EURUSD 1.1 1.2\nSYNC:\n", b"OK: SYNC 1", b"ERR: denied"),
        "web": (b"GET /templates HTTP/1.1\r\n\r\n", b"HTTP/1.1 200", b"HTTP/1.1 401"),
    }
    stranger, known = client_context(files.ca), client_context(files.ca)
    known.load_cert_chain(clients.certificate, clients.key)
    for service, (words, good, bad) in said.items():
        assert answer(daemon, service, known, words).startswith(good), service
        assert answer(daemon, service, stranger, words).startswith(bad), service


def answer(daemon, service, context: ssl.SSLContext, data):
    address = ("127.0.0.1", daemon.port(service, "TLS"))
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as private,
    ):
        private.sendall(data)
        return private.recv(4_096)
