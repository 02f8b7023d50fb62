"""
Send a real daemon frames that are none, on every port and on the control socket.

They come from many networks, which connect anew when they are cut off. Afterwards: how many
errors of our own its log holds, how much the log and the daemon's memory grew, and whether it
still works. Run it from a development environment: `python bench/malformed.py`.
"""

import argparse
import json
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench.accounts_daemon import HOST, AccountsDaemon, dial, network
from bench.harness import allow_descriptors, percentile
from mtnet.daemon.control.client import ask
from mtnet.session import messages
from tests.fakes.websocket_bytes import request, text

WARM = 0.25
"""The share of the frames after which memory counts: by then everything was loaded and full."""
GROWTH, LOG = 0.01, 1_048_576
"""What is promised: the share by which memory may grow, and the bytes that the log may."""
WAIT = 0.1
"""Seconds that a connection stays behind its last frame, to hear what is answered."""
PAUSE = 0.02
"""Seconds between two questions of the witness."""
THREADS = 16
NUMBERS = (
    *(b"NaN", b"-0", b"+1", b"1e308", b"1e-9999", b"Infinity", b"0x10", b"1_000", b"1.0.0", b""),
    *(
        b"9" * 400,
        b"-9223372036854775809",
        b".",
        b"-",
        b"1,5",
        b"\xef\xbc\x91\xd9\xa2",
        b"1e",
        b"%31",
    ),
)
INSERTS = (
    *(b"\0", b"\x1b[2J", b"\x1b]0;x\x07", b"\xe2\x82", b"\xc0\xaf", b"\xed\xa0\x80", b"\xff\xfe"),
    *(b"%", b"%0", b"%zz", b"%00", b"%3C%3C", b"%25%25%", b"<<", b">>", b"<<<<", b"|", b"||", b"="),
    *(b"\r", b"\n", b"\r\n", b"\t", b";", b" ", b"'", b'"', b"\\u0000", b"../", b"{", b"}"),
)
SIGNALS = (b"<<EURUSD|0.10>>", b"<<GBPUSD|-1.5>>\0", b"<<XAUUSD|2>>\r\n")
DIALECT = (
    b"<<PUBLISH|id=a-1|channel=main|symbol=EURUSD|volume=0.10|price=1.1|comment=x>>",
    b"<<SUBSCRIBE|channel=main|after=1|epoch=2>>",
    b"<<UNSUBSCRIBE|channel=main>>",
    b"<<ACK|channel=main|seq=5>>",
    b"<<PING|t=1>>",
    b"<<PONG|t=1>>",
    b"<<HELLO|v=1|login=alice|password=secret>>",
    b"<<HELLO|v=2|name=x|client=y>>",
    b"<<STORED|id=a|seq=1>>",
)
TICKS = (
    b"EURUSD 1.09877 1.09879 - 0.25 1700000000000 6\n",
    b"EURUSD;1.09877;1.09879\n",
    b"@@desk-1 42 0123456789abcdef\n",
    b"SUBSCRIBE: EURUSD GBPUSD\n",
    b"UNSUBSCRIBE: *\n",
    b"LOGIN: alice\n",
    b"SYNC: now\n",
)
TEMPLATES = (
    b"FETCH EURUSD H1 7\n",
    b"FETCHL EURUSD 16385\n",
    b"STORE EURUSD H1 12\nno template.",
    b"STORE EURUSD H1 12 alice\nno template.",
    b"STORE EURUSD H1 999999999\n",
)
HTTP = (
    b"GET /templates/EURUSD/H1?version=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET http://a:b@localhost/%2e%2e/%00 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET /healthz HTTP/9.9\r\nHost: localhost\r\n folded\r\n\r\n",
    b"GET /healthz\r\n\r\n",
    b"POST /templates/A/H1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n",
    b"PUT /templates/A/H1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n"
    b"Content-Length: 30\r\n\r\nabcGET /healthz HTTP/1.1\r\n\r\n",
    b"PUT /templates/A/H1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: +3\r\n\r\nabc",
    b"PUT /templates/A/H1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x,chunked\r\n\r\n0\r\n",
    b"PUT /templates/A/H1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"-1;x=y\r\nabc\r\n0\r\nHost: evil\r\n\r\n",
    b"PUT /templates/A/H1 HTTP/1.1\r\nHost : localhost\r\nContent-Length: 99999999999\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic %%%\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\nOrigin: null\r\nX\0Y: \x1b[0m\r\n\r\n",
)
CONTROL = (
    b'{"command": "status"}\n',
    b'{"command": "account show", "name": "nobody"}\n',
    b'{"command": "account add", "name": 5, "password": "secret"}\n',
    b'{"command": "bans add", "network": "x", "seconds": 1e999}\n',
    b'{"command": ["bans list"], "a": "\\ud800"}\n',
    b"[" * 3_000 + b"\n",
    b'{"a":' * 3_000 + b"\n",
)


