"""
Signals by HTTP: what a held long poll costs with each signal, and a whole state with each PUT.

A real daemon on a CPU of its own. `--polls` connections each hold a long poll, and ask again with
each answer; a signal is published by POST `--rate` times a second. In turns with that, as many
connections hold a request at a bare resource of `twisted.web`, on the same CPU, which answers them
all. A follower by TCP takes each signal, with the polls and before there are any; it and the
publisher are another process than the polls, so that those who read a thousand answers delay
neither.

Then `--publishers` connections send whole states of 20 positions, of which one has changed,
`--puts` times a second together, each to a channel of its own. Reported are the CPU of the daemon
for each answer, over all its threads, and the delay from the request to its answer.

Run it from a development environment: `python bench/long_polls.py`.
"""

import argparse
import asyncio
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bench.harness import (
    PINNED,
    Server,
    add_folder,
    allow_descriptors,
    cpu_of,
    percentile,
    pin_load,
)
from bench.peers import HOST, SignalsDaemon, Speaker, free_port
from mtnet.services.signals.wire import answers, requests

POSITIONS = 20
ROUNDS = 3
"""Turns of the daemon and of the bare resource."""
BARE = """
import sys
from twisted.internet import endpoints, reactor
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

class Held(Resource):
    isLeaf = True
    held = []

    def render_GET(self, request):
        self.held.append(request)
        return NOT_DONE_YET

    def render_POST(self, request):
        waiting, Held.held = self.held, []
        for each in waiting:
            each.setHeader(b"Content-Type", b"application/json")
            each.setHeader(b"Content-Length", b"202")
            each.write(b'"%s"' % (b"x" * 200))
            each.finish()
        return b"{}"

listening = endpoints.serverFromString(reactor, sys.argv[1]).listen(Site(Held()))
reactor.run()
"""
"""A program that holds each GET until a POST comes."""


class BareServer(Server):
    """A resource of `twisted.web` alone."""

    name = "bare"

    def command(self) -> list[str]:
        """Return what is run."""
        return [sys.executable, "-c", BARE, f"tcp:{self.port}:interface={HOST}"]


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


async def paced(
    rate: float, seconds: float, call: Callable[[int], Coroutine[Any, Any, None]]
) -> None:
    """Call at a steady rate, whether the last call is over or not."""
    begin = time.monotonic()
    tasks: list[asyncio.Task[None]] = []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
        tasks.append(asyncio.create_task(call(number)))
    await asyncio.gather(*tasks)


class Held(Client):
    """A connection that holds a request at the bare resource, and counts its answers."""

    answers = signals = 0

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            await self.ask("GET", "/")
            self.answers += 1


class Pollers:
    """
    Connections that ask for ever, in a process of their own.

    Args:
        make: makes the connection of a number.
    """

    def __init__(self, make: Callable[[int], Follower | Held], count: int) -> None:
        self._make, self._count = make, count
        self._answers = multiprocessing.Array("q", count)
        self._signals = multiprocessing.Array("q", count)
        self._process = multiprocessing.Process(target=self._run, daemon=True)
        self._process.start()

    @property
    def answers(self) -> int:
        """How many answers there were."""
        return sum(self._answers[:])

    def behind(self, signals: int) -> int:
        """Return how many of them have had fewer signals."""
        return sum(each < signals for each in self._signals[:])

    def stop(self) -> None:
        """Leave."""
        self._process.kill()
        self._process.join()

    def _run(self) -> None:
        asyncio.run(self._ask())

    async def _ask(self) -> None:
        clients = [self._make(number) for number in range(self._count)]
        tasks = [asyncio.create_task(each.run()) for each in clients]
        while not any(task.done() for task in tasks):
            await asyncio.sleep(0.2)
            self._answers[:] = [each.answers for each in clients]
            self._signals[:] = [each.signals for each in clients]


