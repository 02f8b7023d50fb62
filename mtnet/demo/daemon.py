"""The daemon of the demonstration, and how to reach it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from mtnet.client import server_from_string
from mtnet.config.loader import load
from mtnet.errors import StartError
from mtnet.net.tls.authority import CA, make
from mtnet.service import Daemon

HOST, NAME = "127.0.0.1", "localhost"
"""Where everything listens, and the name that its certificate is checked against."""
LISTENS = (
    *(f"{name}=tcp:0:interface={HOST}" for name in ("signals", "templates", "ticks", "web")),
    *(f"{name}=secure:0:interface={HOST}" for name in ("signals", "templates")),
    f"ticks=udp:0:interface={HOST}",
)
SETS = ("reserve=0", "signals.pace=0", "ticks.receive_buffer=212992")
"""Followers that read at once need no pause between two positions, as terminals do; and every
kernel grants this buffer."""


class DemoDaemon:
    """
    A daemon with a data folder and a certificate of its own, on ports that the kernel picks.

    Args:
        data: its data folder, which is empty or not there yet.
        now: milliseconds since the Unix epoch.

    Attributes:
        data: as given.
        service: started.

    Raises:
        StartError: the folder holds something, or the machine lets the daemon not start.
    """

    def __init__(self, reactor: Any, data: Path, now: Callable[[], int]) -> None:
        self._reactor, self.data, self.now = reactor, data, now
        try:
            if data.exists() and any(data.iterdir()):
                raise StartError(f"{data} is not empty; the demonstration takes a new folder.")
            make(data / "tls", [NAME, HOST], NAME, now())
        except OSError as error:
            raise StartError(f"The folder {data} cannot be used: {error.strerror}.") from error
        self.ca = data / "tls" / CA
        self.service = Daemon(load(data=str(data), sets=SETS, listens=LISTENS), reactor)
        self.service.startService()

    def port(self, service: str, security: str = "plain") -> int:
        """Return the port of a listener: `plain`, `TLS` or `plain UDP`."""
        services: Any = self.service.status()["services"]
        asked = (service, security)
        row = next(row for row in services if (row["service"], row["security"]) == asked)
        return int(row["address"].rpartition(":")[2])

    def plain(self, service: str) -> IStreamClientEndpoint:
        """Return the endpoint without TLS."""
        return TCP4ClientEndpoint(self._reactor, HOST, self.port(service))

    def secure(self, service: str) -> IStreamClientEndpoint:
        """Return the endpoint with TLS, which believes the authority of this daemon alone."""
        text = f"secure:{HOST}:{self.port(service, 'TLS')}:name={NAME}"
        return server_from_string(self._reactor, text, self.ca)

    def health(self) -> dict[str, Any]:
        """Return what `/healthz` says of the ticks."""
        found: dict[str, Any] = self.service.health()["ticks"]
        return found

    def files(self) -> list[tuple[str, int]]:
        """Return what lies in the data folder: name and bytes, a folder with all within it."""
        return [(each.name + "/" * each.is_dir(), _size(each)) for each in sorted(self._kept())]

    def _kept(self) -> list[Path]:
        return [each for each in self.data.iterdir() if each.name not in ("lock", "control")]


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())
