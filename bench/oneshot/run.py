"""
What it costs to hand out a template, beside a floor in C and nginx with the same file.

Each connection fetches once: it is made, read until the server closes, and closed. mtnet serves
anonymous clients from a thousand addresses, each a network of its own, with every limit. See
README.md beside this folder.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench.accounts_daemon import AccountsDaemon
from bench.harness import (
    LOAD_CPU,
    BenchError,
    Server,
    add_options,
    compile_programs,
    machine,
    ratio,
    run_bench,
    spread,
)
from bench.peers import HOST
from mtnet.services.templates.library import Library

HERE = Path(__file__).parent

SYMBOL, PERIOD = "EURUSD", "H1"
SIZES = {"8 kB": 8_192, "64 kB": 65_536}
MOST = 120.0
"""Seconds that a visit may take."""
NGINX = """
worker_processes 1;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
events {{ worker_connections 8192; multi_accept on; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=16;
    keepalive_timeout 0;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {host}:{port} backlog=4096;
        root {root};
    }}
}}
"""
"""The settings with which it is fastest here; it writes no log of who came."""


class TemplateServer(Server):
    """
    A server that hands out one file.

    Args:
        file: what it hands out.

    Attributes:
        say: what a client says first; empty = nothing.
    """

    say = ""

    def __init__(self, folder: Path, file: Path) -> None:
        super().__init__(folder)
        self.file = file


class Floor(TemplateServer):
    """The C program that does as little as possible."""

    name = "floor"

    def __init__(self, folder: Path, file: Path, program: Path) -> None:
        super().__init__(folder, file)
        self._program = program

    def command(self) -> list[str]:
        return [str(self._program), str(self.port), str(self.file)]


class Nginx(TemplateServer):
    """nginx, in one process."""

    name = "nginx"

    def __init__(self, folder: Path, file: Path, program: str) -> None:
        super().__init__(folder, file)
        self._program = program
        self.say = f"GET /{file.name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        text = NGINX.format(host=HOST, port=self.port, root=file.parent)
        (self.folder / "nginx.conf").write_text(text, "utf-8")

    def command(self) -> list[str]:
        return [self._program, "-p", str(self.folder), "-c", "nginx.conf"]


class Mtnet(TemplateServer):
    """
    mtnet with all four services; anonymous clients may fetch.

    Args:
        unauthenticated: `access.connections.templates.unauthenticated`.
        grace: seconds of silence that make a client one that does not speak; None = the default.
    """

    def __init__(
        self, folder: Path, file: Path, unauthenticated: int, grace: float | None = None
    ) -> None:
        self.name = "mtnet, waiting" if grace is None else "mtnet"
        super().__init__(folder, file)
        settings = [
            "access.anonymous=fetch",
            f"access.connections.templates.unauthenticated={unauthenticated}",
        ]
        if grace is not None:
            settings.append(f"templates.grace={grace}")
        services = ("signals", "ticks", "web")
        listens = [f"{name}=tcp:0:interface={HOST}" for name in services]
        listens.append(f"templates=tcp:{self.port}:interface={HOST}")
        daemon = AccountsDaemon(self.folder, *listens, settings=tuple(settings))
        self._command = daemon.command()
        library = Library(daemon.data / "templates")
        library.store(SYMBOL, PERIOD, file.read_bytes(), int(time.time() * 1000))

    def command(self) -> list[str]:
        return self._command


class WithRequest(TemplateServer):
    """The same process, whose clients say what they want."""

    name = "mtnet, FETCH"
    say = f"FETCH {SYMBOL} {PERIOD}\r\n"

    def __init__(self, server: TemplateServer) -> None:
        self.folder, self.port, self.file = server.folder, server.port, server.file
        self._server = server

    def launch(self) -> None:
        """Be there already."""
        self.process = self._server.process

    def stop(self) -> None:
        """Leave that to the other."""


@dataclass(frozen=True)
class Run:
    """What one visit found."""

    server: str
    size: str
    parallel: int
    served: int
    refused: int
    wrong: int
    hung: int
    seconds: float
    cpu: float
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Connections a second."""
        return self.served / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of CPU for a connection, of all the server's threads."""
        return self.cpu / self.served * 1e6

    @property
    def lost(self) -> int:
        """Connections that did not get what they came for."""
        return self.refused + self.wrong + self.hung


Runs = dict[tuple[str, int, str], list[Run]]
"""By size, parallel connections and server, in the order of the rounds."""