HELLO = text({"verb": "HELLO", "v": "2", "name": "bench"})
OPEN = request(Origin="http://localhost", Sec_WebSocket_Extensions="permessage-deflate") + HELLO
OPEN_TICKS = request(Sec_WebSocket_Protocol="mtnet.ticks")
JSON = (
    b'{"verb": "PUBLISH", "id": "a-1", "symbol": "EURUSD", "volume": 0.10, "price": "1.1"}',
    b'{"verb": "SUBSCRIBE", "channel": "main", "symbols": ["EURUSD", "A,B"], "after": 1}',
    b'{"verb": "ACK", "channel": "main", "seq": 5, "status": null}',
    b'{"verb": "PING", "t": "\\ud83d\\ude00"}',
    b'{"verb": "HELLO", "v": 2, "login": "alice", "password": "secret"}',
    b'{"verb": "TICKS", "symbols": ["EURUSD"]}',
    b'{"a": [[[{"b": {"c": 1e999}}]]], "verb": "REPORT", "trading": true}',
    b"[" * 3_000,
)


class Target(NamedTuple):
    """
    What is spoken to.

    Attributes:
        service: whose port; empty = the control socket.
        before: what opens a connection.
        frames: what is spoilt.
        burst: frames of a connection at most; more than it allows.
        share: of all frames.
        wrap: makes what is sent of what was spoilt.
    """

    service: str
    before: bytes
    frames: tuple[bytes, ...]
    burst: int
    share: float
    wrap: Callable[[bytes], bytes] = bytes


TARGETS = {
    "signals, published": Target("signals", b"", SIGNALS, 250, 0.42),
    "signals, dialect 2": Target("signals", messages.hello(name="bench"), DIALECT, 25, 0.10),
    "ticks": Target("ticks", b"", TICKS, 600, 0.33),
    "WebSocket, JSON": Target("web", OPEN, JSON, 25, 0.05, text),
    "WebSocket, frames": Target("web", OPEN, tuple(map(text, JSON)), 10, 0.02),
    "WebSocket, ticks": Target("web", OPEN_TICKS, TICKS, 300, 0.01, text),
    "templates": Target("templates", b"", TEMPLATES, 2, 0.01),
    "HTTP": Target("web", b"", HTTP, 3, 0.02),
    "HTTP of templates": Target("templates", b"", HTTP, 3, 0.01),
    "control": Target("", b"", CONTROL, 60, 0.03),
}


def spoil(frame: bytes, random: Random) -> bytes:
    """Make something of a frame that is none."""
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        frame = random.choice(WAYS)(frame, random)
    return frame


def _insert(frame: bytes, random: Random) -> bytes:
    at = random.randrange(len(frame) + 1)
    return frame[:at] + random.choice(INSERTS) + frame[at:]


def _cut(frame: bytes, random: Random) -> bytes:
    end = frame[-2:] if frame.endswith(b">>") else frame[-1:]
    return frame[: random.randrange(len(frame) + 1)] + end


