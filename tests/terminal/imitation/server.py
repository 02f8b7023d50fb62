"""`twistd mtnet` for the terminals of a test, on ports that stay over its restarts."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tls_samples import Authority, key_pem, pem

from imitation.waiting import PATIENCE, SPEED
from mtnet.cli.accounts import admin_session
from mtnet.daemon.control.client import answers, ask

HEARTBEAT = 5 / SPEED
LOOPBACK = "127.0.0.1"
PASSWORD = "correct horse battery"
OTHERS = ("templates", "ticks", "web")
"""Services that most terminals of these tests do not use."""
TWISTD = "from twisted.scripts.twistd import run; run()"


def free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return found.getsockname()[1]


class Server:
    """
    A daemon with signals on a plain port and, given accounts, on one with TLS.

    Args:
        accounts: roles by login; then nobody may do anything without a login.
        services: further ones, each on a plain port of its own, which `ports` names.
    """

    def __init__(
        self,
        folder: Path,
        *sets: str,
        accounts: dict[str, str] | None = None,
        services: Sequence[str] = (),
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.data, self.sets = folder, folder / "data", [*sets]
        self.port, self.tls_port = free_port(), free_port()
        self.ports = {name: free_port() for name in services}
        self.authority = folder / "authority.pem"
        self._accounts = accounts or {}
        self._process: subprocess.Popen[bytes] | None = None
        if accounts:
            self._make_certificate()
            self._make_accounts()

    @property
    def secure(self) -> bool:
        return bool(self._accounts)

    def _make_certificate(self) -> None:
        authority = Authority()
        certificate, key = authority.issue(LOOPBACK, "localhost")
        self.authority.write_bytes(pem(authority.certificate))
        chain, secret = self.folder / "server.pem", self.folder / "key.pem"
        chain.write_bytes(pem(certificate))
        secret.write_bytes(key_pem(key))
        secret.chmod(0o600)
        self.sets += [f"tls.certificate={chain}", f"tls.key={secret}"]
        self.sets.append("access.trust_loopback=false")

    def _make_accounts(self) -> None:
        with admin_session(self.data) as run:
            for login, role in self._accounts.items():
                run("account add", name=login, grants=[role], password=PASSWORD)

    def _command(self) -> list[str]:
        listen = [f"signals=tcp:{self.port}:interface={LOOPBACK}"]
        if self.secure:
            listen.append(f"signals=secure:{self.tls_port}:interface={LOOPBACK}")
        listen += [f"{name}=off" for name in OTHERS if name not in self.ports]
        listen += [f"{name}=tcp:{each}:interface={LOOPBACK}" for name, each in self.ports.items()]
        if "ticks" in self.ports:
            listen.append(f"ticks=udp:{self.ports['ticks']}:interface={LOOPBACK}")
        sets = ["reserve=0", f"signals.heartbeat={HEARTBEAT}", *self.sets]
        return [
            *(sys.executable, "-c", TWISTD, "-n", "--pidfile=", "mtnet", f"--data={self.data}"),
            *(f"--listen={each}" for each in listen),
            *(f"--set={each}" for each in sets),
        ]

    def start(self) -> "Server":
        clean = {name: each for name, each in os.environ.items() if not name.startswith("MTNET_")}
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), cwd=self.folder, env=clean, stdout=log, stderr=log
            )
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            if answers(self.data / "control"):  # it listens there last
                return self
            time.sleep(0.02)
        pytest.fail(f"The daemon did not start: {self.logged()}")

    def logged(self) -> str:
        return (self.folder / "log.txt").read_text("utf-8", "replace")

    def ask(self, command: str, **arguments: object) -> Any:
        return ask(self.data / "control", command, PATIENCE, **arguments)

    def positions(self, channel: str) -> dict[str, str]:
        """Return the net volumes of a channel."""
        channels = self.ask("status")["signals"]["channels"]
        return channels[channel]["positions"] if channel in channels else {}

    def end(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(PATIENCE)

    def hang(self, seconds: float) -> None:
        """Let the daemon do nothing for a while, its connections open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as by a loss of power."""
        self.end(signal.SIGKILL)
