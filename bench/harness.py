"""Benchmark harness: servers pinned to one CPU, the load to another, statistics, options."""

import argparse
import json
import os
import platform
import re
import resource
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bench.peers import HOST, free_port

SERVER_CPU, LOAD_CPU = 0, 1
PINNED = ("taskset", "-c", str(SERVER_CPU))
START = 60.0
"""Seconds that a server may take to start."""
IDLE, LOOK, CALM = 0.002, 0.1, 20.0
"""Seconds of CPU in LOOK seconds below which a server has nothing left to do, CALM at most."""
QUIET = 20.0
"""Seconds for which servers that nobody uses are measured."""
SPARE = 64
"""Descriptors that a process needs beside those of its followers."""


class BenchError(Exception):
    """The benchmark cannot go on; the text is for the user."""


class Server:
    """
    A server process.

    Args:
        secure: whether it speaks TLS.

    Attributes:
        kind: how its messages are framed; see load.c.
        stop_within: seconds that it may take to stop.
        follow, publish: the first bytes of a client, and those of the answer that it waits for.
    """

    name = kind = ""
    stop_within = 30.0
    follow = ("FOLLOW\r\n", "OK")
    publish = ("PUBLISH\r\n", "OK")

    def __init__(self, folder: Path, secure: bool = False, port: int | None = None) -> None:
        self.folder, self.port, self.secure = folder / self.name, port or free_port(), secure
        self.folder.mkdir()
        self.process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """Return what is run."""
        raise NotImplementedError

    def launch(self) -> None:
        """Run, and do not wait until it can be connected to."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("MTNET_")}
        with (self.folder / "log.txt").open("ab") as file:
            self.process = subprocess.Popen(
                [*PINNED, *self.command()],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                env=environment,
                stdout=file,
                stderr=file,
            )

    def start(self) -> None:
        """
        Run until it can be connected to.

        Raises:
            BenchError: it ended, or it took too long.
        """
        self.launch()
        assert self.process is not None
        until = time.monotonic() + START
        while self.process.poll() is None and time.monotonic() < until:
            if self.answers():
                return
            time.sleep(0.1)
        raise BenchError(f"{self.name} does not listen; {self.state()}")

    def answers(self) -> bool:
        """Return whether it can be used already."""
        try:
            socket.create_connection((HOST, self.port), 1).close()
        except OSError:
            return False
        return True

    def state(self) -> str:
        """Return whether it runs, and the end of its log."""
        status = None if self.process is None else self.process.poll()
        runs = "it runs" if status is None else f"it ended with status {status}"
        return f"{runs}; the end of its log:\n{self.logged()[-2000:]}"

    def logged(self) -> str:
        """Return its log."""
        return (self.folder / "log.txt").read_text("utf-8", errors="replace")

    def cpu(self) -> float:
        """Return the seconds that all its threads have run."""
        assert self.process is not None
        return cpu_of(self.process.pid)

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
            self.process.wait(self.stop_within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


Key = TypeVar("Key")
Run = TypeVar("Run")


def run_bench(
    connections: int, measure: Callable[[], dict[Key, list[Run]]], file: Path | None
) -> dict[Key, list[Run]] | None:
    """
    Measure on the CPU of the load.

    Args:
        connections: at once, at most.
        file: where every run is written.

    Returns:
        What was found; None = it cannot be measured, and stderr says why.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
    try:
        allow_descriptors(connections)
        pin_load()
        runs = measure()
        if file:
            found = [vars(run) for each in runs.values() for run in each]
            file.write_text(json.dumps(found, indent=2), "utf-8")
    except (BenchError, OSError) as error:
        print(error, file=sys.stderr)
        return None
    return runs


def compile_programs(
    folder: Path, source: Path, *names: str, libraries: Sequence[str] = ()
) -> list[Path]:
    """Compile `source/NAME.c` into `folder`; return the programs."""
    for name in names:
        words = ["-O2", "-Wall", "-Wextra", "-o", str(folder / name), str(source / f"{name}.c")]
        words += [f"-l{each}" for each in libraries]
        try:
            subprocess.run(["cc", *words], check=True)
        except FileNotFoundError as error:
            raise BenchError("There is no cc here: install gcc and libssl-dev.") from error
        except subprocess.CalledProcessError as error:
            raise BenchError(f"{name}.c cannot be compiled: {error}") from error
    return [folder / name for name in names]


def allow_descriptors(followers: int = 0) -> None:
    """Let this process, and those it starts, open as many files as they may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < followers + SPARE:
        raise BenchError(f"{followers} followers need more than {most} descriptors (ulimit -n).")


def pin_load() -> None:
    """Run this process, and those it starts, on the CPU of the load."""
    os.sched_setaffinity(0, {LOAD_CPU})


# Options


def add_options(parser: argparse.ArgumentParser, rounds: int, seconds: float | None = None) -> None:
    """Add the options of every benchmark that compares servers; `seconds` of each visit."""
    parser.add_argument("--rounds", type=int, default=rounds)
    if seconds is not None:
        parser.add_argument("--seconds", type=float, default=seconds, help="of each visit")
    add_folder(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every run there")


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Let the user choose where the data lie."""
    parser.add_argument("--folder", help="where the data lie; the default is a temporary folder")


# Statistics


def cpu_of(process: int) -> float:
    """Return the seconds that all threads of a process have run."""
    tasks = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1e9


def idle(servers: Sequence[Any]) -> dict[str, float]:
    """Return the milliseconds of CPU a second that servers use when nothing happens."""
    before = [each.cpu() for each in servers]
    time.sleep(QUIET)
    used = [each.cpu() - was for each, was in zip(servers, before, strict=True)]
    return {each.name: round(cpu / QUIET * 1e3, 2) for each, cpu in zip(servers, used, strict=True)}


def quartiles(values: Sequence[float], others: Sequence[float]) -> str:
    """Return the median of the ratios of neighbours, with their quartiles."""
    pairs = zip(values, others, strict=True)
    low, middle, high = statistics.quantiles((a / b for a, b in pairs), n=4)
    return f"{middle:.3f} ({low:.3f}–{high:.3f})"


def percentile(seconds: Sequence[float], part: float) -> float:
    """Return a percentile of times in milliseconds; 0 without any."""
    if not seconds:
        return 0.0
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * part))] * 1000


def spread(values: list[float], digits: int | str) -> str:
    """Return the median with the least and the greatest, in so many digits or a format."""
    form = f".{digits}f" if isinstance(digits, int) else digits
    middle, least, most = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} ({least:{form}}–{most:{form}})"


def ratio(values: list[float], others: list[float]) -> str:
    """Return the median of the ratios of each round."""
    return f"{statistics.median(a / b for a, b in zip(values, others, strict=True)):.2f}"


def machine() -> str:
    """Return what the figures depend on."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
    processor = model[1] if model else platform.machine()
    python = f"Python {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} CPUs, Linux {platform.release()}, {python}."
