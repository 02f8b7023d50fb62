"""
Jobs: what one costs the daemon, kills of workers and of the daemon, and huey on the same machine.

    python bench/jobs.py cost                      CPU of the daemon for one job
    python bench/jobs.py kills --jobs 10000        a worker is killed each second, the daemon twice
    python bench/jobs.py huey --python VENV/bin/python

`cost`: one job after the other, each offered when the one before has ended, with one worker; then
100 offers under way and eight workers with eight slots, in turns. Data lie on the disk of
`--folder`, and every answer is behind an fsync. CPU is that of all threads of the daemon, so the
load of the machine does not count.

`kills`: eight worker processes, of which one is killed with SIGKILL each second and started again;
the daemon is killed `--daemon-kills` times. The submitter is the client library. At the end all
results are read again: each id must stand there once.

`huey`: SqliteHuey with `fsync=True` and a consumer with eight threads, beside mtnet with eight
workers in one process; each has all jobs offered, carried out and their results read. In turns.
"""

import argparse
import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.harness import PINNED, cpu_of
from bench.peers import HOST, SignalsDaemon

SETTINGS = ("jobs.enabled=true", "signals.frames=100000", "signals.heartbeat=3000")
QUEUE, WORKERS, SLOTS, FLIGHT = "bench", 8, 8, 100
DATA = '{"fast": 5, "slow": 20, "stop": 0.0015, "symbol": "EURUSD"}'
RESULT = '{"profit": 1234.5, "trades": 77}'
PATIENCE = 120.0
HUEY = """
from huey import SqliteHuey
huey = SqliteHuey("bench", filename="huey.db", fsync=True)

@huey.task()
def calculate(data):
    return %r
"""
HUEY_SUBMITTER = """
from bench_huey import calculate
results = [calculate(%r) for _ in range(%d)]
for each in results:
    assert each.get(blocking=True, backoff=1.0, max_delay=0.02) is not None
"""
WORKER = """
import select, socket, time
while True:
    try:
        server = socket.create_connection(("%(host)s", %(port)d), 5)
        server.sendall(b"<<HELLO|v=2>><<WORK|queue=%(queue)s|slots=4>>")
        rest, due = b"", []
        while True:
            wait = max(0.0, due[0][0] - time.monotonic()) if due else 5.0
            if select.select([server], [], [], wait)[0]:
                data = server.recv(65536)
                if not data:
                    raise OSError
                *frames, rest = (rest + data).split(b">>\\r\\n")
                for frame in frames:
                    if frame.startswith(b"<<TASK|"):
                        fields = dict(part.split(b"=", 1) for part in frame.split(b"|")[1:])
                        due.append((time.monotonic() + 0.04, fields[b"id"], fields[b"data"]))
                    elif frame.startswith(b"<<PING"):
                        server.sendall(b"<<PONG>>")
            while due and due[0][0] <= time.monotonic():
                _, id, data = due.pop(0)
                server.sendall(b"<<RESULT|queue=%(queue)s|id=" + id + b"|data=" + data + b" done>>")
    except OSError:
        time.sleep(0.1)
"""
"""A worker that starts within hundredths of a second: it is killed after eight."""


class Peer(asyncio.Protocol):
    """A session that takes frames as bytes."""

    def __init__(self, take: Callable[["Peer", bytes], None], hello: bytes) -> None:
        self._take, self._hello, self._rest = take, hello, b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        self.say(b"<<HELLO|v=2>>" + self._hello)

    def data_received(self, data: bytes) -> None:
        *frames, self._rest = (self._rest + data).split(b">>\r\n")
        for frame in frames:
            self._take(self, frame)

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.transport.write(data)


def work(peer: Peer, frame: bytes) -> None:
    """Answer a task at once."""
    if frame.startswith(b"<<TASK|"):
        id = frame.split(b"|", 3)[2][3:]
        peer.say(b"<<RESULT|queue=%b|id=%b|data=%b>>" % (QUEUE.encode(), id, RESULT.encode()))


