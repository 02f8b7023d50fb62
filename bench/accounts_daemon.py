"""A daemon with accounts that does not trust loopback, and networks of loopback to attack from."""

import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

from mtnet.access.accounts.passwords import hash_password
from mtnet.access.accounts.store import AccountStore
from mtnet.daemon.registry import permissions
from tests.live.live_daemon import RealDaemon

HOST = "127.0.0.1"
LOGIN, PASSWORD = "bench", "correct horse battery"


class AccountsDaemon(RealDaemon):
    """
    `python -m mtnet run` on ports that the kernel picks.

    Args:
        listens: `signals=tcp:0:interface=127.0.0.1` and the like.
        settings: `access.anonymous=follow` and the like.

    Attributes:
        token: of the one account; it may do all.
    """

    def __init__(self, folder: Path, *listens: str, settings: tuple[str, ...] = ()) -> None:
        super().__init__(folder)
        self._options = [f"--listen={each}" for each in listens]
        self._options += [f"--set={each}" for each in ("access.trust_loopback=false", *settings)]
        self.data.mkdir(mode=0o700, exist_ok=True)
        records = AccountStore(self.data / "accounts.sqlite", permissions())
        now = int(time.time() * 1000)
        records.add(LOGIN, ["provider", "terminal", "reader"], hash_password(PASSWORD), now)
        _, self.token = records.issue(LOGIN, "", None, None, now)
        records.close()

    def command(self, *options: str, foreground: bool = True) -> list[str]:
        """Return what is run."""
        run = [sys.executable, "-m", "mtnet", "run", "--data", str(self.data), "--set=reserve=0"]
        return [*run, *self._options, *options]

    def make_certificate(self) -> Path:
        """Run `mtnet cert init`; return the file of the authority."""
        command = [sys.executable, "-m", "mtnet", "cert", "init", "--data", str(self.data)]
        subprocess.run(command, env=self.environ, stdout=subprocess.DEVNULL, check=True)
        return self.data / "tls" / "ca.pem"

    def memory(self) -> int:
        """Return the bytes of its memory that lie in RAM."""
        fields = Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()
        return int(fields[1]) * resource.getpagesize()

    def processor(self) -> float:
        """Return the seconds of CPU that it has had."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text("ascii").rpartition(")")[2]
        return sum(map(int, fields.split()[11:13])) / 100


def network(number: int) -> str:
    """Return an address of loopback, which is a network of its own; above 0 and below 4,000,000."""
    return f"127.{1 + number // 62_500}.{number // 250 % 250}.{1 + number % 250}"


def dial(port: int, source: str, seconds: float = 10.0) -> socket.socket:
    """Connect from an address of loopback; blocks."""
    connection = socket.socket()
    connection.settimeout(seconds)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        connection.bind((source, 0))
        connection.connect((HOST, port))
    except OSError:
        connection.close()
        raise
    return connection
