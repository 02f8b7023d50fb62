"""Clients that know nothing of mtnet: a Python library, two of npm's, and a real browser."""

import json
import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from live_daemon import until
from test_browser import CHROMIUM, FLAGS
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

HELLO = {"verb": "HELLO", "v": "2"}
SUBSCRIBE = {"verb": "SUBSCRIBE", "channel": "main"}
NODE = """
const {WebSocket} = require("ws");
const socket = new WebSocket(process.argv[2], process.argv[3] ? [process.argv[3]] : []);
const say = message => socket.send(JSON.stringify(message));
socket.on("open", () => say({verb: "HELLO", v: "2"}));
socket.on("message", data => {
  const message = JSON.parse(data);
  console.log(message.verb);
  if (message.verb === "WELCOME") say({verb: "SUBSCRIBE", channel: "main"});
  if (message.verb === "SYNCED")
    say({verb: "PUBLISH", id: "node-1", symbol: "EURUSD", volume: -0.1 - 0.2});
  if (message.verb === "STORED") say({verb: "BYE"});
});
socket.on("close", code => console.log(code, socket.protocol, socket.extensions));
"""
PAGE = """<body><script>
const socket = new WebSocket("ws://127.0.0.1:PORT/ws", "mtnet.v2");
const say = message => socket.send(JSON.stringify(message));
const seen = [];
const report = () => fetch("/finished", {method: "POST", body: JSON.stringify(seen)});
socket.onopen = () => say({verb: "HELLO", v: "2", name: "page"});
socket.onmessage = event => {
  const message = JSON.parse(event.data);
  seen.push(message);
  if (message.verb === "WELCOME") say({verb: "SUBSCRIBE", channel: "main"});
  if (message.verb === "SYNCED")
    for (const number of [1, 2, 3])
      say({verb: "PUBLISH", id: `page-${number}`, symbol: "GBPUSD", volume: number,
           comment: "x".repeat(100)});
  if (message.verb === "SIGNAL" && message.seq === 4) say({verb: "BYE"});
};
socket.onclose = event => {
  seen.push({code: event.code, clean: event.wasClean, extensions: socket.extensions});
  report();
};
</script></body>"""


@pytest.fixture
def running(daemon):
    daemon.start("--listen=any=tcp:0:interface=127.0.0.1")
    assert daemon.publish(b"<<GBPUSD|0.25>>")
    return daemon


def url(daemon, service="web"):
    return f"ws://127.0.0.1:{daemon.port(service)}/ws"


def ask(socket, *messages):
    """Send messages; return the first answer to each."""
    answers = []
    for each in messages:
        socket.send(json.dumps(each))
        answers.append(json.loads(socket.recv(10)))
    return answers


# Python's websockets


@pytest.mark.parametrize("service", ["web", "any"])
def test_websockets_publishes_and_follows(running, service):
    with connect(url(running, service), subprotocols=["mtnet.v2"]) as socket:
        assert socket.subprotocol == "mtnet.v2"
        assert socket.protocol.extensions == []  # it offers compression, and is no browser
        welcome, snapshot = ask(socket, HELLO, SUBSCRIBE)
        assert welcome["verb"] == "WELCOME"
        held = [json.loads(socket.recv(10)) for _ in range(snapshot["count"] + 2)]
        assert [each["verb"] for each in held] == ["POSITION", "SYNCED", "STATUS"]
        socket.send(json.dumps({"verb": "PUBLISH", "id": "p-1", "symbol": "GBPUSD", "volume": 0.5}))
        got = {}
        while not got.keys() >= {"STORED", "SIGNAL"}:
            message = json.loads(socket.recv(10))
            got[message["verb"]] = message
        assert (got["STORED"]["seq"], got["SIGNAL"]["volume"]) == (2, "0.5")
        assert socket.ping().wait(10)
        socket.send(json.dumps({"verb": "BYE"}))
        assert all("STATUS" in each for each in socket)
        assert socket.close_code == 1000


def test_websockets_reads_ticks_and_is_refused_with_another_origin(running):
    with connect(url(running), subprotocols=["mtnet.ticks"]) as socket:
        socket.send("SUBSCRIBE: EURUSD\nEURUSD 1.1 1.2")
        assert socket.recv(10) == "OK: SUBSCRIBED EURUSD\r\n"
        assert socket.recv(10).startswith("TICK: EURUSD 1.1 1.2 - - - - ")
    with pytest.raises(InvalidStatus) as caught:
        connect(url(running), origin="https://evil.example")
    assert caught.value.response.status_code == 403


