"""
Swap the certificate of a real daemon a thousand times under live sessions.

Good pairs, and broken, mismatched and half-written ones, in turn; what is good must be served to
new connections, what is not must change nothing, and no session may notice. Run it from a
development environment: `python bench/certificate_swaps.py --swaps 1000 --sessions 200`.
"""

import argparse
import json
import signal
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.live.live_daemon import RealDaemon, until
from tests.tls_samples import Authority, Files, client_context, key_pem, new_key, pem

SECURE = "secure:0:interface=127.0.0.1"
KINDS = ("good", "broken", "mismatched", "half-written")
BY_ITSELF = 20
"""Every so many good pairs the daemon is left to find one by itself, without a SIGHUP."""
POLL = 0.005
"""Seconds between two handshakes that look which certificate is served."""


@dataclass
class Result:
    """What was counted, and seconds until a good pair was served."""

    swaps: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    dropped_sessions: int = 0
    failed_handshakes: int = 0
    handshakes: int = 0
    wrong_certificates: int = 0
    with_sighup: list[float] = field(default_factory=list)
    by_itself: list[float] = field(default_factory=list)

    def report(self) -> str:
        """Return JSON with the medians and maxima of the times."""
        counts = {name: value for name, value in asdict(self).items() if name not in TIMES}
        times = {name: _summary(getattr(self, name)) for name in TIMES}
        return json.dumps({**counts, "seconds until a good pair was served": times}, indent=2)


TIMES = ("with_sighup", "by_itself")


def _summary(times: list[float]) -> dict[str, float]:
    if not times:
        return {}
    return {
        "count": len(times),
        "median": round(statistics.median(times), 4),
        "worst": round(max(times), 4),
    }


class SwapTest:
    """One daemon, its certificate, and those who are connected."""

    def __init__(self, folder: Path, sessions: int) -> None:
        self.daemon = RealDaemon(folder)
        self.daemon.data.mkdir(mode=0o700)
        self.files = Files(self.daemon.data / "tls", Authority("issuer", Authority()))
        self.files.issue("localhost", "s0.example")
        self.context = client_context(self.files.ca)
        self.sessions = sessions
        self.served = "s0.example"
        self.result = Result()
        self.port = 0

    def names(self) -> list[str]:
        """Shake hands once more, and return whom the certificate is for."""
        self.result.handshakes += 1
        try:
            with self.dial() as connection:
                found: Any = connection.getpeercert()
                return [name for _, name in found["subjectAltName"]]
        except OSError:
            self.result.failed_handshakes += 1
            return []

    def dial(self) -> ssl.SSLSocket:
        """Connect a follower."""
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        context: ssl.SSLContext = self.context
        return context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False)

    def swap(self, number: int) -> None:
        """Put the pair of this number there, and see what becomes of it."""
        kind = KINDS[number % len(KINDS)]
        self.result.swaps[kind] += 1
        if kind == "good":
            self._good(number)
        else:
            self._bad(kind)

    def _good(self, number: int) -> None:
        name = f"s{number}.example"
        by_itself = number // len(KINDS) % BY_ITSELF == 0
        certificate, key = self.files.authority.issue("localhost", name)

        whole, private = pem(certificate, *self.files.authority.chain), key_pem(key)
        began = time.monotonic()
        self.files.put(whole, private)
        if not by_itself:
            self.daemon.process.send_signal(signal.SIGHUP)
        while name not in self.names():
            time.sleep(POLL)
            if time.monotonic() - began > 5:
                self.result.wrong_certificates += 1
                return
        took = time.monotonic() - began
        (self.result.by_itself if by_itself else self.result.with_sighup).append(took)
        self.served = name

    def _bad(self, kind: str) -> None:
        certificate, key = self.files.certificate.read_bytes(), self.files.key.read_bytes()
        if kind == "broken":
            self.files.put(certificate.replace(b"M", b"W"), key)
        elif kind == "mismatched":
            self.files.put(certificate, key_pem(new_key()))
        else:
            # Not by a rename: a program that writes slowly, looked at in the middle.
            self.files.certificate.write_bytes(certificate[: len(certificate) // 3])
        self.daemon.process.send_signal(signal.SIGHUP)
        for _ in range(2):
            if self.served not in self.names():
                self.result.wrong_certificates += 1

    @contextmanager
    def newcomers(self) -> Iterator[None]:
        """Let new clients shake hands all the time, in a thread."""
        over = threading.Event()

        def come() -> None:
            while not over.wait(0.01):
                self.names()

        thread = threading.Thread(target=come)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def run(self, swaps: int) -> Result:
        """Do it all, and return what was counted."""
        self.daemon.start(
            f"--listen=signals={SECURE}", "--set=signals.pace=0", "--set=signals.repeat=0"
        )
        self.port = self.daemon.port("signals", "TLS")
        try:
            with ExitStack() as stack:
                live = [stack.enter_context(self.dial()) for _ in range(self.sessions)]
                until(lambda: self.daemon.status()["signals"]["followers"] >= self.sessions)
                with self.newcomers():
                    for number in range(1, swaps + 1):
                        self.swap(number)
                        if number % 100 == 0:
                            print(f"{number} swaps", file=sys.stderr, flush=True)
                self._hear(live)
            self.result.failed_handshakes += self._status("failed") + self._status("late")
        finally:
            self.daemon.stop(signal.SIGKILL)
        return self.result

    def _hear(self, live: list[ssl.SSLSocket]) -> None:
        """Publish, and count the sessions that do not hear it."""
        assert self.daemon.publish(b"<<GBPUSD|0.25>>")
        for session in live:
            try:
                heard = session.recv(512) == b"<<GBPUSD|0.25>>\r\n"
            except OSError:
                heard = False
            self.result.dropped_sessions += not heard

    def _status(self, name: str) -> int:
        return int(self.daemon.status()["tls"]["handshakes"][name])


def main() -> None:
    """Run, print, and exit with status 1 if anybody noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swaps", type=int, default=1_000)
    parser.add_argument("--sessions", type=int, default=200)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = SwapTest(Path(folder), options.sessions).run(options.swaps)
    print(result.report())
    bad = (result.dropped_sessions, result.failed_handshakes, result.wrong_certificates)
    raise SystemExit(any(bad))


if __name__ == "__main__":
    main()
