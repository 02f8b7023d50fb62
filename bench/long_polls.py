"""
Signals by HTTP: what a held long poll costs with each signal, and a whole state with each PUT.

A real daemon on a CPU of its own. `--polls` connections each hold a long poll, and ask again with
each answer; a signal is published by POST `--rate` times a second. Then `--publishers` connections
send whole states of 20 positions, of which one has changed, `--puts` times a second together, each
to a channel of its own. Reported are the CPU of the daemon for each answer, over all its threads,
and the delay from the request to its answer.

Run it from a development environment: `python bench/long_polls.py`.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from harness import PINNED, add_folder, allow_descriptors, percentile, pin_load
from peers import HOST, SignalsDaemon, free_port

POSITIONS = 20


class Client:
    """One connection of HTTP/1.1."""

    def __init__(self, port: int) -> None:
        self._port, self._one = port, asyncio.Lock()

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer as a value; one request after the other."""
        async with self._one:
            return await self._ask(method, path, body)

    async def _ask(self, method: str, path: str, body: Any) -> Any:
        if not hasattr(self, "_writer"):
            self._reader, self._writer = await asyncio.open_connection(HOST, self._port)
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(data)}\r\n\r\n"
        self._writer.write(head.encode() + data)
        head_of_answer = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head_of_answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return json.loads(await self._reader.readexactly(length))

    def close(self) -> None:
        """Leave."""
        if hasattr(self, "_writer"):
            self._writer.close()


class Follower(Client):
    """A connection that holds a long poll, and counts its answers."""

    def __init__(self, port: int, name: str) -> None:
        super().__init__(port)
        self._name, self.signals, self.answers = name, 0, 0

    async def run(self) -> None:
        """Follow for ever."""
        path = f"/v1/channels/main/signals?name={self._name}"
        known = await self.ask("GET", path)
        while True:
            where = f"&epoch={known['epoch']}&after={known['seq']}&h={known['h']}&wait=60"
            known = await self.ask("GET", path + where)
            self.answers += 1
            self.signals += len(known.get("signals", ()))


async def paced(rate: float, seconds: float, call: Callable[[int], Awaitable[None]]) -> None:
    """Call at a steady rate, whether the last call is over or not."""
    begin, tasks = time.monotonic(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(call(number)))
    await asyncio.gather(*tasks)


async def measure_polls(daemon: Any, port: int, options: argparse.Namespace) -> None:
    """Measure signals to many long polls."""
    publisher, delays = Client(port), []
    await publisher.ask("POST", "/v1/channels/main/signals", signals("first"))
    followers = [Follower(port, f"f{number}") for number in range(options.polls)]
    tasks = [asyncio.create_task(each.run()) for each in followers]
    await asyncio.sleep(3 + options.polls / 1_000)
    before, answers = cpu(daemon), sum(each.answers for each in followers)

    async def publish(number: int) -> None:
        begin = time.monotonic()
        await publisher.ask("POST", "/v1/channels/main/signals", signals(f"s{number}"))
        delays.append(time.monotonic() - begin)

    await paced(options.rate, options.seconds, publish)
    await asyncio.sleep(2)
    used = cpu(daemon) - before
    found = sum(each.answers for each in followers) - answers
    missed = sum(each.signals < int(options.rate * options.seconds) for each in followers)
    for each in tasks:
        each.cancel()
    for follower in followers:
        follower.close()
    print(f"{options.polls} long polls, {options.rate:g} signals a second:")
    print(f"  CPU {used / found * 1e6:.0f} us an answer ({found} answers), {missed} behind")
    print(f"  POST p50 {percentile(delays, 0.5):.1f}, p99 {percentile(delays, 0.99):.1f} ms")


async def measure_puts(daemon: Any, port: int, options: argparse.Namespace) -> None:
    """Measure whole states."""
    clients = [Client(port) for _ in range(options.publishers)]
    free: asyncio.Queue[int] = asyncio.Queue()
    for number in range(len(clients)):
        free.put_nowait(number)
    delays, n = [], [0] * len(clients)

    async def put(number: int) -> None:
        begin, which = time.monotonic(), await free.get()
        n[which] += 1
        held = [{"symbol": f"S{k}", "volume": 1 + (k == n[which] % POSITIONS)} for k in range(20)]
        body = {"publisher": "bench", "n": n[which], "positions": held}
        await clients[which].ask("PUT", f"/v1/channels/c{which}/positions", body)
        free.put_nowait(which)
        delays.append(time.monotonic() - begin)

    await paced(options.puts, 2, put)
    delays.clear()
    before = cpu(daemon)
    await paced(options.puts, options.seconds, put)
    used = cpu(daemon) - before
    print(
        f"{options.puts:g} PUT a second of {POSITIONS} positions, {options.publishers} publishers:"
    )
    print(f"  CPU {used / len(delays) * 1e6:.0f} us each, {used / options.seconds:.0%} of a CPU")
    print(f"  p50 {percentile(delays, 0.5):.1f}, p99 {percentile(delays, 0.99):.1f} ms")


def signals(id: str) -> dict[str, Any]:
    """Return the body of one signal."""
    volume = 1 + hash(id) % 50
    return {"publisher": "b", "signals": [{"id": id, "symbol": "EURUSD", "volume": volume}]}


def cpu(daemon: Any) -> float:
    """Return the seconds that all threads of the daemon have run."""
    tasks = Path(f"/proc/{daemon.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text("ascii").split()[0]) for task in tasks) / 1e9


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--polls", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--publishers", type=int, default=50)
    parser.add_argument("--puts", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    add_folder(parser)
    options = parser.parse_args()
    allow_descriptors(options.polls)
    pin_load()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        port = free_port()
        daemon = SignalsDaemon(Path(folder), prefix=PINNED)
        daemon.more.append(f"web=tcp:{port}:interface={HOST}")
        daemon.start()
        try:
            asyncio.run(measure_polls(daemon, port, options))
            asyncio.run(measure_puts(daemon, port, options))
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
