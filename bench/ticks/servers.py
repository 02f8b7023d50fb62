"""The servers that are measured, each pinned to one CPU, and what can be asked of them."""

import http.client
import json
import os
import shlex
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
SERVER_CPU, LOAD_CPU = 0, 1
RECEIVE_BUFFER = 4_194_304
"""The same for both servers; `net.core.rmem_max` must allow it."""
START, STOP = 30.0, 60.0
"""Seconds that a server may take for it; storing what waits is part of stopping."""
LAST_PORT = 28_999
LOOKS = 10
"""At the kernel's table, which may miss a row when another socket goes away meanwhile."""


class BenchError(Exception):
    """The benchmark cannot go on; the text is for the user."""


@dataclass(frozen=True)
class Counts:
    """What became of ticks, as a server counts it."""

    received: int = 0
    stored: int = 0
    dropped: int = 0
    refused: int = 0
    repeated: int = 0
    kernel_drops: int = 0
    """Datagrams, not ticks: nobody has looked into them."""

    def __sub__(self, other: "Counts") -> "Counts":
        names = [field.name for field in fields(self)]
        return Counts(*(getattr(self, name) - getattr(other, name) for name in names))

    def heard(self, records: int) -> int:
        """Return how many ticks came, `records` of them in each datagram."""
        return self.received + self.kernel_drops * records

    @property
    def settled(self) -> bool:
        """Whether every tick that was received is stored, or counted."""
        return self.received == self.stored + self.dropped + self.refused + self.repeated


class Server:
    """A server process that hears ticks on a port."""

    name = ""

    def __init__(self, port: int, command: Iterable[str], folder: Path) -> None:
        self.port = port
        self._log = folder / f"{self.name}-{port}.log"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MTNET_")}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_CPU), *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )

    def counts(self) -> Counts:
        """
        Ask for the counts since the start.

        Raises:
            OSError: it cannot be asked now.
            ValueError: the answer is none.
        """
        raise NotImplementedError

    def wait_until_up(self) -> None:
        """
        Return as soon as it counts.

        Raises:
            BenchError: it ended, or it took too long.
        """
        until = time.monotonic() + START
        while self._process.poll() is None and time.monotonic() < until:
            with suppress(OSError, ValueError):
                self.counts()
                return
            time.sleep(0.1)
        raise BenchError(f"{self.name} does not count ticks; {self.state()}")

    def state(self) -> str:
        """Return whether it runs, and what it said last."""
        status = self._process.poll()
        end = "\n".join(self._log.read_text(errors="replace").splitlines()[-10:])
        runs = "it runs" if status is None else f"it ended with status {status}"
        return f"{runs}; the end of its log:\n{end}"

    def cpu(self) -> float:
        """Return the seconds that all its threads have run."""
        tasks = Path(f"/proc/{self._process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Floor(Server):
    """The C program that does as little as possible."""

    name = "floor"
    _LAYOUT = struct.Struct("=QQQ")

    def __init__(self, program: Path, port: int, folder: Path) -> None:
        self._counts = folder / "floor.counts"
        command = [program, "-f", folder / "floor.ticks", "-m", self._counts, port]
        super().__init__(port, map(str, command), folder)

    def counts(self) -> Counts:
        """Read what it keeps in a shared file: it does not notice."""
        try:
            received, stored, refused = self._LAYOUT.unpack(self._counts.read_bytes())
        except struct.error as error:
            raise ValueError("it has not begun to count") from error
        drops = _kernel_drops(self.port)
        return Counts(received=received, stored=stored, refused=refused, kernel_drops=drops)


class Mtnet(Server):
    """mtnet with its tick service, and with signals if `signals` is a port."""

    name = "mtnet"

    def __init__(
        self, command: str, port: int, web: int, folder: Path, signals: int | None = None
    ) -> None:
        self._web = web
        self.signals = signals
        options = _mtnet_options(port, web, folder / f"data-{port}", signals)
        super().__init__(port, [*shlex.split(command), "run", *options], folder)

    def counts(self) -> Counts:
        """Ask `/healthz`."""
        ticks = self._health()["ticks"]
        return Counts(**{field.name: int(ticks[field.name]) for field in fields(Counts)})

    def _health(self) -> dict[str, Any]:
        connection = http.client.HTTPConnection(HOST, self._web, timeout=10)
        try:
            connection.request("GET", "/healthz")
            health: dict[str, Any] = json.load(connection.getresponse())
        except http.client.HTTPException as error:
            raise ValueError(str(error)) from error
        finally:
            connection.close()
        return health


def _mtnet_options(port: int, web: int, data: Path, signals: int | None) -> Iterator[str]:
    yield f"--data={data}"
    yield f"--listen=ticks=udp:{port}:interface={HOST}"
    yield f"--listen=web=tcp:{web}:interface={HOST}"
    yield "--listen=templates=off"
    yield f"--set=ticks.receive_buffer={RECEIVE_BUFFER}"
    if signals is None:
        yield "--listen=signals=off"
    else:
        yield f"--listen=signals=tcp:{signals}:interface={HOST}"
        yield "--set=signals.pace=0"


def _kernel_drops(port: int) -> int:
    """Return the datagrams that the kernel dropped on the socket that hears on `port`."""
    for _ in range(LOOKS):
        for row in Path("/proc/net/udp").read_text().splitlines()[1:]:
            _, local, remote, *_, drops = row.split()
            if int(local.split(":")[1], 16) == port and remote.endswith(":0000"):
                return int(drops)
    raise OSError(f"nobody hears on UDP port {port}")


def free_ports(first: int) -> Iterator[int]:
    """Yield ports from `first` on that nobody has, neither for UDP nor for TCP."""
    yield from filter(_is_free, range(first, LAST_PORT + 1))
    raise BenchError(f"No port from {first} to {LAST_PORT} is free.")


def _is_free(port: int) -> bool:
    with socket.socket(type=socket.SOCK_DGRAM) as udp, socket.socket() as tcp:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            udp.bind((HOST, port))
            tcp.bind((HOST, port))
        except OSError:
            return False
    return True


def compile_programs(folder: Path) -> tuple[Path, Path]:
    """Compile the floor and the load client into `folder`."""
    here = Path(__file__).parent
    for name in ("floor", "load"):
        command = ["cc", "-O2", "-Wall", "-Wextra", "-o", folder / name, here / f"{name}.c"]
        try:
            subprocess.run(command, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise BenchError(f"{name}.c cannot be compiled: {error}") from error
    return folder / "floor", folder / "load"


def default_mtnet() -> str:
    """Return the command of the mtnet that this Python has."""
    return shlex.join([sys.executable, "-m", "mtnet"])
