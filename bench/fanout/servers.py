"""The servers that are measured, each pinned to one CPU."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))

from guarded import LOGIN, GuardedDaemon  # noqa: E402
from peers import HOST, free_port  # noqa: E402

from mtnet.signals import requests  # noqa: E402

SERVER_CPU, LOAD_CPU = 0, 1
START, STOP = 30.0, 30.0
"""Seconds that a server may take for it."""
IDLE, LOOK, CALM = 0.002, 0.1, 20.0
"""Seconds of CPU in LOOK seconds below which a server has nothing left to do, CALM at most."""


class BenchError(Exception):
    """The benchmark cannot go on; the text is for the user."""


def make_certificate(data: Path) -> tuple[Path, Path]:
    """Let `mtnet cert init` make a certificate in a data folder; return its file and the key's."""
    command = [sys.executable, "-m", "mtnet", "cert", "init", "--data", str(data)]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return data / "tls" / "certificate.pem", data / "tls" / "key.pem"


class Server:
    """
    A server process.

    Args:
        secure: whether it speaks TLS.

    Attributes:
        kind: how its messages are framed; see load.c.
        follow, publish: what is said first, and what must have come until that is served.
    """

    name = kind = ""
    follow = ("FOLLOW\r\n", "OK")
    publish = ("PUBLISH\r\n", "OK")

    def __init__(self, folder: Path, secure: bool = False) -> None:
        self.folder, self.port, self.secure = folder / self.name, free_port(), secure
        self.folder.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return what is run."""
        raise NotImplementedError

    def start(self) -> None:
        """
        Run until it can be connected to.

        Raises:
            BenchError: it ended, or it took too long.
        """
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MTNET_")}
        log = self.folder / "log.txt"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(SERVER_CPU), *self.command()],
                cwd=self.folder,
                env=environment,
                stdout=file,
                stderr=file,
            )
        until = time.monotonic() + START
        while self.process.poll() is None and time.monotonic() < until:
            try:
                socket.create_connection((HOST, self.port), 1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise BenchError(f"{self.name} does not listen: {log.read_text(errors='replace')[-2000:]}")

    def cpu(self) -> float:
        """Return the seconds that all its threads have run."""
        assert self.process is not None
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1e9

    def calm_down(self) -> None:
        """Wait until it has nothing left to do."""
        until, before = time.monotonic() + CALM, self.cpu()
        while time.monotonic() < until:
            time.sleep(LOOK)
            now = self.cpu()
            if now - before < IDLE:
                return
            before = now

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


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

    def __init__(self, folder: Path, straight: bool = True, secure: bool = False) -> None:
        self.name = "mtnet" if straight else "mtnet, buffered"
        super().__init__(folder, secure)
        self._straight = straight
        # It makes the account, and is never started itself.
        daemon = GuardedDaemon(self.folder)
        self._data = daemon.data
        hello = requests.hello(LOGIN, daemon.token, name="bench").decode("ascii")
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
