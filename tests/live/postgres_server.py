"""A real server of PostgreSQL, with a folder of its own."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOST = "127.0.0.1"


def programs():
    """Return the folder of `initdb` and `pg_ctl`; Debian keeps them apart by version."""
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    if not versions:
        pytest.skip("PostgreSQL is not installed; Debian's package is postgresql.")
    return versions[-1].parent


class PostgresServer:
    """
    A server that can be stopped, killed and started again.

    PostgreSQL refuses to run as root, so a user of Debian's package runs it there.
    """

    def __init__(self, folder, port):
        self._programs, self.folder, self.port = programs(), folder, port
        self._user = {"user": "postgres", "group": "postgres"} if os.getuid() == 0 else {}
        if self._user:
            shutil.chown(folder, "postgres", "postgres")
        self.url = f"postgresql://postgres@{HOST}:{port}/postgres"
        self._run("initdb", "-D", folder / "db", "-U", "postgres", "-A", "trust", "--no-sync")

    def start(self):
        """Start, and wait until it answers."""
        options = f"-p {self.port} -c listen_addresses={HOST} -k {self.folder} -c fsync=off"
        log = self.folder / "log.txt"
        self._run("pg_ctl", "-D", self.folder / "db", "-l", log, "-o", options, "-w", "start")

    def stop(self, mode="immediate"):
        """Stop; `immediate` is as good as a kill."""
        self._run("pg_ctl", "-D", self.folder / "db", "-m", mode, "-w", "stop")

    def _run(self, program, *arguments):
        done = subprocess.run(
            [self._programs / program, *map(str, arguments)],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            **self._user,
        )
        assert done.returncode == 0, done.stderr
