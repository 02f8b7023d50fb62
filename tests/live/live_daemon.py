"""A real daemon in a process of its own."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mtnet.daemon.control.client import ask
from mtnet.errors import ClientError

LOOPBACK = "tcp:0:interface=127.0.0.1"
PATIENCE = 60.0


def until(condition, seconds=PATIENCE):
    """Wait until `condition()` is true and return it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    pytest.fail("It did not happen in time.")


class RealDaemon:
    """`twistd mtnet` on ports that the kernel picks, with a data folder of its own."""

    def __init__(self, folder: Path):
        self.folder, self.data = folder, folder / "data"
        self.process: Any = None
        self.environ = {
            name: value for name, value in os.environ.items() if not name.startswith("MTNET_")
        }

    def command(self, *options, foreground=True):
        mode = ["-n", "--pidfile="] if foreground else ["--pidfile=twistd.pid"]
        names = ("signals", "templates", "ticks", "web")
        listens = [f"--listen={name}={LOOPBACK}" for name in names]
        listens.append(f"--listen=ticks={LOOPBACK.replace('tcp', 'udp')}")
        program = "from twisted.scripts.twistd import run; run()"
        return [
            *(sys.executable, "-c", program, *mode),
            *("mtnet", "--data", str(self.data), "--set=reserve=0", *listens, *options),
        ]

    def run(self, *options, foreground=True):
        """Run to the end; for starts that fail and for daemons that fork."""
        return subprocess.run(
            self.command(*options, foreground=foreground),
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *options):
        """Start in the foreground and wait until it answers."""
        self.launch(*options)
        until(self.answers)
        return self

    def launch(self, *options):
        """Start in the foreground, and return the process."""
        with (self.folder / "log.txt").open("a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                self.command(*options),
                cwd=self.folder,
                env=self.environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def answers(self):
        if self.process is not None and self.process.poll() is not None:
            pytest.fail(f"The daemon ended: {self.logged()}")
        try:
            return self.status()
        except ClientError:
            return None

    def status(self):
        return ask(self.data / "control", "status")

    def logged(self):
        return (self.folder / "log.txt").read_text("utf-8")

    def port(self, service, security="plain"):
        for row in self.status()["services"]:
            if (row["service"], row["security"]) == (service, security):
                return int(row["address"].rpartition(":")[2])
        raise LookupError(service)

    def dial(self, service="signals"):
        return socket.create_connection(("127.0.0.1", self.port(service)), timeout=PATIENCE)

    def publish(self, frames):
        """Send frames as a publisher; return True when the server says that all is stored."""
        with self.dial() as connection:
            connection.sendall(frames)
            connection.shutdown(socket.SHUT_WR)
            try:
                return connection.recv(1) == b""
            except ConnectionResetError:
                return False

    def first_frame(self):
        with self.dial() as connection:
            return connection.recv(512)

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process = None
        return status