def template(size: int) -> bytes:
    """Return a template of so many bytes, as MetaTrader 5 writes them."""
    head, tail = f"<chart>\r\nsymbol={SYMBOL}\r\n", "</chart>\r\n"
    left = (size - 2) // 2 - len(head) - len(tail)
    line = "object=0123456789012345678901234567890123456789\r\n"
    body = line * (left // len(line) - 1)
    body += "0" * (left - len(body) - 2) + "\r\n"
    return b"\xff\xfe" + (head + body + tail).encode("utf-16-le")


def visit(load: Path, server: TemplateServer, size: str, parallel: int, seconds: float) -> Run:
    """Fetch over and over."""
    assert server.process is not None
    server.calm_down()
    words = ["-n", parallel, "-t", seconds, "-f", server.file, "-p", server.process.pid]
    words += ["-s", server.say] if server.say else []
    command = list(map(str, ("taskset", "-c", LOAD_CPU, load, *words, server.port)))
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=MOST, check=False)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{server.name}, {size}: {parallel} parallel take too long.") from error
    if said.returncode:
        raise BenchError(f"{server.name}, {size}, {parallel} parallel: {said.stderr}")
    return Run(server=server.name, size=size, parallel=parallel, **json.loads(said.stdout))


def measure(
    load: Path, by_size: dict[str, list[TemplateServer]], options: argparse.Namespace
) -> Runs:
    """Visit all in turn, so that what disturbs the machine disturbs everybody."""
    runs: Runs = {}
    for number in range(1, options.rounds + 1):
        for parallel in options.parallel:
            for size, servers in by_size.items():
                print(f"round {number} of {options.rounds}: {size} to {parallel}", file=sys.stderr)
                for server in servers:
                    run = visit(load, server, size, parallel, options.seconds)
                    runs.setdefault((size, parallel, server.name), []).append(run)
    return runs


# Saying


def report(runs: Runs, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the report."""
    yield f"{machine()} Medians of {options.rounds} rounds of {options.seconds:g} s, (least–most)."
    yield ""
    names = list(dict.fromkeys(name for _, _, name in runs))
    rivals = [each for each in ("floor", "nginx") if each in names]
    head = ["parallel", "size", "server", "CPU µs a connection", *(f"× {each}" for each in rivals)]
    head += ["connections/s", "p50 ms", "p99 ms", "refused", "wrong", "hung"]
    yield "| " + " | ".join(head) + " |"
    yield "| " + " | ".join(["---"] * len(head)) + " |"
    for (size, parallel, name), found in sorted(runs.items(), key=lambda each: each[0][1]):
        costs = [run.cost for run in found]
        row = [str(parallel), size, name, spread(costs, 1)]
        for rival in rivals:
            row.append(ratio(costs, [run.cost for run in runs[size, parallel, rival]]))
        row.append(spread([run.rate for run in found], 0))
        row += [spread([run.p50 * 1e3 for run in found], 1)]
        row += [spread([run.p99 * 1e3 for run in found], 1)]
        row += [
            str(sum(getattr(run, end) for run in found)) for end in ("refused", "wrong", "hung")
        ]
        yield "| " + " | ".join(row) + " |"


def losses(runs: Runs) -> Iterator[str]:
    """Yield a sentence for each case in which somebody did not get the template."""
    for (size, parallel, name), found in runs.items():
        lost = sum(run.lost for run in found)
        if lost:
            yield f"**{name}, {size}, {parallel} parallel: {lost} did not get it whole.**"


# The command line


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nginx", metavar="PROGRAM", help="without it there is no × nginx")
    parser.add_argument("--parallel", default="64,500", help="numbers, with commas")
    text = "access.connections.templates.unauthenticated; the default is mtnet's own"
    parser.add_argument("--unauthenticated", type=int, default=100, metavar="MOST", help=text)
    add_options(parser, rounds=5, seconds=2.0)
    options = parser.parse_args(words)
    options.parallel = [int(each) for each in options.parallel.split(",")]
    return options


def prepare(
    folder: Path, floor: Path, options: argparse.Namespace
) -> dict[str, list[TemplateServer]]:
    """Return the servers of each size."""
    if options.nginx and not shutil.which(options.nginx):
        raise BenchError(f"{options.nginx} is no program that can be run.")
    by_size: dict[str, list[TemplateServer]] = {}
    for size, count in SIZES.items():
        here = folder / str(count)
        here.mkdir(mode=0o755)
        file = here / f"{SYMBOL}.tpl"
        file.write_bytes(template(count))
        servers: list[TemplateServer] = [Floor(here, file, floor)]
        if options.nginx:
            servers.append(Nginx(here, file, options.nginx))
        waiting = Mtnet(here, file, options.unauthenticated)
        at_once = Mtnet(here, file, options.unauthenticated, grace=0)
        by_size[size] = [*servers, at_once, waiting, WithRequest(waiting)]
    return by_size


def visit_all(options: argparse.Namespace) -> Runs:
    """Start the servers, visit them, and stop them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=options.folder)))
        (folder / "programs").mkdir()
        floor, load = compile_programs(folder / "programs", HERE, "floor", "load")
        by_size = prepare(folder, floor, options)
        for server in (each for servers in by_size.values() for each in servers):
            stack.callback(server.stop)
            server.start()
        return measure(load, by_size, options)


def main() -> int:
    """Measure and report; return the exit status."""
    options = parse(sys.argv[1:])
    runs = run_bench(max(options.parallel), lambda: visit_all(options), options.json)
    if runs is None:
        return 1
    wrong = list(losses(runs))
    print("\n".join([*report(runs, options), *([""] if wrong else []), *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