def _number(frame: bytes, random: Random) -> bytes:
    digits = [at for at, byte in enumerate(frame) if 48 <= byte <= 57]
    at = random.choice(digits or [0])
    return frame[:at] + random.choice(NUMBERS) + frame[at + 1 :]


def _swell(frame: bytes, random: Random) -> bytes:
    at = random.randrange(len(frame) + 1)
    return frame[:at] + random.choice((b"A", b"%41", b"\0", b"9")) * 40 + frame[at:]


def _burst(frame: bytes, random: Random) -> bytes:
    if random.random() < 0.97:
        return _swell(frame, random)
    at = random.randrange(len(frame) + 1)
    return frame[:at] + b"A" * random.choice((600, 5_000, 70_000)) + frame[at:]


def _noise(frame: bytes, random: Random) -> bytes:
    return random.randbytes(random.choice((1, 7, 60))) + frame[-2:]


def _twice(frame: bytes, random: Random) -> bytes:
    at = random.randrange(len(frame) + 1)
    return frame[:at] + frame + frame[at:]


WAYS: tuple[Callable[[bytes, Random], bytes], ...] = (
    _insert, _insert, _insert, _cut, _number, _number, _burst, _noise, _twice,
)  # fmt: skip


class Flood(threading.Thread):
    """
    Sends spoilt frames.

    Args:
        sent: is told how many frames of each target went out.
    """

    def __init__(
        self, daemon: AccountsDaemon, sent: "Counter[str]", options: argparse.Namespace, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self._sent, self._most, self._networks = sent, options.frames, options.networks
        self._targets = {k: v for k, v in TARGETS.items() if k.startswith(options.only)}
        self._random, self._control = Random(seed), str(daemon.data / "control")
        names = {each.service for each in TARGETS.values() if each.service}
        self._ports = {name: daemon.port(name) for name in names}
        self.over = threading.Event()
        self.refused = 0

    def run(self) -> None:
        """Work."""
        while not self.over.is_set() and self._sent.total() < self._most:
            # Whoever is furthest behind its share is next.
            name = min(self._targets, key=lambda each: self._sent[each] / TARGETS[each].share)
            try:
                self._sent[name] += self._say(TARGETS[name])
            except OSError:
                self.refused += 1

    def _say(self, target: Target) -> int:
        count = self._random.randint(1, target.burst)
        chosen = [self._random.choice(target.frames) for _ in range(count)]
        frames = [target.wrap(spoil(each, self._random)) for each in chosen]
        with self._dial(target.service) as connection:
            connection.settimeout(WAIT)
            try:
                connection.sendall(target.before + b"".join(frames))
                connection.shutdown(socket.SHUT_WR)
                until = time.monotonic() + WAIT
                while connection.recv(65_536) and time.monotonic() < until:
                    pass
            except OSError:
                pass  # it was cut off, or has nothing more to say
        return count

    def _dial(self, service: str) -> socket.socket:
        if service:
            return dial(self._ports[service], network(self._random.randrange(self._networks)))
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5)
        connection.connect(self._control)
        return connection


class Witness(threading.Thread):
    """
    An honest session that asks for a PONG again and again.

    Attributes:
        seconds: that each took.
    """

    def __init__(self, daemon: AccountsDaemon) -> None:
        super().__init__(daemon=True)
        self._connection = dial(daemon.port("signals"), network(2_000_000), 60.0)
        self._connection.sendall(messages.hello(name="witness"))
        self._connection.recv(4_096)
        self.over = threading.Event()
        self.seconds: list[float] = []

    def run(self) -> None:
        """Work."""
        while not self.over.wait(PAUSE):
            begun = time.monotonic()
            self._connection.sendall(messages.ping())
            while b"PONG" not in self._connection.recv(4_096):
                pass
            self.seconds.append(time.monotonic() - begun)