async def load(port: int, jobs: int, flight: int, workers: int, slots: int) -> None:
    """Have jobs carried out, so many under way."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    run, counts = random.randbytes(4).hex(), Counter[str]()
    peers = []

    def offer(peer: Peer) -> None:
        if counts["offered"] < jobs:
            counts["offered"] += 1
            number = counts["offered"]
            frame = f"<<OFFER|queue={QUEUE}|id={run}-{number}|data={DATA}>>"
            peer.say(frame.encode())

    def take(peer: Peer, frame: bytes) -> None:
        if frame.startswith(b"<<RESULTS|"):
            for _ in range(flight):
                offer(peer)
        elif frame.startswith(b"<<DONE|"):
            counts["done"] += 1
            offer(peer)
            if counts["done"] == jobs:
                ended.set()
        else:
            assert frame.startswith((b"<<OFFERED|", b"<<WELCOME|", b"<<PING|")), frame

    say = b"<<WORK|queue=%b|slots=%d>>" % (QUEUE.encode(), slots)
    for _ in range(workers):
        peers.append(await loop.create_connection(lambda: Peer(work, say), HOST, port))
    results = b"<<RESULTS|queue=%b>>" % QUEUE.encode()
    peers.append(await loop.create_connection(lambda: Peer(take, results), HOST, port))
    await asyncio.wait_for(ended.wait(), PATIENCE)
    for transport, _ in peers:
        transport.write(b"<<BYE>>")
        transport.close()
    await asyncio.sleep(0.2)  # the loop closes them


class Daemon(SignalsDaemon):
    """A daemon with jobs."""

    def __init__(self, folder: Path, *settings: str) -> None:
        super().__init__(folder, *SETTINGS, *settings, prefix=PINNED)

    def start(self) -> None:
        """Run until it answers."""
        self.begin()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if (self.data / "control").exists() and self.answers() is not None:
                return
            time.sleep(0.1)
        raise SystemExit(f"The daemon does not start: {self.logged()[-2000:]}")

    def cpu(self) -> float:
        """Return the seconds that all its threads have run."""
        return cpu_of(self.process.pid)

    def kill(self, number: int) -> None:
        """End it by a signal."""
        self.process.send_signal(number)
        self.process.wait()


def cost(asked: argparse.Namespace) -> None:
    """Print the CPU of one job, alone and batched."""
    found: dict[str, list[float]] = {"alone": [], "batched": []}
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="jobs-bench-") as place:
        daemon = Daemon(Path(place))
        daemon.start()
        try:
            port = daemon.number
            asyncio.run(load(port, 200, FLIGHT, WORKERS, SLOTS))
            for _ in range(asked.rounds):
                for name, jobs, shape in (
                    ("alone", asked.jobs // 5, (1, 1, 1)),
                    ("batched", asked.jobs, (FLIGHT, WORKERS, SLOTS)),
                ):
                    before = daemon.cpu()
                    asyncio.run(load(port, jobs, *shape))
                    found[name].append((daemon.cpu() - before) / jobs * 1e3)
        finally:
            daemon.kill(signal.SIGTERM)
    for name, values in found.items():
        print(f"{name}: {median(values):.3f} ms of the daemon's CPU for one job {values}")


# Kills


def start_worker(port: int) -> "subprocess.Popen[bytes]":
    """Start a worker process, whose jobs take 40 ms each, four at once."""
    program = WORKER % {"host": HOST, "port": port, "queue": QUEUE}
    return subprocess.Popen([sys.executable, "-S", "-E", "-c", program])


async def offer_all(port: int, jobs: int) -> Counter[str]:
    """Offer jobs, and count how each has ended, and how often one has ended that had before."""
    from mtnet.client import aio

    data = {f"job-{number}": f"data {number}" for number in range(jobs)}
    ended: Counter[str] = Counter()
    terms = aio.Terms(timeout=3_600, tries=5)
    run = aio.run_jobs(f"tcp:{HOST}:{port}", QUEUE, data, terms=terms, on_event=lambda event: None)
    async for each in run:
        assert each.dead or each.text == f"{data[each.id]} done"
        ended["dead" if each.dead else "done"] += 1
        ended[each.id] += 1
    return ended


async def replay(port: int) -> list[tuple[int, str]]:
    """Return number and id of all results."""
    loop, found, last = asyncio.get_running_loop(), [], asyncio.get_running_loop().create_future()

    def take(peer: Peer, frame: bytes) -> None:
        fields = dict(part.split(b"=", 1) for part in frame.split(b"|")[1:])
        if frame.startswith(b"<<RESULTS|"):
            peer.last = int(fields[b"seq"])  # type: ignore[attr-defined]
        elif frame.startswith((b"<<DONE|", b"<<DEAD|")):
            found.append((int(fields[b"seq"]), fields[b"id"].decode()))
            if found[-1][0] == peer.last:  # type: ignore[attr-defined]
                last.set_result(None)

    ask = b"<<RESULTS|queue=%b|after=0>>" % QUEUE.encode()
    transport, _ = await loop.create_connection(lambda: Peer(take, ask), HOST, port)
    await asyncio.wait_for(last, PATIENCE)
    transport.close()
    return found


async def kills(asked: argparse.Namespace) -> None:
    """Kill workers and the daemon while jobs are carried out; print what became of them."""
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="jobs-kills-") as place:
        daemon = Daemon(Path(place))
        daemon.start()
        port, killed, spent = daemon.number, 0, 0.0
        workers = [start_worker(port) for _ in range(WORKERS)]
        began = time.monotonic()
        deaths = [began + asked.first + 10.0 * each for each in range(asked.daemon_kills)]
        running = asyncio.create_task(offer_all(port, asked.jobs))
        try:
            while not running.done():
                await asyncio.wait([running], timeout=asked.every)
                victim = random.randrange(WORKERS)
                workers[victim].kill()
                workers[victim].wait()
                workers[victim] = start_worker(port)
                killed += 1
                if deaths and deaths[0] < time.monotonic() and not running.done():
                    del deaths[0]
                    spent += daemon.cpu()
                    daemon.kill(signal.SIGKILL)
                    await asyncio.to_thread(daemon.start)
            spent += daemon.cpu()
            ended, stored = running.result(), await replay(port)
            late, exceptions = daemon.status()["jobs"]["late"], daemon.exceptions()
        finally:
            for each in workers:
                each.kill()
            daemon.kill(signal.SIGTERM)
    ids = Counter(id for _, id in stored)
    problems = {
        "not ended": asked.jobs - len(ids),
        "ended twice": sum(count > 1 for count in ids.values()),
        "numbers twice": len(stored) - len({seq for seq, _ in stored}),
        "told twice": sum(count > 1 for id, count in ended.items() if id.startswith("job-")),
    }
    shown = {
        "jobs": asked.jobs,
        "done": ended["done"],
        "dead": ended["dead"],
        "workers killed": killed,
        "daemon killed": asked.daemon_kills - len(deaths),
        "seconds": round(time.monotonic() - began, 1),
        "daemon CPU ms per job": round(spent / asked.jobs * 1e3, 3),
        "late": late,
        "problems": problems,
        "exceptions": exceptions,
    }
    print(json.dumps(shown, indent=1))
    if any(problems.values()) or shown["exceptions"]:
        raise SystemExit(1)


# huey


def compare(asked: argparse.Namespace) -> None:
    """Print seconds and CPU of one job in mtnet and in huey, in turns."""
    seconds: dict[str, list[float]] = {"mtnet": [], "huey": []}
    spent: dict[str, list[float]] = {"mtnet": [], "huey": []}
    with tempfile.TemporaryDirectory(dir=asked.folder, prefix="jobs-huey-") as place:
        folder = Path(place)
        daemon = Daemon(folder)
        daemon.prefix = ()
        daemon.start()
        program = folder / "bench_huey.py"
        program.write_text(HUEY % RESULT, "utf-8")
        consumer = subprocess.Popen(
            [
                *(asked.python, "-m", "huey.bin.huey_consumer", "bench_huey.huey"),
                *("-w", str(WORKERS), "-d", "0.01", "-m", "0.05", "-q"),
            ],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(3.0)
        try:
            for _ in range(asked.rounds):
                for name in seconds:
                    one = _mtnet if name == "mtnet" else _huey
                    server: Any = daemon.process if name == "mtnet" else consumer
                    before = cpu_of(server.pid)
                    took, own = one(asked, folder, daemon.number)
                    seconds[name].append(took / asked.jobs * 1e3)
                    spent[name].append((cpu_of(server.pid) - before + own) / asked.jobs * 1e3)
        finally:
            consumer.terminate()
            consumer.wait()
            daemon.kill(signal.SIGTERM)
    for name in seconds:
        print(
            f"{name}: {median(seconds[name]):.3f} ms, {median(spent[name]):.3f} ms of CPU for one "
            f"job, all processes {[round(each, 3) for each in seconds[name]]}"
        )
    ratios = [one / other for one, other in zip(seconds["mtnet"], seconds["huey"], strict=True)]
    print(f"mtnet takes {median(ratios):.2f} of the time of huey")


def _mtnet(asked: argparse.Namespace, folder: Path, port: int) -> tuple[float, float]:
    own, began = time.process_time(), time.monotonic()
    asyncio.run(load(port, asked.jobs, FLIGHT, WORKERS, SLOTS))
    return time.monotonic() - began, time.process_time() - own


def _huey(asked: argparse.Namespace, folder: Path, _: int) -> tuple[float, float]:
    began = time.monotonic()
    process = subprocess.Popen(
        [asked.python, "-c", HUEY_SUBMITTER % (DATA, asked.jobs)], cwd=folder
    )
    own = 0.0
    while process.poll() is None:
        try:
            own = cpu_of(process.pid)
        except OSError:
            break
        time.sleep(0.02)
    if process.wait():
        raise SystemExit("huey has failed.")
    return time.monotonic() - began, own


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("cost", "kills", "huey"))
    parser.add_argument("--jobs", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two kills")
    parser.add_argument("--first", type=float, default=8.0, help="seconds to the daemon's first")
    parser.add_argument("--daemon-kills", type=int, default=2)
    parser.add_argument("--python", default=sys.executable, help="of an environment with huey")
    parser.add_argument("--folder", help="on the disk to be used; default: that of the system")
    asked = parser.parse_args()
    if asked.what == "kills":
        asyncio.run(kills(asked))
    else:
        {"cost": cost, "huey": compare}[asked.what](asked)


if __name__ == "__main__":
    main()
