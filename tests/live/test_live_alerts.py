"""Alerts of a real daemon that is killed, to a receiver that is down at first."""

import json
import sqlite3
import time
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

from live_daemon import until

from mtnet.daemon.control.client import ask

SETTLE = 1.0


@contextmanager
def receiver(port):
    """Take messages at a port, and keep their texts."""
    got = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(json.loads(body)["message"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield got
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as probe:
        return probe.server_port


def stored(path):
    """Return how many messages wait on disk."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute("SELECT COUNT(*) FROM message").fetchone()[0]


def test_kills_and_a_receiver_that_is_down_lose_and_repeat_no_message(daemon):
    port = free_port()
    options = [
        "--set=alerts.dead.when=heartbeat_missing backup > 60s",
        f"--set=alerts.settle={SETTLE}",
        f"--set=notify.ops.urls=json://127.0.0.1:{port}/",
        "--set=notify.retry=0.2",
        "--set=notify.max_retry=0.5",
    ]
    control = daemon.data / "control"

    def begun():
        return ask(control, "alerts list")[0]["incidents"]

    def waiting():
        return ask(control, "status")["notify"]["receivers"][0]["waiting"]

    for _ in range(3):
        daemon.start(*options)
        until(begun)
        until(lambda: waiting() == 1)
        daemon.process.kill()
        daemon.process.wait()
    with receiver(port) as got:
        daemon.start(*options)
        until(lambda: got and stored(daemon.data / "notify.sqlite") == 0)
        daemon.process.kill()
        daemon.process.wait()
        daemon.start(*options)
        until(begun)
        ask(control, "alerts heartbeat add", name="backup")
        until(lambda: len(got) == 2)
        time.sleep(2 * SETTLE)
        daemon.stop()
    text = "There is no heartbeat backup: `mtnet alerts heartbeat add backup` makes it."
    assert got[0].splitlines()[0] == f"dead: {text}"
    assert got[1].endswith(f"It was: {text}")
    assert len(got) == 2
    assert f"127.0.0.1:{port}" not in daemon.logged()
