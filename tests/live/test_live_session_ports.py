"""A real daemon: ports of sessions for services that have verbs alone, and kills under writers."""

import signal
import subprocess
import sys
import threading
from contextlib import suppress

import pytest
from live_daemon import LOOPBACK, PATIENCE
from session_peer import Peer
from tls_samples import Authority, Files, client_context

from mtnet.client.sync import Series, calc, indicator

ROUNDS = 3
WRITES = 60
"""Answers of a round before the daemon is killed in the middle of further ones."""
KEYS = ("a", "b", "c")


def mtnet(*words):
    command = [sys.executable, "-m", "mtnet", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_port_of_topics_is_opened_by_its_name_in_clear_and_with_tls(daemon, tmp_path):
    files = Files(tmp_path / "tls", Authority("mtnet"))
    files.issue("localhost")
    daemon.start(
        f"--listen=topics={LOOPBACK}",
        "--listen=topics=secure:0:interface=127.0.0.1",
        f"--set=tls.certificate={files.certificate}",
        f"--set=tls.key={files.key}",
    )
    rows = [row for row in daemon.status()["services"] if row["service"] == "topics"]
    assert sorted(row["security"] for row in rows) == ["TLS", "plain"]
    assert {row["loopback"] for row in rows} == {"follow, publish"}
    shown = [line.split() for line in daemon.logged().splitlines() if line.startswith("topics ")]
    assert sorted(line[2] for line in shown) == ["TLS", "plain"]
    secure = Peer(daemon.port("topics", "TLS"), client_context(files.ca))
    with secure, Peer(daemon.port("topics")) as plain:
        assert secure.answer(b"<<JOIN|topic=desk/eurusd>>").verb == "JOINED"
        sent = plain.answer(b"<<SEND|topic=desk/eurusd|data=above 1.10>>")
        assert (sent.verb, sent.fields["receivers"]) == ("SENT", "1")
        assert secure.read().fields["data"] == "above 1.10"
    server = f"tcp:127.0.0.1:{daemon.port('topics')}"
    assert mtnet("topics", "send", "x", "1", "--server", server).stdout == "Sent to 0 members.\n"


def test_a_port_of_indicators_serves_the_clients(daemon):
    daemon.start(f"--listen=indicators={LOOPBACK}")
    server = f"tcp:127.0.0.1:{daemon.port('indicators')}"
    calc(server, Series("RSI14", "EURUSD", "H1"), 1000, [55.3, None])
    with indicator(server, "RSI14", "EURUSD", "H1", 5, retry=False) as values:
        value = next(values)
    assert (value.bar, value.values, value.open) == (1000, ("55.3", ""), False)
    shown = mtnet("indicators", "export", "RSI14", "EURUSD", "H1", "--server", server)
    assert shown.stdout.splitlines()[1:] == ["1000,1970-01-01 00:00:01,0,55.3,"]


class Writer(threading.Thread):
    """Writes numbers under a few keys, one after the other, until the daemon is gone."""

    def __init__(self, port, frame, first):
        super().__init__()
        self._peer, self._frame = Peer(port), frame
        self.sent, self.kept, self.number = {}, {}, first
        self.enough = threading.Event()

    def run(self):
        with self._peer, suppress(OSError):
            while self._write():
                pass

    def _write(self):
        """Write one number; return whether it was answered."""
        self.number += 1
        key = KEYS[self.number % len(KEYS)]
        self.sent[key] = self.number
        answer = self._peer.answer(self._frame(key, self.number))
        if answer is None:
            return False
        assert answer.verb in ("SENT", "CALCED"), answer.fields
        self.kept[key] = self.number
        if self.number % WRITES == 0:
            self.enough.set()
        return True


def retain(key, number):
    return f"<<SEND|topic=x|key={key}|data={number}|retain=1>>".encode()


def keep(key, number):
    bar = KEYS.index(key)
    return f"<<CALC|name=x|symbol=EURUSD|period=H1|bar={bar}|values={number}|open=1>>".encode()


@pytest.mark.parametrize(
    ("service", "frame", "question", "verb", "read"),
    [
        (
            "topics",
            retain,
            b"<<JOIN|topic=x>>",
            "MESSAGE",
            lambda fields: (fields["key"], int(fields["data"])),
        ),
        (
            "indicators",
            keep,
            b"<<INDICATOR|name=x|symbol=EURUSD|period=H1>>",
            "VALUE",
            lambda fields: (KEYS[int(fields["bar"])], int(fields["values"])),
        ),
    ],
    ids=["topics", "indicators"],
)
def test_what_was_answered_survives_kills(daemon, service, frame, question, verb, read):
    number = 0
    for _ in range(ROUNDS):
        daemon.start(f"--listen={service}={LOOPBACK}")
        writer = Writer(daemon.port(service), frame, number)
        writer.start()
        assert writer.enough.wait(PATIENCE)
        daemon.stop(signal.SIGKILL)
        writer.join(PATIENCE)
        number = writer.number
        daemon.start(f"--listen={service}={LOOPBACK}")
        with Peer(daemon.port(service)) as peer:
            assert peer.answer(question).verb in ("JOINED", "INDICATED")
            found = dict(read(peer.read().fields) for _ in KEYS)
        assert found.keys() == set(KEYS)
        for key in KEYS:
            assert writer.kept[key] <= found[key] <= writer.sent[key]
        daemon.stop()
