"""
Flood the TLS ports of a daemon with clients that send nothing.

Meanwhile others shake hands, as quickly as they can: how many fail, how long they take, and how
long the last silent one is held. Run it from a development environment:
`python bench/silent_handshakes.py --clients 2000`.
"""

import argparse
import json
import select
import socket
import ssl
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench.harness import allow_descriptors
from tests.live.live_daemon import RealDaemon
from tests.tls_samples import Authority, Files, client_context

SERVICES = ("signals", "templates", "ticks", "web")
PATIENCE = 10.0
"""Seconds in which every silent client must be gone."""


class LegitimateClient(threading.Thread):
    """Shakes hands with one port after the other until it is told to stop."""

    def __init__(self, context: ssl.SSLContext, ports: list[int]) -> None:
        super().__init__()
        self._context, self._ports = context, ports
        self.done, self.failed, self.times = threading.Event(), 0, []  # type: ignore[var-annotated]

    def run(self) -> None:
        """Work."""
        while not self.done.is_set():
            for port in self._ports:
                began = time.monotonic()
                try:
                    plain = socket.create_connection(("127.0.0.1", port), timeout=20)
                    self._context.wrap_socket(plain, server_hostname="localhost").close()
                    self.times.append(time.monotonic() - began)
                except OSError:
                    self.failed += 1

    def report(self) -> dict[str, float]:
        """Return counts, and milliseconds."""
        times = sorted(1_000 * each for each in self.times)
        return {
            "handshakes": len(times),
            "failed": self.failed,
            "median ms": round(statistics.median(times), 1),
            "p99 ms": round(times[int(len(times) * 0.99)], 1),
            "worst ms": round(times[-1], 1),
        }


def connect_silently(ports: list[int], clients: int) -> float:
    """Connect so many silent clients to each port; return seconds until the last one is gone."""
    began, poll, held = time.monotonic(), select.poll(), {}
    for _ in range(clients):
        for port in ports:
            connection = socket.create_connection(("127.0.0.1", port), timeout=20)
            held[connection.fileno()] = connection
            poll.register(connection, select.POLLIN)
    last = time.monotonic()
    while held and time.monotonic() < last + PATIENCE:
        for number, _ in poll.poll(200):
            poll.unregister(number)
            held.pop(number).close()
    print(f"{clients} on each port, connected in {last - began:.1f} s", file=sys.stderr)
    if held:
        raise SystemExit(f"{len(held)} silent clients are still there after {PATIENCE:g} s")
    return time.monotonic() - last


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--clients", type=int, default=2_000, help="on each of four ports")
    clients = parser.parse_args().clients
    allow_descriptors()
    with tempfile.TemporaryDirectory() as folder:
        daemon = RealDaemon(Path(folder))
        daemon.data.mkdir(mode=0o700)
        files = Files(daemon.data / "tls", Authority())
        files.issue("localhost")
        listens = [f"--listen={name}=secure:0:interface=127.0.0.1" for name in SERVICES]
        daemon.start(*listens)
        try:
            ports = [daemon.port(name, "TLS") for name in SERVICES]
            honest = LegitimateClient(client_context(files.ca), ports)
            honest.start()
            gone = connect_silently(ports, clients)
            honest.done.set()
            honest.join()
            status = daemon.status()["tls"]["handshakes"]
        finally:
            daemon.stop()
    told = {"seconds until the last silent one was gone": round(gone, 1)}
    print(json.dumps({**told, "honest": honest.report(), "daemon": status}, indent=2))


if __name__ == "__main__":
    main()
