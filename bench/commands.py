"""
Commands: CPU seconds of a fresh process of each, and how many modules it imports.

The parsers are walked, so each command and each group of commands is there, with `--help`; then a
real run of each kind: without a daemon, with one, and with its servers on loopback. `--mtnet`
names the program of an environment in which mtnet is installed as people install it. The first run
of each counts for nothing: it compiles what was not.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.harness import machine
from bench.peers import HOST
from mtnet.cli.main import parser
from tests.live.live_daemon import RealDaemon

COUNT = (
    "import atexit, sys; atexit.register(lambda: print(len(sys.modules), file=sys.__stderr__)); "
    "from mtnet.__main__ import main; main()"
)
"""Runs the command line, and prints how many modules were imported as the last line of stderr."""
OFFLINE = (
    "status|account list|account show alice|bans list|bans add 192.0.2.7|bans lift 192.0.2.7|"
    "context list|context add fx --server tcp:127.0.0.1:1|ticks symbols|ticks report|"
    "ticks export EURUSD|ticks bars EURUSD|signals verify|signals export|"
    "cert init|cert show|cert check|backup {folder}/backup-{round}|mql5 export {folder}/mql5.zip|"
    "check"
)
"""Runs on a data folder whose daemon has ended."""
ONLINE = (
    "status|events|account list|account show alice|bans list|views list|sinks list|alerts list|"
    "jobs list|topics list|sentiment list|indicators list|signals status|signals channels|"
    "signals notice Hello|ticks symbols|ticks export EURUSD"
)
"""Runs that ask a daemon by its control socket, or read beside it."""
TALKING = (
    "signals publish GBPUSD 0.25 --server {signals}|"
    "signals follow --seconds 0.2 --server {signals}|"
    "templates put {template} EURUSD H1 --server {templates}|"
    "templates list --server {templates}|templates get EURUSD H1 --server {templates}|"
    "ticks send {ticks_file} --server {ticks}|ticks tail --seconds 0.2 --server {ticks}|"
    "topics send desk Hello --server {signals}|topics join desk --seconds 0.2 --server {signals}|"
    "sentiment watch --seconds 0.2 --server {signals}|"
    "indicators tail RSI14 EURUSD H1 --seconds 0.2 --server {signals}|doctor 127.0.0.1:{port}"
)
"""Runs that connect to a server."""
OPTIONAL = ("indicators", "jobs", "sentiment", "topics")
"""Services that are off by default."""


def walk(found: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command and each group of commands below a parser."""
    yield words
    for action in found._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from walk(inner, (*words, name))


class Program:
    """The installed program, in an environment and a data folder of its own."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder = path, folder
        self._environ = {k: v for k, v in os.environ.items() if not k.startswith("MTNET_")}
        self._environ |= {
            "MTNET_DATA": str(folder / "data"),
            "XDG_CONFIG_HOME": str(folder / "config"),
        }

    def cpu(self, words: Sequence[str]) -> float:
        """Run a command; return the seconds of user and system that it took."""
        process = self._start([str(self._path), *words], subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return usage.ru_utime + usage.ru_stime

    def modules(self, words: Sequence[str]) -> tuple[int, int]:
        """Run a command; return how many modules it imported, and its exit status."""
        python = self._path.parent / "python"
        process = self._start([str(python), "-c", COUNT, *words], subprocess.PIPE)
        said = process.communicate()[1].decode().split()
        return int(said[-1]), process.returncode

    def _start(self, command: list[str], stderr: int) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=self._environ,
            cwd=self._folder,
        )


class Table:
    """Runs commands by turns, and prints what each takes."""

    def __init__(self, program: Program, rounds: int, **values: Any) -> None:
        self._program, self._rounds, self._values = program, rounds, values

    def print(self, title: str, commands: Sequence[Sequence[str]]) -> None:
        """Print the rows of these commands."""
        found: dict[int, list[float]] = {at: [] for at in range(len(commands))}
        modules: dict[int, tuple[int, int]] = {}
        for number in range(self._rounds + 1):
            for at, words in enumerate(commands):
                filled = [each.format(**self._values, round=f"{at}-{number}") for each in words]
                if number:
                    found[at].append(self._program.cpu(filled))
                else:
                    modules[at] = self._program.modules(filled)
        print(f"\n## {title}\n\n| command | CPU s | least | modules | status |")
        print("| --- | --- | --- | --- | --- |")
        for at, words in enumerate(commands):
            name = " ".join(("mtnet", *words))
            median, least = statistics.median(found[at]), min(found[at])
            count, status = modules[at]
            print(f"| `{name}` | {median:.3f} | {least:.3f} | {count} | {status} |", flush=True)


def listed(text: str) -> list[list[str]]:
    """Return the commands of a text."""
    return [each.split(" ") for each in text.split("|")]


def main() -> None:
    """Measure, and print tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mtnet", type=Path, default=Path(sys.executable).parent / "mtnet")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument(
        "--only", choices=("help", "offline", "online", "talking"), action="append", default=[]
    )
    asked = options.parse_args()
    parts = asked.only or ["help", "offline", "online", "talking"]
    print(machine())
    with tempfile.TemporaryDirectory(prefix="mtnet-") as text:
        folder = Path(text)
        daemon = RealDaemon(folder)
        program = Program(asked.mtnet.absolute(), folder)
        daemon.start(*(f"--set={name}.enabled=true" for name in OPTIONAL))
        try:
            _prepare(folder, daemon, program)
            table = Table(program, asked.rounds, **_places(folder, daemon))
            if "online" in parts:
                table.print("A daemon runs", listed(ONLINE))
            if "talking" in parts:
                table.print("To a server on loopback", listed(TALKING))
        finally:
            daemon.stop()
        if "offline" in parts:
            table.print("No daemon runs", listed(OFFLINE))
        if "help" in parts:
            helps = [(*words, "--help") for words in walk(parser())]
            table.print("Help", [("--version",), *helps])


def _places(folder: Path, daemon: RealDaemon) -> dict[str, Any]:
    ports = {name: daemon.port(name) for name in ("signals", "templates")}
    ports["ticks"] = daemon.port("ticks")
    servers = {name: f"tcp:{HOST}:{port}" for name, port in ports.items()}
    files = {"template": folder / "x.tpl", "ticks_file": folder / "ticks.txt", "folder": folder}
    return {**servers, **files, "port": ports["signals"]}


def _prepare(folder: Path, daemon: RealDaemon, program: Program) -> None:
    (folder / "x.tpl").write_text("<chart>\nsymbol=EURUSD\nperiod=60\n</chart>\n", "ascii")
    (folder / "ticks.txt").write_text("EURUSD 1.1 1.2\n" * 10, "ascii")
    program.cpu(["account", "add", "alice", "--no-password", "--role", "follower"])
    with daemon.dial("ticks") as connection:
        connection.sendall(b"EURUSD 1.1 1.2\nSYNC:\n")
        connection.recv(100)


if __name__ == "__main__":
    main()
