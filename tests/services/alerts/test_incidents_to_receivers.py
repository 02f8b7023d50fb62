"""One incident, and real receivers of its messages on loopback, over kills and a long outage."""

import json
import socket
from contextlib import ExitStack, contextmanager
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from aiosmtpd.controller import Controller
from apprise import NotifyBase
from twisted.internet.task import Clock

from mtnet.interfaces import IControlCommands
from mtnet.testing import make_environment

LOOPBACK = "127.0.0.1"
HOUR, STEP = 3_600, 10
BEGUN = "dead: There is no heartbeat backup: `mtnet alerts heartbeat add backup` makes it."


def free_port():
    with socket.create_server((LOOPBACK, 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def http_receiver(port, got):
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append(json.loads(body)["message"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer((LOOPBACK, port), Handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def mail_receiver(port, got):
    class Handler:
        async def handle_DATA(self, server, session, envelope):
            mail = message_from_bytes(envelope.content, policy=default)
            got.append(mail.get_content().strip().replace("\r\n", "\n"))
            return "250 OK"

    controller = Controller(Handler(), hostname=LOOPBACK, port=port)
    controller.start()
    try:
        yield
    finally:
        controller.stop()


class Daemon:
    """The components of a daemon without sockets of its own."""

    def __init__(self, folder, *sets):
        self.folder, self.sets, self.clock = folder, sets, Clock()

    def start(self):
        self.env = make_environment(self.folder, self.clock, *self.sets)
        self.services = [self.env.components.services[name] for name in ("notify", "alerts")]
        for each in self.services:
            each.start()

    def kill(self):
        """End as by kill -9: nothing more is stored, nothing more happens."""
        for call in [*self.clock.getDelayedCalls()]:
            call.cancel()

    def rest(self, seconds, step=STEP):
        for _ in range(seconds // step):
            self.clock.advance(step)


@pytest.mark.parametrize("outage", [0, HOUR])
def test_an_incident_is_one_message_to_each_over_kills_and_an_outage(tmp_path, monkeypatch, outage):
    monkeypatch.setattr(socket, "getfqdn", lambda name="": "localhost")  # it may ask the network
    # Else each mail waits for 5.5 s of real time behind the last one, which is minutes ago here.
    monkeypatch.setattr(NotifyBase, "request_rate_per_sec", 0)
    web, mail, posts, mails = free_port(), free_port(), [], []
    people = "from=mtnet@example.org&to=ops@example.org&format=text"
    urls = f"json://{LOOPBACK}:{web}/,mailto://{LOOPBACK}:{mail}?{people}"
    daemon = Daemon(
        tmp_path / "data",
        "alerts.dead.when=heartbeat_missing backup > 60s",
        "alerts.settle=30",
        f"notify.ops.urls={urls}",
    )
    with ExitStack() as receivers:
        if not outage:
            receivers.enter_context(http_receiver(web, posts))
            receivers.enter_context(mail_receiver(mail, mails))
        for _ in range(3):
            daemon.start()
            daemon.rest(outage // 3 or STEP, outage // 60 or STEP)
            daemon.kill()
        if outage:
            assert posts == mails == []
            receivers.enter_context(http_receiver(web, posts))
            receivers.enter_context(mail_receiver(mail, mails))
        daemon.start()
        daemon.rest(720, 60)
        assert [each.splitlines()[0] for each in posts] == [BEGUN]
        assert [each.splitlines()[0] for each in mails] == [BEGUN]
        assert ("(written 60 min ago)" in posts[0]) == bool(outage)
        IControlCommands(daemon.services[1]).commands()["alerts heartbeat add"]({"name": "backup"})
        daemon.rest(50)
        for _ in range(2):
            daemon.kill()
            daemon.start()
            daemon.rest(50)
        daemon.kill()
    for got in (posts, mails):
        _, end = got
        assert end.startswith("dead has ended after ")
        assert end.endswith(f"It was: {BEGUN.removeprefix('dead: ')}")