class Listener(Speaker):
    """A follower by TCP: the seconds from the sending of each signal until it is here."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.sent: deque[float] = deque()
        self.delays: list[float] = []

    def welcomed(self, said: answers.Welcome) -> None:
        """Follow."""
        self.say(requests.subscribe())

    def heard(self, said: answers.Answer) -> None:
        """Take a signal."""
        if isinstance(said, answers.Signal):
            self.delays.append(time.monotonic() - self.sent.popleft())


class Turns:
    """The turns of one server: its CPU for each answer to `pollers`."""

    def __init__(self, server: Any, pollers: Pollers) -> None:
        self._server, self._pollers = server, pollers
        self.costs: list[float] = []
        self.answers = 0

    async def take(self, work: Coroutine[Any, Any, None]) -> None:
        """Measure while `work` is done."""
        before, answers = cpu(self._server), self._pollers.answers
        await work
        await asyncio.sleep(1)
        found = self._pollers.answers - answers
        self.costs.append((cpu(self._server) - before) / max(1, found))
        self.answers += found

    def __str__(self) -> str:
        cost = statistics.median(self.costs)
        return f"CPU {cost * 1e6:.0f} us an answer ({self.answers} answers)"


async def measure_polls(daemon: Any, bare: Any, port: int, options: argparse.Namespace) -> None:
    """Measure signals to many long polls, in turns with a bare resource."""
    publisher, trigger, listener = Client(port), Client(bare.port), Listener(daemon.number)
    delays: list[float] = []

    async def publish(number: int) -> None:
        begin = time.monotonic()
        listener.sent.append(begin)
        await publisher.ask("POST", "/v1/channels/main/signals", signals(f"{begin}-{number}"))
        delays.append(time.monotonic() - begin)

    async def answer(number: int) -> None:
        await trigger.ask("POST", "/", {})

    await publisher.ask("POST", "/v1/channels/main/signals", signals("first"))
    listener.dial()
    await asyncio.sleep(1)
    part = options.seconds / ROUNDS
    await paced(options.rate, options.seconds, publish)
    alone, listener.delays = listener.delays, []
    delays.clear()
    followers = Pollers(lambda number: Follower(port, f"f{number}"), options.polls)
    held = Pollers(lambda number: Held(bare.port), options.polls)
    await asyncio.sleep(3 + options.polls / 500)
    ours, floor = Turns(daemon, followers), Turns(bare, held)
    for _ in range(ROUNDS):
        await ours.take(paced(options.rate, part, publish))
        await floor.take(paced(options.rate, part, answer))
    behind = followers.behind(len(delays))
    followers.stop()
    held.stop()
    listener.stop()
    print(f"{options.polls} long polls, {options.rate:g} signals a second:")
    print(f"  {ours}, {behind} behind; a bare resource: {floor}")
    print(f"  POST p50 {percentile(delays, 0.5):.1f}, p99 {percentile(delays, 0.99):.1f} ms")
    for name, found in (("with", listener.delays), ("without", alone)):
        print(
            f"  to a follower by TCP {name} polls p50 {percentile(found, 0.5):.1f}, "
            f"p99 {percentile(found, 0.99):.1f} ms ({len(found)} signals)"
        )


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
    return cpu_of(daemon.process.pid)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--polls", type=int, default=1_000)
    parser.add_argument("--rate", type=float, default=2.0)
    parser.add_argument("--publishers", type=int, default=50)
    parser.add_argument("--puts", type=float, default=500.0)
    parser.add_argument("--seconds", type=float, default=30.0)
    add_folder(parser)
    options = parser.parse_args()
    allow_descriptors(2 * options.polls)
    pin_load()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        port = free_port()
        daemon = SignalsDaemon(Path(folder), prefix=PINNED)
        daemon.more.append(f"web=tcp:{port}:interface={HOST}")
        daemon.start()
        bare = BareServer(Path(folder))
        try:
            bare.start()
            asyncio.run(measure_polls(daemon, bare, port, options))
            asyncio.run(measure_puts(daemon, port, options))
        finally:
            bare.stop()
            daemon.stop()


if __name__ == "__main__":
    main()
