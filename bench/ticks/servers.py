"""The servers that are measured, each pinned to one CPU, and what can be asked of them."""

import http.client
import json
import shlex
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from bench.harness import BenchError, Server
from bench.peers import HOST

RECEIVE_BUFFER = 4_194_304
"""The same for both servers; `net.core.rmem_max` must allow it."""
LAST_PORT = 28_999
LOOKS = 10
"""At the kernel's table, which may miss a row when another socket goes away meanwhile."""


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


class TickServer(Server):
    """A server that takes ticks on a port, and counts them; stopping, it stores what waits."""

    stop_within = 60.0

    def __init__(self, folder: Path, port: int) -> None:
        self.data = folder / f"{port}"
        self.data.mkdir()
        super().__init__(self.data, port=port)

    def counts(self) -> Counts:
        """
        Return the counts since the start.

        Raises:
            OSError: it cannot be asked now.
            ValueError: the answer cannot be read.
        """
        raise NotImplementedError

    def answers(self) -> bool:
        """Return whether it counts already."""
        with suppress(OSError, ValueError):
            self.counts()
            return True
        return False


class Floor(TickServer):
    """The C program that does as little as possible."""

    name = "floor"
    _LAYOUT = struct.Struct("=QQQ")

    def __init__(self, program: Path, port: int, folder: Path) -> None:
        super().__init__(folder, port)
        self._program, self._counts = program, self.folder / "floor.counts"

    def command(self) -> list[str]:
        """Return what is run."""
        words = ("-f", self.folder / "floor.ticks", "-m", self._counts, self.port)
        return [str(self._program), *map(str, words)]

    def counts(self) -> Counts:
        """Read what it keeps in a shared file: it does not notice."""
        try:
            received, stored, refused = self._LAYOUT.unpack(self._counts.read_bytes())
        except struct.error as error:
            raise ValueError("it has not begun to count") from error
        drops = _kernel_drops(self.port)
        return Counts(received=received, stored=stored, refused=refused, kernel_drops=drops)


class Mtnet(TickServer):
    """mtnet with its tick service, and with signals if `signals` is a port."""

    name = "mtnet"

    def __init__(
        self, command: str, port: int, web: int, folder: Path, signals: int | None = None
    ) -> None:
        super().__init__(folder, port)
        self._command, self._web, self.signals = command, web, signals

    def command(self) -> list[str]:
        """Return what is run."""
        options = _mtnet_options(self.port, self._web, self.folder / "data", self.signals)
        return [*shlex.split(self._command), "run", *options]

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


def default_mtnet() -> str:
    """Return the command of the mtnet that this Python has."""
    return shlex.join([sys.executable, "-m", "mtnet"])
