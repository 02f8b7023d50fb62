"""The servers that are measured, each pinned to one CPU."""

import subprocess
import sys
from pathlib import Path

from bench.accounts_daemon import LOGIN, AccountsDaemon
from bench.harness import Server
from bench.peers import HOST
from mtnet.services.signals.wire import requests
from mtnet.session import messages

HERE = Path(__file__).parent


def make_certificate(data: Path) -> tuple[Path, Path]:
    """Let `mtnet cert init` make a certificate in a data folder; return its file and the key's."""
    command = [sys.executable, "-m", "mtnet", "cert", "init", "--data", str(data)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return data / "tls" / "certificate.pem", data / "tls" / "key.pem"


class Floor(Server):
    """The C program that does as little as possible."""

    name = kind = "floor"

    def __init__(self, folder: Path, program: Path) -> None:
        super().__init__(folder)
        self._program = program

    def command(self) -> list[str]:
        return [str(self._program), str(self.port)]


class Nats(Server):
    """nats-server, which stores nothing here; the frame is the payload."""

    name = kind = "nats"
    publish = 'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n', "PONG\r\n"
    follow = publish[0].replace("PING", "SUB s 1\r\nPING"), "PONG\r\n"

    def __init__(self, folder: Path, binary: str, secure: bool = False) -> None:
        super().__init__(folder, secure)
        self._binary = binary

    def command(self) -> list[str]:
        lines = [f"listen: {HOST}:{self.port}"]
        if self.secure:
            certificate, key = make_certificate(self.folder)
            files = f'cert_file: "{certificate}", key_file: "{key}"'
            lines.append(f"tls {{ {files}, handshake_first: true }}")
        (self.folder / "nats.conf").write_text("\n".join(lines), "utf-8")
        return [self._binary, "-c", str(self.folder / "nats.conf")]


class Redis(Server):
    """redis-server, which stores nothing here; the frame is the payload."""

    name = kind = "redis"
    publish = "PING\r\n", "+PONG"
    follow = "SUBSCRIBE s\r\n", ":1\r\n"

    def __init__(self, folder: Path, binary: str) -> None:
        super().__init__(folder)
        self._binary = binary

    def command(self) -> list[str]:
        words = ("--port", self.port, "--bind", HOST, "--save", "", "--protected-mode", "no")
        return [self._binary, *map(str, words), "--maxclients", "19900", "--tcp-backlog", "4096"]


class Mtnet(Server):
    """
    mtnet: an account's rights are checked, and each signal is forced to the disk.

    Args:
        straight: whether bytes may go straight to a socket.
    """

    kind = "mtnet"

    def __init__(self, folder: Path, direct: bool = True, secure: bool = False) -> None:
        self.name = "mtnet" if direct else "mtnet, buffered"
        super().__init__(folder, secure)
        self._straight = direct
        # It makes the account, and is never started itself.
        daemon = AccountsDaemon(self.folder)
        self._data = daemon.data
        hello = messages.hello(LOGIN, daemon.token, name="bench").decode("ascii")
        self.publish = hello, "<<WELCOME"
        self.follow = hello + requests.subscribe().decode("ascii"), "<<STATUS"

    def command(self) -> list[str]:
        twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()"]
        listens = [f"--listen={name}=off" for name in ("templates", "ticks", "web")]
        kind = "tcp"
        if self.secure:
            kind = "secure"
            make_certificate(self._data)
        listens.append(f"--listen=signals={kind}:{self.port}:interface={HOST}:backlog=4096")
        return [
            *(twistd if self._straight else [sys.executable, str(HERE / "buffered.py")]),
            *("-n", "--pidfile=", "mtnet", "--data", str(self._data), "--set=reserve=0", *listens),
        ]