def test_websockets_sends_a_message_in_fragments_and_is_told_why_it_is_closed(running):
    with connect(url(running)) as socket:
        socket.send(iter(['{"verb": "HEL', 'LO", "v', '": "2"}']))
        assert json.loads(socket.recv(10))["verb"] == "WELCOME"
        socket.send(b"binary")
        with pytest.raises(ConnectionClosed) as caught:
            socket.recv(10)
        assert caught.value.rcvd.code == 1003


# npm's ws and wscat


@pytest.fixture(scope="module")
def npm(tmp_path_factory):
    """Return a folder with `ws` and `wscat`; without Node.js or a registry the test is skipped."""
    folder = tmp_path_factory.mktemp("npm")
    if shutil.which("npm") is None or shutil.which("node") is None:
        pytest.skip("There is no Node.js with npm on this machine.")
    options = ("--silent", "--no-audit", "--no-fund", "--prefix", str(folder))
    done = subprocess.run(["npm", "install", *options, "ws@8", "wscat@6"], timeout=120, check=False)
    if done.returncode:
        pytest.skip("npm cannot install ws and wscat here.")
    return folder


@pytest.mark.parametrize("protocol", ["mtnet.v2", ""])
def test_ws_publishes_and_follows(running, npm, protocol):
    (npm / "follow.js").write_text(NODE, encoding="utf-8")
    command = ["node", "follow.js", url(running), protocol]
    shown = subprocess.run(command, cwd=npm, capture_output=True, text=True, timeout=30, check=True)
    *verbs, last = shown.stdout.splitlines()
    assert verbs[:5] == ["WELCOME", "SNAPSHOT", "POSITION", "SYNCED", "STATUS"]
    assert {"SIGNAL", "STORED"} <= set(verbs[5:]) <= {"SIGNAL", "STORED", "STATUS"}
    assert last.split() == ["1000", *filter(None, [protocol])]
    positions = running.status()["signals"]["channels"]["main"]["positions"]
    assert positions == {"GBPUSD": "0.25", "EURUSD": "-0.3"}


def wscat(npm, *arguments):
    """Return what wscat shows; it goes on for as long as its standard input is open."""
    program = npm / "node_modules" / ".bin" / "wscat"
    reading, writing = os.pipe()
    try:
        command = [program, *arguments, "-w", "1"]
        return subprocess.check_output(command, stdin=reading, text=True, timeout=30)
    finally:
        os.close(reading)
        os.close(writing)


def test_wscat_follows_and_reads_ticks(running, npm):
    said = [f"-x{json.dumps(each)}" for each in (HELLO, SUBSCRIBE)]
    verbs = [
        json.loads(line)["verb"] for line in wscat(npm, "-c", url(running), *said).splitlines()
    ]
    assert verbs == ["WELCOME", "SNAPSHOT", "POSITION", "SYNCED", "STATUS"]
    assert "OK: PONG" in wscat(npm, "-c", url(running), "-s", "mtnet.ticks", "-x", "PING:")


# A browser


class Page(BaseHTTPRequestHandler):
    """Serves the page, and takes what it has seen."""

    def do_GET(self):
        body = PAGE.replace("PORT", str(self.server.attacked)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.finished = json.loads(body)
        self.send_response(204)
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.mark.skipif(CHROMIUM is None, reason="There is no Chromium on this machine.")
def test_a_page_of_an_allowed_origin_follows_and_publishes(daemon, tmp_path):
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        site = f"http://127.0.0.1:{server.server_port}"
        daemon.start(f"--set=web.origins={site}")
        assert daemon.publish(b"<<GBPUSD|0.25>>")
        server.finished, server.attacked = None, daemon.port("web")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        command = [CHROMIUM, *FLAGS, profile, "--remote-debugging-port=0", site]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as browser:
            try:
                *seen, last = until(lambda: server.finished, seconds=60)
            finally:
                browser.terminate()
        server.shutdown()
    assert [each["verb"] for each in seen[:5]] == [
        *("WELCOME", "SNAPSHOT", "POSITION", "SYNCED", "STATUS")
    ]
    signals = [each for each in seen if each["verb"] == "SIGNAL"]
    assert [(each["seq"], each["volume"]) for each in signals] == [(2, "1"), (3, "2"), (4, "3")]
    assert (last["code"], last["clean"]) == (1000, True)
    assert last["extensions"].startswith("permessage-deflate")
