"""
Topics: CPU of the daemon for one message to one member, beside signals and mosquitto.

A thousand members (`--members`) are sent `--messages` messages, one after the other: the next one
leaves when every member has the last. The servers run side by side on CPU 0 and are visited in
turns; `--rounds` of them, of which the median counts. Data lie in memory (`/dev/shm`), so that the
disk of a signal costs its system calls alone. Where there is a `mosquitto`, it is sent retained
messages of the same length, and keeps them in its file when it ends; mtnet has each on disk before
its answer.
"""

import argparse
import selectors
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from bench.harness import PINNED, allow_descriptors, cpu_of, pin_load
from bench.peers import HOST, SignalsDaemon, free_port

DATA = "x" * 60
CONNECT = b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\x04%04d"
SUBSCRIBE = b"\x82\x06\0\x01\0\x01x\0"
WAIT = 60.0
"""Seconds that a message may take to reach everybody."""


class Fanout:
    """
    Members of one server, and a sender.

    Args:
        pid: of the server.
        opening: what member number N says, and the last bytes that it waits for.
        message: makes the bytes of message number N.
        mark: what stands once in each message to a member.
    """

    def __init__(
        self,
        name: str,
        pid: int,
        port: int,
        opening: Callable[[int], list[tuple[bytes, bytes]]],
        message: Callable[[int], bytes],
        mark: bytes,
    ) -> None:
        self.name, self.pid, self.port = name, pid, port
        self.opening, self.message, self.mark = opening, message, mark
        self.selector, self.number = selectors.DefaultSelector(), 0
        self.sender = self.dial(9_999)
        self.members = 0

    def dial(self, number: int) -> socket.socket:
        """Return a connection that has said what a member says first."""
        found = socket.create_connection((HOST, self.port), WAIT)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for said, awaited in self.opening(number):
            found.sendall(said)
            heard = b""
            while awaited not in heard:
                heard += found.recv(65_536)
        return found

    def join(self, count: int) -> None:
        """Add members."""
        for number in range(count):
            member = self.dial(number)
            member.setblocking(False)
            self.selector.register(member, selectors.EVENT_READ)
        self.members = count

    def run(self, messages: int) -> tuple[float, float]:
        """Return microseconds of CPU, and of time, for one message to one member."""
        before, began = self.cpu(), time.monotonic()
        for _ in range(messages):
            self.number += 1
            self.sender.sendall(self.message(self.number))
            self.drain()
        spent, took = self.cpu() - before, time.monotonic() - began
        count = messages * self.members
        return spent / count * 1e6, took / count * 1e6

    def drain(self) -> None:
        """Wait until every member has one more message."""
        left, until = self.members, time.monotonic() + WAIT
        while left > 0:
            assert time.monotonic() < until, f"{self.name}: {left} members wait"
            for key, _ in self.selector.select(1.0):
                data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                assert data, f"{self.name} has closed a member"
                left -= data.count(self.mark)

    def cpu(self) -> float:
        """Return the seconds that all threads of the server have run."""
        return cpu_of(self.pid)


def session(verb: bytes, answer: bytes) -> Callable[[int], list[tuple[bytes, bytes]]]:
    """Return what a member of mtnet says first."""
    hello = (b"<<HELLO|v=2>>", b"WELCOME")
    return lambda number: [hello, (verb, answer)]


def mtnet(name: str, pid: int, port: int) -> Fanout:
    """Return members of the daemon, by signals or by topics, retained or not."""
    if name == "signals":

        def publish(number: int) -> bytes:
            text = f"PUBLISH|id=b-{number}|symbol=EURUSD|volume={number % 2 + 1}|comment={DATA}"
            return f"<<{text}>>".encode()

        opening = session(b"<<SUBSCRIBE|channel=main>>", b"\n")
        return Fanout(name, pid, port, opening, publish, b"<<SIGNAL|")
    retain = "|retain=1" if name == "retained" else ""

    def send(number: int) -> bytes:
        return f"<<SEND|topic={name}|data={DATA}{number:06}{retain}>>".encode()

    opening = session(f"<<JOIN|topic={name}>>".encode(), b"JOINED")
    return Fanout(name, pid, port, opening, send, b"<<MESSAGE|")


def mosquitto(folder: Path) -> tuple[Fanout, "subprocess.Popen[bytes]"]:
    """Return members of mosquitto, and its process."""
    port = free_port()
    config = folder / "mosquitto.conf"
    config.write_text(
        f"listener {port} {HOST}\nallow_anonymous true\npersistence true\n"
        f"persistence_location {folder}/\nmax_queued_messages 0\nset_tcp_nodelay true\nuser root\n",
        "utf-8",
    )
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    process = subprocess.Popen(
        [*PINNED, program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    time.sleep(2.0)

    def opening(number: int) -> list[tuple[bytes, bytes]]:
        return [(CONNECT % number, b"\x20\x02\0\0"), (SUBSCRIBE, b"\x90\x03\0\x01")]

    def publish(number: int) -> bytes:
        payload = f"{DATA}{number:06}".encode()
        return b"\x31" + bytes([len(payload) + 3]) + b"\0\x01x" + payload

    return Fanout("mosquitto", process.pid, port, opening, publish, DATA.encode()), process


def main() -> None:
    """Measure, and print a line for each server."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    allow_descriptors(5 * asked.members)
    pin_load()
    with tempfile.TemporaryDirectory(dir="/dev/shm", prefix="topics-bench-") as place:
        folder = Path(place)
        sets = (
            "topics.enabled=true",
            "signals.frames=100000",
            "signals.pace=0",
            "signals.heartbeat=3000",
        )
        limits = ("access.connections.signals.network=10000",)
        daemon = SignalsDaemon(folder, *sets, *limits, prefix=PINNED)
        daemon.begin()
        other = None
        try:
            wait_for(daemon.number)
            pid = daemon.process.pid
            fanouts = [
                mtnet(name, pid, daemon.number) for name in ("signals", "topics", "retained")
            ]
            if shutil.which("mosquitto") or Path("/usr/sbin/mosquitto").exists():
                found, other = mosquitto(folder)
                fanouts.append(found)
            measure(fanouts, asked)
        finally:
            for process in (daemon.process, other):
                if process is not None:
                    process.terminate()
                    process.wait()


def wait_for(port: int) -> None:
    """Wait until somebody listens."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        with socket.socket() as tried:
            if tried.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.1)


def measure(fanouts: list[Fanout], asked: argparse.Namespace) -> None:
    """Visit the servers in turns, and print the medians; no two have their members at once."""
    runs: dict[str, list[tuple[float, float]]] = {each.name: [] for each in fanouts}
    for each in fanouts:
        if each.name == "signals":
            each.sender.sendall(each.message(0))
            time.sleep(0.5)
        each.join(asked.members)
        each.run(2)
    for _ in range(asked.rounds):
        for each in fanouts:
            runs[each.name].append(each.run(asked.messages))
    base = [cpu for cpu, _ in runs["signals"]]
    print(f"{asked.members} members; microseconds for one message to one member")
    for name, found in runs.items():
        cpus, times = [cpu for cpu, _ in found], [took for _, took in found]
        ratio = median(mine / theirs for mine, theirs in zip(cpus, base, strict=True))
        print(f"{name:10} CPU {median(cpus):6.2f}  time {median(times):6.2f}  CPU x {ratio:.2f}")


if __name__ == "__main__":
    main()