def flood(daemon: AccountsDaemon, options: argparse.Namespace) -> dict[str, Any]:
    """Send all frames; return what the daemon became meanwhile."""
    sent: Counter[str] = Counter()
    threads = [Flood(daemon, sent, options, options.seed + at) for at in range(THREADS)]
    witness = Witness(daemon)
    witness.start()
    began, before, warm = time.monotonic(), daemon.memory(), 0
    tenths: list[int] = []
    for each in threads:
        each.start()
    while any(each.is_alive() for each in threads):
        time.sleep(0.5)
        if not warm and sent.total() >= WARM * options.frames:
            warm = daemon.memory()
        if 10 * sent.total() >= (len(tenths) + 1) * options.frames:
            tenths.append(daemon.memory() // 1024)
        if daemon.process.poll() is not None or time.monotonic() - began > options.limit:
            for each in threads:
                each.over.set()
    seconds = time.monotonic() - began
    time.sleep(options.settle)
    after = daemon.memory()
    witness.over.set()
    witness.join()
    return {
        "sent": sent.total(),
        **sent,
        "refused connections": sum(each.refused for each in threads),
        "seconds": round(seconds),
        "PONG for another session, ms: median, 99 %, longest": [
            round(percentile(witness.seconds, part), 1) for part in (0.5, 0.99, 1)
        ],
        "RSS before, after warm-up, at the end, KiB": [
            each // 1024 for each in (before, warm, after)
        ],
        "RSS at each tenth of the frames, KiB": tenths,
        "growth after warm-up, %": round(100 * (after / warm - 1), 2) if warm else None,
    }


def measure(options: argparse.Namespace, *settings: str) -> dict[str, Any]:
    """Run a daemon through a flood; what fills up to a limit is full after the warm-up."""
    rights = "follow,publish,send,read,fetch"
    settings = (
        *(f"access.anonymous={rights}", "signals.channels.main.symbols=EURUSD"),
        *(
            "ticks.max_symbols=50",
            "ticks.max_sources=50",
            "access.allow_plaintext_login=true",
            *settings,
        ),
    )
    names = ("signals", "ticks", "templates", "web")
    listens = [f"{name}=tcp:0:interface={HOST}" for name in names]
    with tempfile.TemporaryDirectory() as folder:
        daemon = AccountsDaemon(Path(folder), *listens, settings=settings)
        daemon.start()
        try:
            found = flood(daemon, options)
            status = ask(daemon.data / "control", "status")
        finally:
            daemon.stop()
        log = daemon.logged()
        if options.log:
            Path(options.log).write_text(log, "utf-8")
    errors = log.count("Traceback")
    offences = {key: value for key, value in status.get("access", {}).items()}
    return {**found, "log, bytes": len(log.encode()), "tracebacks": errors, "access": offences}


def judge(found: dict[str, Any]) -> bool:
    """Say whether all that is promised was kept."""
    growth = found["growth after warm-up, %"]
    small = growth is not None and growth < 100 * GROWTH
    return not found["tracebacks"] and found["log, bytes"] < LOG and small


def main() -> None:
    """Measure and print; the exit status is 1 when a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--frames", type=int, default=1_000_000)
    parser.add_argument("--only", default="", help="the targets whose names begin so")
    parser.add_argument("--networks", type=int, default=500, help="that they come from")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3_600, help="seconds after which it ends")
    parser.add_argument("--settle", type=float, default=3, help="seconds before memory is read")
    parser.add_argument("--bans", action="store_true", help="let the daemon ban whoever sends them")
    parser.add_argument("--log", help="a file that the daemon's log is copied to")
    options = parser.parse_args()
    allow_descriptors()
    settings = () if options.bans else ("access.bans.ban_threshold=31536000",)
    found = measure(options, *settings)
    print(json.dumps(found, indent=2))
    sys.exit(not judge(found))


if __name__ == "__main__":
    main()
